"""Look at the photos of a dataset on one page, before any training.

flower-mm look data/mine
flower-mm look my_photos.zip --out photos.html

The page has the counts of the classes, photos of each class, the darkest,
brightest, blurriest and smallest photos, near-duplicates, augmented photos,
and, where pretrained weights are stored, a map of the photos with outliers.
It is one file that loads nothing from the internet.
"""

import argparse
from pathlib import Path

from flower_mm.cli.arguments import (
    add_device,
    add_imports,
    add_weights_at_hand,
    count,
)
from flower_mm.torch_import import importing_torch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'data',
        type=Path,
        metavar='DATASET',
        help='dataset folder that `prepare` made, or photos that it takes',
    )
    parser.add_argument(
        '--out',
        type=Path,
        default='look.html',
        metavar='HTML',
        help='the page; by default %(default)s in the current folder',
    )
    parser.add_argument(
        '--photos',
        type=count,
        default=5000,
        metavar='N',
        help='photos to measure, drawn at random from all classes; by default '
        '%(default)s',
    )
    parser.add_argument(
        '--config',
        metavar='CONFIG',
        default='mobilenet_v2',
        help='config whose augmentation is shown; by default %(default)s',
    )
    parser.add_argument(
        '--no-map',
        action='store_true',
        help='leave out the map, which needs a network',
    )
    add_weights_at_hand(parser)
    add_device(parser)
    add_imports(parser)


def run(args: argparse.Namespace) -> None:
    with importing_torch():
        from flower_mm.look.page import look
        from flower_mm.process_resources import keep_memory

    keep_memory()
    look(args)
