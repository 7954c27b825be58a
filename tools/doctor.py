"""Look for mistakes in a run before its first iteration.

Takes the command line of tools/train.py:
python tools/doctor.py configs/flower/resnet50_flower.py --data-root data/mine
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
        '--plot', metavar='FILE', help='draw the rate over the run into a .png'
    )
    parser.add_argument(
        '--time',
        action='store_true',
        help='run a few iterations and say how long the whole will take',
    )
    return parser


def main(args: argparse.Namespace) -> int | None:
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    with cli.loading():
        from flower_mm.checks.run import doctor
        from flower_mm.settings import read_config

    return doctor(read_config(args.config, args.cfg_options), args)


if __name__ == '__main__':
    cli.run(main, parser())
