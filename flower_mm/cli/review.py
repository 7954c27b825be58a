"""Review the labels of a dataset on a web page of this machine.

flower-mm review data/mine
flower-mm review data/mine --run work_dirs/resnet50_flower

The most probable label errors come first. Every decision is written at once to
corrections.csv in the dataset, and `prepare --apply-corrections` makes the
next version of the dataset.
"""

import argparse

from flower_mm.cli.arguments import add_device, add_imports, port


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'dataset',
        metavar='DATASET',
        help='dataset folder that `prepare` made',
    )
    parser.add_argument(
        '--run',
        metavar='WORK_DIR',
        help='a training on this dataset, whose predictions make the queue: '
        'of all photos with --folds, otherwise of val. By default a linear '
        'classifier is fitted on features of pretrained weights, and '
        'cross-validated on all photos',
    )
    parser.add_argument(
        '--weights',
        metavar='NAME',
        help='pretrained weights for the features: a name of `weights '
        '--list` or a file; by default the smallest ones that are stored',
    )
    parser.add_argument(
        '--who',
        metavar='NAME',
        help='your name in corrections.csv; by default that of the user',
    )
    parser.add_argument(
        '--port',
        type=port,
        default=8001,
        metavar='N',
        help='port of the page; by default %(default)s; 0: any free port',
    )
    parser.add_argument(
        '--no-browser',
        action='store_false',
        dest='browser',
        help='only print the address of the page',
    )
    add_device(parser)
    add_imports(parser)


def run(args: argparse.Namespace) -> None:
    from flower_mm.review.server import review

    review(args)
