r"""Train several configs with several seeds and lay them side by side.

python tools/compare.py configs/flower/resnet18_flower.py \
    configs/flower/resnet50_flower.py --seeds 0 1 2

The same command goes on where it was stopped.
"""

import argparse

from flower_mm import cli
from flower_mm.flags import Options


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'configs', nargs='+', metavar='CONFIG', help='config files'
    )
    parser.add_argument(
        '--seeds',
        nargs='+',
        type=cli.seed,
        default=[0],
        metavar='SEED',
        help='each config is trained with each; 0 by default',
    )
    parser.add_argument(
        '--out',
        default='work_dirs/compare',
        help='where the table goes, compare.csv and compare.md, and the runs; '
        'work_dirs/compare by default',
    )
    parser.add_argument(
        '--epochs',
        type=cli.count,
        metavar='N',
        help="for all; each config's own number by default",
    )
    parser.add_argument(
        '--weights',
        help='to start from, for all: a file, or a name that '
        "tools/get_weights.py lists; each config's own by default",
    )
    parser.add_argument(
        '--jobs',
        type=cli.count,
        metavar='N',
        help='trainings at a time; one a device by default',
    )
    parser.add_argument(
        '--device',
        nargs='+',
        default=['auto'],
        metavar='DEVICE',
        help='as for tools/train.py; of several, those that run at a time '
        'take one each',
    )
    parser.add_argument('--data-root', help='as for tools/train.py')
    parser.add_argument(
        '--from-scratch', action='store_true', help='as for tools/train.py'
    )
    parser.add_argument(
        '--head-only', action='store_true', help='as for tools/train.py'
    )
    parser.add_argument(
        '--amp', action='store_true', help='as for tools/train.py'
    )
    parser.add_argument(
        '--retry-nan',
        type=cli.count,
        metavar='N',
        help='as for tools/train.py',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=Options,
        metavar='KEY=VALUE',
        help='as for tools/train.py, for all configs',
    )
    return parser


def main(args: argparse.Namespace) -> int | None:
    from flower_mm.sweep.run import compare

    return compare(args)


if __name__ == '__main__':
    cli.run(main, parser())
