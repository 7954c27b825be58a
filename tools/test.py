"""Measure a checkpoint on the test split, or on val where there is none.

python tools/test.py configs/flower/resnet50_flower.py \
    work_dirs/resnet50_flower/best.pth
"""

import argparse
import os

from flower_mm import cli
from flower_mm.flags import Options
from flower_mm.user_modules import add_import_flag


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='best.pth or another checkpoint')
    parser.add_argument(
        '--data-root', help="dataset folder; the config's by default"
    )
    parser.add_argument(
        '--work-dir',
        help='where figures go; test/ beside the checkpoint by default',
    )
    parser.add_argument(
        '--out',
        help='.csv: one line a photo; .pkl: as MMPretrain writes it; .json '
        'with --out-item metrics',
    )
    parser.add_argument(
        '--out-item',
        choices=['metrics', 'pred'],
        help='what goes into --out: predictions by default',
    )
    parser.add_argument(
        '--tta',
        action='store_true',
        help='average with the mirrored photo, or as tta_pipeline says',
    )
    parser.add_argument(
        '--seed', type=cli.seed, help='seed of all random draws'
    )
    parser.add_argument(
        '--device', default='auto', help='auto, cpu, cuda, cuda:N or mps'
    )
    parser.add_argument('--amp', action='store_true', help='mixed precision')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=Options,
        metavar='KEY=VALUE',
        help='override settings of the config',
    )
    parser.add_argument(
        '--ignore-checkpoint-config',
        action='store_true',
        help='test although model, preprocessor or test pipeline differ from '
        'those that the checkpoint was trained with',
    )
    parser.add_argument(
        '--show-dir', help='folder for photos with their prediction drawn in'
    )
    parser.add_argument(
        '--show', action='store_true', help='show them in a window'
    )
    parser.add_argument(
        '--interval', type=int, default=1, help='draw every Nth photo'
    )
    parser.add_argument(
        '--wait-time',
        type=float,
        default=2,
        help='seconds that a window stays',
    )
    parser.add_argument('--no-pin-memory', action='store_true')
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='how the processes of a distributed test were started',
    )
    parser.add_argument(
        '--local_rank',
        '--local-rank',
        type=int,
        default=0,
        help=argparse.SUPPRESS,
    )
    add_import_flag(parser)
    return parser


def main(args: argparse.Namespace) -> None:
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    with cli.loading():
        from flower_mm.engine.test import test

    test(args)


if __name__ == '__main__':
    cli.run(main, parser())
