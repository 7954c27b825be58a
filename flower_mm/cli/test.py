"""Measure a checkpoint on the test split, or on val without a test split.

flower-mm test resnet50 work_dirs/resnet50_flower/best.pth --data data/mine
"""

import argparse

from flower_mm.cli.arguments import (
    add_config_options,
    add_data_root,
    add_device,
    add_imports,
    add_launcher,
    config_options,
    count,
    seed,
    use_local_rank,
)
from flower_mm.cli.training_flags import (
    add_backbone,
    add_image_size,
    backbone_settings,
)
from flower_mm.packaged_configs import config_path
from flower_mm.torch_import import importing_torch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'config',
        metavar='CONFIG',
        help='config file, or the short name of a packaged one',
    )
    parser.add_argument(
        'checkpoint', metavar='CHECKPOINT', help='best.pth or another one'
    )
    add_data_root(parser, "the config's data_root")
    parser.add_argument(
        '--work-dir',
        metavar='FOLDER',
        help='folder for the figures; by default test/ beside the checkpoint',
    )
    parser.add_argument(
        '--out',
        metavar='FILE',
        help='file of the predictions: .csv with one line per photo, or .pkl '
        'as in MMPretrain; with --out-item metrics a .json file',
    )
    parser.add_argument(
        '--out-item',
        choices=['metrics', 'pred'],
        help='content of --out; by default predictions',
    )
    parser.add_argument(
        '--tta',
        action='store_true',
        help='average the scores of each photo and its mirror image, or '
        'those of tta_pipeline',
    )
    parser.add_argument('--seed', type=seed, metavar='N', help='random seed')
    add_device(parser)
    parser.add_argument('--amp', action='store_true', help='mixed precision')
    add_backbone(parser)
    add_image_size(parser)
    add_config_options(parser)
    parser.add_argument(
        '--ignore-checkpoint-config',
        action='store_true',
        help='test although model, preprocessor or test pipeline differ from '
        'those of the training',
    )
    parser.add_argument(
        '--show-dir',
        metavar='FOLDER',
        help='draw the predictions into copies of the photos',
    )
    parser.add_argument(
        '--show', action='store_true', help='show the drawings in a window'
    )
    parser.add_argument(
        '--interval',
        type=count,
        default=1,
        metavar='N',
        help='draw every Nth photo; by default %(default)s',
    )
    parser.add_argument(
        '--wait-time',
        type=float,
        default=2,
        metavar='SECONDS',
        help='how long --show shows each photo; by default %(default)s',
    )
    parser.add_argument(
        '--no-pin-memory',
        action='store_true',
        help='load batches into ordinary memory: pin_memory=False',
    )
    add_launcher(parser)
    add_imports(parser)


def run(args: argparse.Namespace) -> None:
    use_local_rank(args)
    with importing_torch():
        from flower_mm.engine.test import test

    args.config = config_path(args.config)
    options = config_options(args.cfg_options_words)
    args.cfg_options = options | backbone_settings(args)
    test(args)
