"""Apply the command line and the dataset to a config, for a `ResolvedRun`."""

import argparse
import copy
from pathlib import Path

from mmengine.config import Config, ConfigDict

from flower_mm.config import (
    LOADERS,
    ResolvedRun,
    bare_name,
    datasets,
    fill_in,
    read_config,
    resolve,
    use_data_root,
)
from flower_mm.engine.checkpoint_state import checkpoints
from flower_mm.engine.distributed import use_device
from flower_mm.engine.precision import choose_precision, use_bfloat16
from flower_mm.errors import UserError
from flower_mm.image_size import image_size_settings
from flower_mm.layout import RunDir
from flower_mm.weights.hub_download import switch_off_downloads
from flower_mm.weights.safe_loading import safe_loading


@safe_loading()
def resolve_training(
    cfg: Config, args: argparse.Namespace, all_ranks: bool = False
) -> ResolvedRun:
    """Apply the command line and the dataset to a copy of a config.

    Args:
        cfg: A config as `read_training_config` returns it.
        args: The parsed arguments of `train`.
        all_ranks: Whether all processes of a distributed run call this.
    """
    cfg = with_command_line(cfg, args, all_ranks)
    _log_into_work_dir(cfg)
    return resolve(cfg)


def with_command_line(
    cfg: Config, args: argparse.Namespace, all_ranks: bool = False
) -> Config:
    """Return a copy with the command line in it, with MMPretrain's meanings.

    See `resolve_training` for the arguments.
    """
    if args.offline:
        switch_off_downloads()
    cfg = copy.deepcopy(cfg)
    fill_in(cfg)
    if args.data_root:
        use_data_root(cfg, args.data_root)
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.launcher = args.launcher
    if args.work_dir:
        cfg.work_dir = args.work_dir
    elif not cfg.get('work_dir'):
        cfg.work_dir = str(Path('work_dirs') / Path(args.config).stem)
    group = cfg.env_cfg.get('dist_cfg')
    timeout = group.get('timeout') if isinstance(group, dict) else None
    device = use_device(args.device, args.launcher, timeout)
    if args.amp:
        if device == 'cuda':
            cfg.optim_wrapper.type = 'AmpOptimWrapper'
            cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
        else:
            use_bfloat16(cfg)
    choose_precision(cfg, device, all_ranks)
    if args.resume == '':
        raise UserError('invalid --resume: expected a checkpoint or no value')
    if args.resume or args.resume_anyway:
        _resume_from(cfg, args.resume)
    if args.auto_scale_lr:
        cfg.setdefault('auto_scale_lr', ConfigDict()).enable = True
    if args.seed is not None:
        cfg.setdefault('randomness', ConfigDict()).seed = args.seed
    if args.weights:
        _start_from(cfg, args)
    if args.from_scratch:
        cfg.default_hooks.pretrained = None
    if args.head_only:
        _fit_head_only(cfg, args)
    if args.no_report:
        cfg.default_hooks.report = None
    if args.accumulate > 1:
        _accumulate(cfg, args.accumulate)
    if args.retry_nan:
        if args.resume_anyway:
            raise UserError(
                '--retry-nan needs checkpoints with the same settings: use it '
                'without --resume-anyway'
            )
        if not cfg.default_hooks.get('finite'):
            cfg.default_hooks.finite = ConfigDict(type='FiniteHook')
        cfg.default_hooks.finite.retries = args.retry_nan
    if args.skip_broken:
        for dataset in datasets(cfg, ('train_dataloader',)):
            dataset.broken = 'skip'
    for name in LOADERS:
        if cfg.get(name):
            _complete_loader(cfg[name], args, device)
    return cfg


def _resume_from(cfg: Config, named: str | None) -> None:
    """Resume the named checkpoint, else the newest, else start a new run."""
    cfg.resume = True
    if named not in (None, 'auto'):
        cfg.load_from = named
    elif checkpoints(Path(cfg.work_dir)):
        cfg.load_from = None
    else:
        cfg.resume = False  # a new run loads what the config names


def _start_from(cfg: Config, args: argparse.Namespace) -> None:
    if args.from_scratch:
        raise UserError('use either --weights or --from-scratch')
    if cfg.get('load_from'):
        raise UserError(
            f'--weights has no effect: the config loads {cfg.load_from} '
            'after it.\nSwitch that off: --cfg-options load_from=None'
        )
    cfg.default_hooks.pretrained = ConfigDict(
        type='PretrainedHook', weights=args.weights
    )


def _fit_head_only(cfg: Config, args: argparse.Namespace) -> None:
    if cfg.get('val_cfg') is None or args.folds:
        raise UserError(
            '--head-only needs validation, which chooses best.pth: use it '
            'without --no-validate and --folds, and with val_cfg, '
            'val_dataloader and val_evaluator in the config'
        )
    # It has to be the last hook.
    cfg.default_hooks.pop('head_first', None)
    cfg.default_hooks.head_first = ConfigDict(type='HeadFirstHook', only=True)
    # Without steps there is nothing to average.
    cfg.default_hooks.ema = None


def _accumulate(cfg: Config, parts: int) -> None:
    """Split each batch into `parts` with one common step, for less memory."""
    loader = cfg.train_dataloader
    if loader.batch_size % parts:
        raise UserError(
            'invalid --accumulate: expected a divisor of the batch size '
            f'{loader.batch_size}, got {parts}.\nOr change the batch size: '
            f'--batch-size {loader.batch_size // parts * parts}'
        )
    loader.batch_size //= parts
    if cfg.get('auto_scale_lr'):
        # MMEngine compares it with the size of one part.
        cfg.auto_scale_lr.base_batch_size /= parts
    wrapper = cfg.optim_wrapper
    wrapper.accumulative_counts = parts * wrapper.get('accumulative_counts', 1)


def _complete_loader(
    loader: ConfigDict, args: argparse.Namespace, device: str
) -> None:
    loader.setdefault('persistent_workers', True)
    # Pinned memory speeds up copies to a GPU; torch warns without a GPU.
    loader.setdefault('pin_memory', device == 'cuda')
    if args.no_pin_memory:
        loader.pin_memory = False
    if args.no_persistent_workers:
        loader.persistent_workers = False


def _log_into_work_dir(cfg: Config) -> None:
    """Put scalars.json and the TensorBoard events right under work_dir."""
    folder = Path(cfg.work_dir)
    for backend in cfg.visualizer.vis_backends:
        name = bare_name(backend.type)
        if name == 'LocalVisBackend':
            backend.save_dir = str(folder)
            # The Runner writes the resolved config under this name as well.
            backend.config_save_file = Path(cfg.filename).name
        elif name.endswith('TensorboardVisBackend'):
            # TensorBoard shows the name of the last folder.
            backend.save_dir = str(folder / RunDir.TENSORBOARD / folder.name)


# --- test --------------------------------------------------------------------


def resolve_test(args: argparse.Namespace) -> ResolvedRun:
    """Read a config and apply the arguments of `test` and the dataset."""
    cfg = read_config(args.config, args.cfg_options)
    fill_in(cfg)
    if not cfg.get('test_dataloader') or cfg.get('test_cfg') is None:
        raise UserError(
            f'{args.config} lacks test_dataloader or test_cfg: expected both, '
            'and test_evaluator, as in configs/_base_/flower.py'
        )
    if args.image_size:
        cfg.merge_from_dict(
            image_size_settings(cfg, args.image_size, ['test_dataloader'])
        )
    if args.data_root:
        use_data_root(cfg, args.data_root)
    cfg.launcher = args.launcher
    # In the run's own folder it would replace the resolved config.
    cfg.work_dir = args.work_dir or str(Path(args.checkpoint).parent / 'test')
    cfg.load_from = args.checkpoint
    cfg.resume = False  # the config that a resumed run leaves says True
    # TensorBoard is for training.
    cfg.visualizer.vis_backends = [ConfigDict(type='LocalVisBackend')]
    for name in ('pretrained', 'record', 'progress', 'report', 'ema'):
        cfg.default_hooks.pop(name, None)
    if args.seed is not None:
        cfg.setdefault('randomness', ConfigDict()).seed = args.seed
    if args.amp:
        cfg.test_cfg.fp16 = True
    if args.show or args.show_dir:
        cfg.default_hooks.visualization = ConfigDict(
            cfg.default_hooks.get('visualization')
            or {'type': 'VisualizationHook'},
            enable=True,
            show=args.show,
            wait_time=args.wait_time,
            out_dir=args.show_dir,
            interval=args.interval,
        )
    loader = cfg.test_dataloader
    device = use_device(args.device, args.launcher)
    choose_precision(cfg, device, all_ranks=True)
    loader.setdefault('pin_memory', device == 'cuda')
    if args.no_pin_memory:
        loader.pin_memory = False
    return resolve(cfg)
