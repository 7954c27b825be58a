"""The arguments of a training, for `train` and `check`."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flower_mm.cli.arguments import (
    add_config_options,
    add_data_root,
    add_device,
    add_launcher,
    add_offline,
    config_options,
    count,
    positive,
    seed,
    workers,
)
from flower_mm.errors import UserError
from flower_mm.packaged_configs import config_path
from flower_mm.report.formatting import BALANCED_ACCURACY, TOP1
from flower_mm.tracking.trackers import parse_trackers

if TYPE_CHECKING:
    from mmengine.config import Config

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def add_training_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'config',
        metavar='CONFIG',
        help='config file, or the short name of a packaged one, such as '
        'resnet50',
    )
    add_data_root(
        parser,
        "the config's data_root",
        '; train also prepares photos of any format of `prepare`',
    )
    parser.add_argument(
        '--work-dir',
        metavar='FOLDER',
        help='folder for the results; by default work_dirs/<config name>',
    )
    _add_config_flags(parser.add_argument_group('settings of the config'))
    start = parser.add_argument_group('start')
    start.add_argument(
        '--weights',
        metavar='NAME',
        help='pretrained weights: a file, a name that `weights --list` '
        "shows, or timm/ and a name of timm's; by default the config's",
    )
    add_offline(start)
    start.add_argument(
        '--from-scratch',
        action='store_true',
        help='start from random weights instead of pretrained ones',
    )
    start.add_argument(
        '--head-only',
        action='store_true',
        help='fit the last layer on the pretrained backbone in one pass over '
        'the photos, and train nothing else',
    )
    start.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='resume from this checkpoint; by default from the latest one in '
        'the work dir',
    )
    start.add_argument(
        '--resume-anyway',
        action='store_true',
        help='resume although photos, classes, model or schedule differ',
    )
    _add_run_flags(parser.add_argument_group('run'))


def _add_config_flags(group: argparse._ArgumentGroup) -> None:
    add_backbone(group)
    group.add_argument(
        '--epochs',
        type=count,
        metavar='N',
        help='number of epochs: train_cfg.max_epochs',
    )
    group.add_argument(
        '--batch-size',
        type=count,
        metavar='N',
        help='photos in a training batch: train_dataloader.batch_size',
    )
    group.add_argument(
        '--lr',
        type=positive,
        metavar='LR',
        help='learning rate: optim_wrapper.optimizer.lr',
    )
    group.add_argument(
        '--workers',
        type=workers,
        metavar='N',
        help='processes that load photos: num_workers of train_dataloader, '
        'val_dataloader and test_dataloader',
    )
    group.add_argument(
        '--balance',
        action='store_true',
        help='give rare classes the same weight as frequent ones, and choose '
        'the best epoch by the mean of their accuracies',
    )
    group.add_argument(
        '--patience',
        type=count,
        metavar='N',
        help='stop after N epochs without improvement: '
        'default_hooks.early_stopping, or patience of the EarlyStoppingHook '
        'in custom_hooks',
    )
    add_image_size(group)
    group.add_argument(
        '--seed',
        type=seed,
        metavar='N',
        help='random seed: randomness.seed',
    )
    add_config_options(group)


def add_backbone(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        '--backbone',
        metavar='NAME',
        help='network of timm, for the config timm: model.backbone.model_name '
        'and what follows from it, such as the image size',
    )


def backbone_settings(args: argparse.Namespace) -> dict[str, str]:
    """Return the setting of --backbone."""
    from flower_mm.config import read_config
    from flower_mm.timm_record import has_timm_backbone, require_name

    if not args.backbone:
        return {}
    if not has_timm_backbone(read_config(args.config)):
        raise UserError(
            'invalid --backbone: expected a config with a TimmBackbone, got '
            f'{args.config}\nUse the config timm'
        )
    require_name(args.backbone)
    return {'model.backbone.model_name': args.backbone}


def add_image_size(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        '--image-size',
        type=count,
        metavar='PIXELS',
        help='side of the square input of the model: the sizes of resizing '
        'and cropping in all pipelines, and model.backbone.img_size where '
        'the backbone has one',
    )


def _add_run_flags(group: argparse._ArgumentGroup) -> None:
    add_device(group)
    group.add_argument(
        '--amp',
        action='store_true',
        help='mixed precision: float16 on a GPU, bfloat16 on a CPU',
    )
    group.add_argument(
        '--accumulate',
        type=count,
        default=1,
        metavar='N',
        help='split each batch into N parts, to use 1/N of the memory',
    )
    group.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate by the total batch size divided by '
        "the config's auto_scale_lr.base_batch_size",
    )
    group.add_argument(
        '--folds',
        type=count,
        metavar='K',
        help='cross-validation: train K times, each time without another Kth '
        'of the photos of train and val, and predict those',
    )
    group.add_argument(
        '--retry-nan',
        type=count,
        metavar='N',
        help='when the loss is NaN or Inf, return to the latest checkpoint '
        'with a tenth of the learning rate, at most N times',
    )
    group.add_argument(
        '--skip-broken',
        action='store_true',
        help='replace and count photos that become unreadable during '
        'training, instead of stopping',
    )
    group.add_argument(
        '--no-validate',
        action='store_true',
        help='skip validation, and so write no best.pth',
    )
    group.add_argument(
        '--no-report',
        action='store_true',
        help='write no report.html at the end',
    )
    group.add_argument(
        '--ignore',
        action='append',
        metavar='CODES',
        help='checks to leave out, by their codes, e.g. LR003,DATA; '
        "ignore_checks=['LR003'] in the config does the same",
    )
    group.add_argument(
        '--no-pin-memory',
        action='store_true',
        help='load batches into ordinary memory: pin_memory=False',
    )
    group.add_argument(
        '--no-persistent-workers',
        action='store_true',
        help='start the loading processes anew in each epoch: '
        'persistent_workers=False',
    )
    group.add_argument(
        '--log',
        '--log-to',  # torchrun would read --log as one of its own
        type=parse_trackers,
        action='extend',
        default=[],
        metavar='TRACKERS',
        help='show the run in mlflow, wandb, aim or clearml as well, with '
        'commas between them; their environment variables name the server '
        'and the project',
    )
    add_launcher(group)


def parse_training(words: Sequence[str]) -> argparse.Namespace:
    """Parse the command line of a training, given as words."""
    parser = argparse.ArgumentParser()
    add_training_flags(parser)
    return parser.parse_args(words)


def read_training_config(args: argparse.Namespace) -> 'Config':
    """Read the config of a training and apply the settings in its arguments.

    `args.config` becomes a path, and `args.cfg_options` all settings that the
    command line overrides.
    """
    from flower_mm.config import read_config

    args.typed_config, args.config = args.config, config_path(args.config)
    options = config_options(args.cfg_options_words)
    network = backbone_settings(args)
    # Other values of the config follow from the network.
    cfg = read_config(args.config, options | network)
    settings = network | _settings(cfg, args)
    if repeated := [key for key in settings if key in options]:
        raise UserError(
            f'{", ".join(repeated)} is set twice: by a flag and by '
            '--cfg-options.\nLeave one of the two out.'
        )
    cfg.merge_from_dict(settings)
    args.cfg_options = options | settings
    return cfg


def _settings(cfg: 'Config', args: argparse.Namespace) -> dict[str, object]:
    """Return the config keys that the flags set, with their values."""
    from flower_mm.image_size import image_size_settings

    settings = {
        'train_cfg.max_epochs': args.epochs,
        'train_dataloader.batch_size': args.batch_size,
        'optim_wrapper.optimizer.lr': args.lr,
    }
    for loader in LOADERS:
        if cfg.get(loader):
            settings[f'{loader}.num_workers'] = args.workers
    settings = {k: v for k, v in settings.items() if v is not None}
    if args.balance:
        settings |= _balance(cfg)
    if args.patience:
        monitor = BALANCED_ACCURACY if args.balance else TOP1
        settings |= _early_stopping(cfg, args.patience, monitor)
    if args.image_size:
        settings |= image_size_settings(cfg, args.image_size, LOADERS)
    return settings


def _balance(cfg: 'Config') -> dict[str, object]:
    from flower_mm.class_weights import BALANCED
    from flower_mm.config import metrics_of

    if not ((cfg.get('model') or {}).get('head') or {}).get('loss'):
        raise UserError(
            'invalid --balance: expected a model with a head and a loss, '
            f'which {cfg.filename} lacks'
        )
    settings: dict[str, object] = {'model.head.loss.class_weight': BALANCED}
    if cfg.get('val_evaluator'):
        settings['val_evaluator'] = [
            *metrics_of(cfg.val_evaluator),
            {'type': 'SingleLabelMetric', 'items': ['recall']},
        ]
        key = 'default_hooks.checkpoint.save_best'
        settings[key] = BALANCED_ACCURACY
    return settings


def _early_stopping(
    cfg: 'Config', patience: int, monitor: str
) -> dict[str, object]:
    for number, hook in enumerate(cfg.get('custom_hooks') or []):
        if str(hook.get('type')).endswith('EarlyStoppingHook'):
            return {f'custom_hooks.{number}.patience': patience}
    key = 'default_hooks.early_stopping'
    if (cfg.get('default_hooks') or {}).get('early_stopping'):
        return {f'{key}.patience': patience}
    return {
        key: {
            'type': 'EarlyStoppingHook',
            'monitor': monitor,
            'rule': 'greater',
            'min_delta': 0.0,
            'patience': patience,
        }
    }
