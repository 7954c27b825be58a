"""Classify photos with a trained model.

flower-mm predict best.pth photo.jpg holiday/ more.zip
flower-mm predict best.pth holiday/ --precision 0.99 --sort-into sorted
flower-mm predict best.pth millions/ --out results --workers 2
"""

import argparse
from pathlib import Path

from flower_mm.cli.arguments import (
    add_calibration,
    add_device,
    add_imports,
    add_precision,
    count,
    positive,
    probability,
)
from flower_mm.errors import UserError


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
    _add_many(parser.add_argument_group('very many photos'))


def _add_many(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        '--out',
        type=Path,
        metavar='FOLDER',
        help='write Parquet files of some thousand photos each, and a '
        'manifest. The same command continues after an interruption. PHOTOS '
        'may also be CSV or Parquet lists',
    )
    group.add_argument(
        '--overwrite',
        action='store_true',
        help='replace the predictions in the folder of --out',
    )
    group.add_argument(
        '--prefix',
        metavar='PREFIX',
        help='folder, https:// or s3:// above all photos of the lists',
    )
    group.add_argument(
        '--path-column',
        default='',
        metavar='NAME',
        help='column of the lists with paths or URLs; by default one with '
        'such a name',
    )
    group.add_argument(
        '--part-photos',
        type=count,
        default=4096,
        metavar='N',
        help='photos of a Parquet file; by default %(default)s',
    )
    group.add_argument(
        '--workers',
        type=count,
        metavar='N',
        help='processes; by default one, on a cluster as many as fit',
    )
    group.add_argument(
        '--cluster',
        metavar='ADDRESS',
        help='auto, or the address of a Ray cluster whose nodes have the '
        'same flower_mm, photos and folders as this machine',
    )
    group.add_argument(
        '--cpus-per-worker',
        type=positive,
        metavar='N',
        help='cores of a process; by default an equal share of this machine, '
        'on a cluster 1',
    )
    group.add_argument(
        '--gpus-per-worker',
        type=positive,
        metavar='N',
        help='GPUs of a process on a cluster, such as 0.5; by default 1 if '
        'it has any',
    )


def run(args: argparse.Namespace) -> int:
    if args.out:
        from flower_mm.inference.predict_many import predict_many

        return predict_many(args)
    for flag in ('overwrite', 'prefix', 'path_column', 'workers', 'cluster'):
        if getattr(args, flag):
            raise UserError(f'--{flag.replace("_", "-")} needs --out FOLDER')
    from flower_mm.inference.predict import predict

    return predict(args)
