"""Check a training before it starts. It takes the arguments of `train`.

flower-mm check resnet50 --data data/mine
"""

import argparse

from flower_mm.cli.arguments import use_local_rank
from flower_mm.cli.training_flags import (
    add_training_flags,
    read_training_config,
)
from flower_mm.torch_import import importing_torch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_training_flags(parser)
    parser.add_argument(
        '--plot',
        metavar='PNG',
        help='draw the learning rate over the training into a file',
    )
    parser.add_argument(
        '--time',
        action='store_true',
        help='run a few iterations and estimate the time of the training',
    )


def run(args: argparse.Namespace) -> int | None:
    use_local_rank(args)
    with importing_torch():
        from flower_mm.checks.run import print_checks

    return print_checks(read_training_config(args), args)
