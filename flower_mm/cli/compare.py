"""Train several configs with several seeds and compare their results.

flower-mm compare resnet18 resnet50 --seeds 0 1 2 --data data/mine

Run the same command again to resume a comparison that was interrupted.
"""

import argparse

from flower_mm.cli.arguments import (
    add_config_options,
    add_data_root,
    config_options,
    count,
    positive,
    seed,
)
from flower_mm.cli.training_flags import parse_training
from flower_mm.packaged_configs import config_path
from flower_mm.torch_import import importing_torch

AS_TRAIN = 'as for `train`'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--seeds',
        nargs='+',
        type=seed,
        default=[0],
        metavar='SEED',
        help='random seeds; each config is trained with each of them; by '
        'default 0',
    )
    add_common_arguments(
        parser,
        'work_dirs/compare',
        'the runs and the tables compare.csv and compare.md',
    )
    parser.add_argument('--head-only', action='store_true', help=AS_TRAIN)
    parser.add_argument('--retry-nan', type=count, metavar='N', help=AS_TRAIN)


def add_common_arguments(
    parser: argparse.ArgumentParser, out: str, content: str
) -> None:
    """Add the arguments of `compare` and `search`."""
    parser.add_argument(
        'configs',
        nargs='+',
        metavar='CONFIG',
        help='config files, or short names of packaged ones',
    )
    parser.add_argument(
        '--out',
        default=out,
        metavar='FOLDER',
        help=f'folder of {content}; by default %(default)s',
    )
    parser.add_argument(
        '--epochs',
        type=count,
        metavar='N',
        help="number of epochs of all runs; by default each config's",
    )
    parser.add_argument(
        '--weights',
        metavar='NAME',
        help='pretrained weights of all runs: a file, or a name that '
        "`weights --list` shows; by default each config's",
    )
    parser.add_argument(
        '--jobs',
        type=count,
        metavar='N',
        help='runs at the same time; by default one per device',
    )
    parser.add_argument(
        '--device',
        nargs='+',
        default=['auto'],
        metavar='DEVICE',
        help=f'{AS_TRAIN}; several are used in turn',
    )
    parser.add_argument(
        '--cluster',
        metavar='ADDRESS',
        help='run on the nodes of a Ray cluster: auto, or its address. All '
        'nodes need the same paths and the same flower_mm',
    )
    parser.add_argument(
        '--cpus-per-trial',
        type=positive,
        default=1.0,
        metavar='N',
        help='cores of a run on a cluster; by default 1',
    )
    parser.add_argument(
        '--gpus-per-trial',
        type=positive,
        default=0.0,
        metavar='N',
        help='GPUs of a run on a cluster, such as 0.5; by default none',
    )
    add_data_root(parser, "each config's data_root")
    parser.add_argument('--from-scratch', action='store_true', help=AS_TRAIN)
    parser.add_argument('--amp', action='store_true', help=AS_TRAIN)
    add_config_options(parser, also='; for all runs')


def run(args: argparse.Namespace) -> int | None:
    with importing_torch():
        from flower_mm.sweep.compare import compare

    args.configs = list(map(config_path, args.configs))
    args.cfg_options = config_options(args.cfg_options_words)
    return compare(args, parse_training)
