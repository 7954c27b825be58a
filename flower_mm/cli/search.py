"""Search for the settings that train best on a dataset.

flower-mm search resnet18 mobilenet_v2 --data data/mine --trials 30

Run the same command again to resume a search that was interrupted, and with a
larger --trials to extend it.
"""

import argparse

from flower_mm.cli.arguments import (
    config_options,
    count,
    positive,
    seed,
)
from flower_mm.cli.compare import add_common_arguments
from flower_mm.cli.training_flags import parse_training
from flower_mm.packaged_configs import config_path
from flower_mm.torch_import import importing_torch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument(
        '--trials',
        type=count,
        metavar='N',
        help='number of trials; the final trainings come on top',
    )
    budget.add_argument(
        '--hours',
        type=positive,
        metavar='H',
        help='start trials as long as they and the final trainings probably '
        'end within this time',
    )
    parser.add_argument(
        '--space',
        metavar='FILE',
        help='TOML file with the ranges of the search; by default learning '
        'rates, weight decay, augmentation, label smoothing, Mixup, image '
        'size and epochs, relative to each config',
    )
    parser.add_argument(
        '--final-seeds',
        type=count,
        default=3,
        metavar='N',
        help='trainings of each of the best three trials, with new seeds; by '
        'default %(default)s',
    )
    parser.add_argument(
        '--storage',
        metavar='URL',
        help='database of the study as a URL of SQLAlchemy; by default the '
        'file study.db in --out',
    )
    parser.add_argument(
        '--seed',
        type=seed,
        default=0,
        metavar='N',
        help='random seed of the search and of its trainings; by default 0',
    )
    add_common_arguments(
        parser, 'work_dirs/search', 'the study, the trials and search.html'
    )


def run(args: argparse.Namespace) -> int | None:
    with importing_torch():
        from flower_mm.sweep.search import search

    args.configs = list(map(config_path, args.configs))
    args.cfg_options = config_options(args.cfg_options_words)
    args.seeds = [args.seed]
    args.head_only, args.retry_nan = False, None
    return search(args, parse_training)
