"""Compare pretrained backbones on your photos, by linear probes.

flower-mm pick --data data/mine --minutes 5
flower-mm pick --data data/mine --backbones mobilenet_v2 timm/repvit_m1

A linear classifier is fitted on the features of each backbone and
cross-validated on the training photos; val and test are not read. The smallest
backbones come first. Features are cached, so that the same command with more
time continues.
"""

import argparse
from typing import TYPE_CHECKING

from flower_mm.cli.arguments import (
    add_device,
    add_offline,
    count,
    positive,
)
from flower_mm.cli.training_flags import (
    parse_training,
    read_training_config,
)
from flower_mm.torch_import import importing_torch

if TYPE_CHECKING:
    from flower_mm.config import ResolvedRun


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--data',
        '--data-root',
        dest='data_root',
        required=True,
        metavar='DATASET',
        help='dataset folder that `prepare` made',
    )
    parser.add_argument(
        '--minutes',
        type=positive,
        default=5,
        metavar='N',
        help='time for downloads and measurements; by default %(default)s',
    )
    parser.add_argument(
        '--backbones',
        nargs='+',
        metavar='NAME',
        help="names that `weights --list` shows, timm/ and names of timm's "
        'weights, or files of weights; by default all in the list, and the '
        'files in the folder of weights',
    )
    parser.add_argument(
        '--finetune',
        type=count,
        default=0,
        metavar='N',
        help='train the N most accurate ones afterwards, in folders below '
        '--out; --minutes does not limit this',
    )
    parser.add_argument(
        '--out',
        default='work_dirs/pick',
        metavar='FOLDER',
        help='folder for pick.csv, pick.json and pick.png; by default '
        '%(default)s',
    )
    add_device(parser)
    add_offline(parser)


def run(args: argparse.Namespace) -> int | None:
    with importing_torch():
        from flower_mm.engine.resolved_run import resolve_training
        from flower_mm.pick.pick_backbone import pick

    def resolve(words: list[str]) -> 'ResolvedRun':
        training = parse_training(words)
        return resolve_training(read_training_config(training), training)

    return pick(args, resolve)
