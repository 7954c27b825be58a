"""Fine-tune a model on a dataset and keep the best epoch as best.pth.

flower-mm train resnet50 --data data/mine
flower-mm train resnet50 --data my_photos.zip
"""

import argparse

from flower_mm.cli.arguments import use_local_rank
from flower_mm.cli.first_steps import require_dataset_of
from flower_mm.cli.training_flags import (
    add_training_flags,
    read_training_config,
)
from flower_mm.cli.unprepared_photos import prepare_first
from flower_mm.console import announce
from flower_mm.torch_import import importing_torch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_training_flags(parser)
    parser.add_argument(
        '--no-check',
        '--no-doctor',
        action='store_true',
        help='skip the checks before the first iteration',
    )


def run(args: argparse.Namespace) -> int | None:
    use_local_rank(args)
    with importing_torch():
        from flower_mm.checks.run import check_before_training
        from flower_mm.engine.resolved_run import resolve_training
        from flower_mm.engine.train import train

    cfg = read_training_config(args)
    require_dataset_of(cfg, args)
    prepare_first(cfg, args)
    if args.no_check:
        run = resolve_training(cfg, args, all_ranks=True)
    else:
        announce('checking the training')
        run = check_before_training(cfg, args)
    if args.folds:
        from flower_mm.engine.folds import train_folds

        return train_folds(cfg, run, args)
    return train(run, args)
