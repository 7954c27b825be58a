"""Find the training photos that are most similar to a photo.

flower-mm similar photo.jpg --data data/mine --run work_dirs/resnet50_flower
flower-mm similar photo.jpg --data data/mine

Photos are compared by the features of a trained model, or by those of
pretrained weights on this machine. The features of the training photos are
cached.
"""

import argparse

from flower_mm.cli.arguments import (
    add_device,
    add_imports,
    add_weights_at_hand,
    count,
)
from flower_mm.torch_import import importing_torch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'photos',
        nargs='+',
        metavar='PHOTOS',
        help='files, folders with their subfolders, patterns such as '
        '"a/**/*.jpg", zip or tar files; - reads names from standard input',
    )
    parser.add_argument(
        '--data',
        '--data-root',
        dest='data_root',
        required=True,
        metavar='DATASET',
        help='dataset folder that `prepare` made',
    )
    add_weights_at_hand(parser)
    parser.add_argument(
        '--count',
        type=count,
        default=5,
        metavar='N',
        help='training photos per photo; by default %(default)s',
    )
    parser.add_argument(
        '--json',
        metavar='FILE',
        help='write the list as JSON; - is standard output, instead of the '
        'table',
    )
    add_device(parser)
    add_imports(parser)


def run(args: argparse.Namespace) -> int:
    with importing_torch():
        from flower_mm.look.similar_photos import similar
        from flower_mm.process_resources import keep_memory

    keep_memory()
    return similar(args)
