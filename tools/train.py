"""Fine-tune a config on a folder of photos and keep the best as best.pth.

python tools/train.py configs/flower/resnet50_flower.py
"""

import argparse
import os

from flower_mm import cli
from flower_mm.flags import add_training_flags


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_training_flags(parser)
    parser.add_argument(
        '--no-doctor',
        action='store_true',
        help='do not look for mistakes before the first iteration',
    )
    return parser


def main(args: argparse.Namespace) -> int | None:
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    with cli.loading():
        from flower_mm.checks.run import check_before_training
        from flower_mm.engine.train import train
        from flower_mm.settings import read_config

    cfg = read_config(args.config, args.cfg_options)
    if not args.no_doctor:
        check_before_training(cfg, args)
    if args.folds:
        from flower_mm.engine.folds import train_folds

        return train_folds(cfg, args)
    return train(cfg, args)


if __name__ == '__main__':
    cli.run(main, parser())
