"""The last lines of a training: its result, files and next commands."""

import argparse
import shlex
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config

from flower_mm.commands import command, python
from flower_mm.console import duration
from flower_mm.engine.checkpoint_state import checkpoints
from flower_mm.engine.hooks.run_record import best_top1, logged_scalars
from flower_mm.engine.runner import FlowerRunner
from flower_mm.layout import RunDir
from flower_mm.packaged_configs import typed_config
from flower_mm.report.baselines import (
    below_linear_probe,
    below_majority_class,
    linear_probe,
)
from flower_mm.report.formatting import TOP1, name_of, value_of
from flower_mm.user_modules import import_flags

DEMO_PHOTOS = Path('data/demo_photos')


def print_summary(runner: FlowerRunner, args: argparse.Namespace) -> None:
    """Print the best epoch, the files of the run and the next commands."""
    folder = Path(runner.cfg.work_dir)
    hub = runner.message_hub.runtime_info
    weights = _weights(folder, hub)
    print()
    # MMEngine's own CheckpointHook stores no epoch.
    if 'best_epoch' in hub:
        metric = hub.get('best_metric', TOP1)
        print(
            f'best {name_of(metric)} {value_of(metric, hub["best_score"])} '
            f'on {len(runner.val_dataloader.dataset)} validation photos, '
            f'epoch {hub["best_epoch"]} of {runner.epoch}'
        )
    print(f'total time {duration(time.monotonic() - args.begin)}')
    for line in _shortfalls(runner):
        print(f'note: {line}')
    _print_rows(
        {
            'weights': weights,
            'report': folder / RunDir.REPORT,
            'curves': folder / RunDir.CURVES,
            'TensorBoard': folder / RunDir.TENSORBOARD,
        }
    )
    if runner.val_loop is None and not args.no_report:
        own = import_flags(runner.cfg)
        print(
            'There is no report, because there was no validation.\n'
            'A report about the training only:\n'
            f'  {command("report", folder, *own)}'
        )
    print('next:')
    _print_rows(_next_commands(runner.cfg, args, weights))
    sys.stdout.flush()


def _print_rows(rows: Mapping[str, str | Path | None]) -> None:
    """Print names and values; paths only where there is something."""
    shown = {
        name: value
        for name, value in rows.items()
        if value and (not isinstance(value, Path) or value.exists())
    }
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        print(f'  {name:{width}}  {value}')


def _next_commands(
    cfg: Config, args: argparse.Namespace, weights: Path | None
) -> dict[str, str]:
    """Return what a user may do with the trained model, with commands."""
    is_demo = Path(args.config).stem == 'demo_flower' and not args.data_root
    photos = DEMO_PHOTOS if is_demo and DEMO_PHOTOS.is_dir() else 'PHOTOS'
    own = import_flags(cfg)
    device = [] if args.device == 'auto' else ['--device', args.device]
    rows = {}
    if weights and weights.name == RunDir.BEST:
        rows['classify photos'] = command(
            'predict', weights, photos, *device, *own
        )
        rows['in a browser'] = command('serve', weights, *device, *own)
    if weights:
        rows['measure again'] = command(
            'test',
            typed_config(args.config),
            weights,
            *_test_options(cfg, args),
        )
    events = Path(cfg.work_dir) / RunDir.TENSORBOARD
    if events.exists():
        logs = shlex.quote(str(events))
        rows['see curves'] = f'{python()} -m tensorboard.main --logdir {logs}'
    if is_demo:
        rows['your photos'] = command(
            'prepare', 'YOUR_PHOTOS', '--out', 'data/mine'
        )
    return rows


def _test_options(cfg: Config, args: argparse.Namespace) -> list[str]:
    """Return the options that `test` needs to measure the same."""
    options = []
    if args.data_root:
        options += ['--data', args.data_root]
    if args.device != 'auto':
        options += ['--device', args.device]
    # On a GPU, --amp concerns training alone.
    if args.amp and (cfg.get('test_cfg') or {}).get('fp16'):
        options += ['--amp']
    if args.backbone:
        options += ['--backbone', args.backbone]
    if args.image_size:
        options += ['--image-size', str(args.image_size)]
    if args.cfg_options_words:
        options += ['--cfg-options', *args.cfg_options_words]
    return options


def _shortfalls(runner: FlowerRunner) -> list[str]:
    """Notes on baselines that are as good as the run."""
    is_fitted = 'head_first' in runner.message_hub.runtime_info
    probe = linear_probe(logged_scalars(runner), is_fitted)
    notes = [below_linear_probe(probe)]
    top1 = best_top1(runner)
    if top1 is not None:
        dataset = runner.val_dataloader.dataset
        classes = dataset.metainfo['classes']
        labels = [
            dataset.get_data_info(place)['gt_label']
            for place in range(len(dataset))
        ]
        count = Counter(labels)
        photos = {name: count[i] for i, name in enumerate(classes)}
        correct = round(top1 / 100 * len(labels))
        notes.append(below_majority_class(correct, photos))
    return [line for line in notes if line]


def _weights(folder: Path, hub: dict) -> Path | None:
    """The file of the best weights, or of the last ones.

    Without validation, or with MMEngine's CheckpointHook, there is no
    best.pth.
    """
    best = [folder / RunDir.BEST, Path(hub.get('best_ckpt') or folder)]
    files = [path for path in best if path.is_file()]
    return next(iter(files + checkpoints(folder)[-1:]), None)
