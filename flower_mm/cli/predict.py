"""Classify photos with a trained model.

flower-mm predict best.pth photo.jpg holiday/ more.zip
flower-mm predict best.pth holiday/ --precision 0.99 --sort-into sorted
"""

import argparse
from pathlib import Path

from flower_mm.cli.arguments import (
    add_calibration,
    add_device,
    add_imports,
    add_precision,
    count,
    probability,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        'Unusable photos are skipped and listed at the end. The exit code is '
        '2 if there are any,\notherwise 0.'
    )
    parser.add_argument(
        'checkpoint',
        metavar='CHECKPOINT',
        help='best.pth or best.safetensors of a training, or its folder',
    )
    parser.add_argument(
        'photos',
        nargs='+',
        metavar='PHOTOS',
        help='files, folders with their subfolders, patterns such as '
        '"a/**/*.jpg", zip or tar files; - reads names from standard input',
    )
    parser.add_argument(
        '--csv',
        metavar='FILE',
        help='write one line per photo, with the probability of each class; '
        '- is standard output, instead of the table',
    )
    parser.add_argument(
        '--json',
        metavar='FILE',
        help='write the same and the unusable photos as JSON',
    )
    parser.add_argument(
        '--topk',
        type=count,
        default=1,
        metavar='N',
        help='classes per photo in the table; by default %(default)s',
    )
    unsure = parser.add_mutually_exclusive_group()
    unsure.add_argument(
        '--threshold',
        type=probability,
        default=0.0,
        metavar='P',
        help='label photos below this probability, 0 to 1, as "unsure"',
    )
    add_precision(unsure)
    add_calibration(parser)
    parser.add_argument(
        '--sort-into',
        type=Path,
        metavar='FOLDER',
        help='copy the photos into FOLDER/class/, without replacing files',
    )
    add_device(parser)
    parser.add_argument(
        '--amp',
        action='store_true',
        help='compute in bfloat16; by default in the precision of the '
        'validation',
    )
    parser.add_argument(
        '--batch-size',
        type=count,
        default=64,
        metavar='N',
        help='photos in a batch; by default %(default)s',
    )
    add_imports(parser)


def run(args: argparse.Namespace) -> int:
    from flower_mm.inference.predict import predict

    return predict(args)
