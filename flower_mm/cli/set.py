"""Choose the working point that a model uses by default.

flower-mm set work_dirs/resnet50_flower --precision 0.99 --out best_99.pth
flower-mm predict best_99.pth photos/
"""

import argparse
from pathlib import Path

from flower_mm.cli.arguments import add_precision
from flower_mm.torch_import import importing_torch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'checkpoint',
        metavar='CHECKPOINT',
        help='best.pth of a training, or its folder',
    )
    add_precision(parser, required=True)
    parser.add_argument(
        '--out',
        type=Path,
        required=True,
        metavar='FILE',
        help='the copy of CHECKPOINT, in which `predict`, `serve` and '
        'Classifier find the working point; it ends in .pth',
    )


def run(args: argparse.Namespace) -> None:
    with importing_torch():
        from flower_mm.inference.working_point import set_precision

    point = set_precision(args.checkpoint, args.precision, args.out)
    print(point)
    print(f'  model  {args.out}')
