"""One training run: from settled config to best.pth and a summary."""

import argparse
import shlex
import sys
from datetime import datetime
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.dist import is_main_process
from mmengine.registry import RUNNERS

from flower_mm.cli import INTERRUPTED, command, python
from flower_mm.engine.checkpoint import checkpoints, number_of
from flower_mm.engine.device import leave_group, use_device
from flower_mm.engine.pretrained import find_weights
from flower_mm.engine.progress import ProgressHook
from flower_mm.engine.record import RunRecordHook
from flower_mm.errors import UserError
from flower_mm.settings import read_config, settle, use_data_root

# What a run leaves in its folder; a new run there sets these aside.
RUN_FILES = (
    'best.pth',
    'epoch_*.pth',
    'last_checkpoint',
    'scalars.json',
    'curves.png',
    'run.json',
    'tensorboard',
)


def configure(args: argparse.Namespace) -> Config:
    """Merge config file and command line, with MMPretrain's meanings."""
    cfg = read_config(args.config, args.cfg_options)
    if args.data_root:
        use_data_root(cfg, args.data_root)
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.launcher = args.launcher
    if args.work_dir:
        cfg.work_dir = args.work_dir
    elif not cfg.get('work_dir'):
        cfg.work_dir = str(Path('work_dirs') / Path(args.config).stem)
    device = use_device(args.device, args.launcher)
    if args.amp:
        if device == 'cuda':
            cfg.optim_wrapper.type = 'AmpOptimWrapper'
            cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
        else:
            cfg.optim_wrapper.type = 'Bf16OptimWrapper'
    if args.resume:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    if args.auto_scale_lr:
        cfg.setdefault('auto_scale_lr', ConfigDict()).enable = True
    if args.seed is not None:
        cfg.setdefault('randomness', ConfigDict()).seed = args.seed
    if args.from_scratch:
        cfg.default_hooks.pretrained = None
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = cfg.get(name)
        if loader:
            _complete_loader(loader, args, device)
    return cfg


def _complete_loader(
    loader: ConfigDict, args: argparse.Namespace, device: str
) -> None:
    loader.setdefault('persistent_workers', True)
    # Pinned memory serves copies to a GPU and warns where there is none.
    loader.setdefault('pin_memory', device == 'cuda')
    if args.no_pin_memory:
        loader.pin_memory = False
    if args.no_persistent_workers or not loader.get('num_workers'):
        loader.persistent_workers = False


def train(args: argparse.Namespace) -> int | None:
    """Run `tools/train.py` with its parsed arguments."""
    cfg = configure(args)
    settle(cfg)
    folder = Path(cfg.work_dir)
    if cfg.resume and not cfg.load_from:
        kept = checkpoints(folder)
        if kept:
            cfg.load_from = str(kept[-1])
        else:
            print(f'nothing to resume in {folder}: it starts anew', flush=True)
            cfg.resume = False
    elif cfg.get('load_from') and not Path(cfg.load_from).is_file():
        raise UserError(f'there is no checkpoint {cfg.load_from}')
    _choose_weights(cfg)
    if is_main_process() and not cfg.resume:
        _set_aside(folder)
    _log_into(cfg)
    runner = RUNNERS.build(cfg)
    record = _hook(runner, RunRecordHook)
    try:
        runner.train()
    except KeyboardInterrupt:
        _hook(runner, ProgressHook).close()
        record.end(runner, 'interrupted')
        if is_main_process():
            kept = [number_of(path) for path in checkpoints(folder)]
            print(
                f'\nstopped; {max(kept, default=0)} whole epoch(s) are kept. '
                f'Go on from there:\n  {_resume_command(args)}',
                flush=True,
            )
        return INTERRUPTED
    except BaseException:
        _hook(runner, ProgressHook).close()
        raise
    if is_main_process():
        _summary(runner, args)
    leave_group()
    return None


def _choose_weights(cfg: Config) -> None:
    """Find the pretrained file now: a missing one takes no time to tell."""
    hook = cfg.default_hooks.get('pretrained')
    if not hook:
        return
    if cfg.resume or cfg.get('load_from'):
        cfg.default_hooks.pretrained = None
    else:
        hook.weights = str(find_weights(hook.weights))


def _set_aside(folder: Path) -> None:
    """Move what an earlier run left here into a folder of its own."""
    left = [path for name in RUN_FILES for path in folder.glob(name)]
    if not left:
        return
    newest = max(path.stat().st_mtime for path in left)
    stamp = datetime.fromtimestamp(newest).strftime('%Y%m%d_%H%M%S')
    earlier = folder / 'earlier' / stamp
    earlier.mkdir(parents=True, exist_ok=True)
    for path in left:
        path.replace(earlier / path.name)
    print(f'the earlier run of {folder} is now in {earlier}', flush=True)


def _log_into(cfg: Config) -> None:
    """Put scalars.json and the TensorBoard events right under work_dir."""
    folder = Path(cfg.work_dir)
    for backend in cfg.visualizer.vis_backends:
        if backend.type == 'LocalVisBackend':
            backend.save_dir = str(folder)
            # The Runner writes the resolved config under this name as well.
            backend.config_save_file = Path(cfg.filename).name
        elif backend.type == 'TensorboardVisBackend':
            backend.save_dir = str(folder / 'tensorboard')


def _hook(runner, kind: type):
    return next(hook for hook in runner.hooks if isinstance(hook, kind))


def _resume_command(args: argparse.Namespace) -> str:
    """The command line as it was, but resuming from the last checkpoint."""
    words = []
    given = iter(sys.argv[1:])
    for word in given:
        if word == '--resume' and args.resume != 'auto':
            next(given)  # the checkpoint
        elif word != '--resume' and not word.startswith('--resume='):
            words.append(word)
    return command('train', *words, '--resume')


def _summary(runner, args: argparse.Namespace) -> None:
    folder = Path(runner.cfg.work_dir)
    hub = runner.message_hub.runtime_info
    best = folder / 'best.pth'
    print()
    if 'best_score' in hub:
        print(
            f'best accuracy {hub["best_score"]:.2f} % on '
            f'{len(runner.val_dataloader.dataset)} validation photos, '
            f'epoch {hub["best_epoch"]} of {runner.epoch}'
        )
        print(f'  weights      {best}')
    print(f'  curves       {folder / "curves.png"}')
    print(f'  TensorBoard  {folder / "tensorboard"}')
    data = ('--data-root', args.data_root) if args.data_root else ()
    events = shlex.quote(str(folder / 'tensorboard'))
    print(
        'next:\n'
        f'  {command("test", args.config, best, *data)}\n'
        f'  {python()} -m tensorboard.main --logdir {events}\n'
        f'  {command("prepare_dataset", "YOUR_PHOTOS", "--out", "data/mine")}'
        '    # and train with --data-root data/mine',
        flush=True,
    )
