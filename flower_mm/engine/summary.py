"""What a training run prints when it has ended."""

import argparse
import shlex
from collections import Counter
from pathlib import Path

from mmengine.config import Config

from flower_mm.commands import command, python
from flower_mm.engine.checkpoint import checkpoints
from flower_mm.engine.record import best_top1, logged_scalars
from flower_mm.engine.runner import FlowerRunner
from flower_mm.report.baselines import (
    below_largest_class,
    below_solved_head,
    solved_head,
)
from flower_mm.report.metric import TOP1, name_of, value_of
from flower_mm.user_modules import import_flags


def print_summary(runner: FlowerRunner, args: argparse.Namespace) -> None:
    """Print the best epoch, the files of the run and the next commands."""
    folder = Path(runner.cfg.work_dir)
    hub = runner.message_hub.runtime_info
    weights = _weights(folder, hub)
    own = import_flags(runner.cfg)
    print()
    # MMEngine's own CheckpointHook notes no epoch.
    if 'best_epoch' in hub:
        metric = hub.get('best_metric', TOP1)
        print(
            f'best {name_of(metric)} {value_of(metric, hub["best_score"])} '
            f'on {len(runner.val_dataloader.dataset)} validation photos, '
            f'epoch {hub["best_epoch"]} of {runner.epoch}'
        )
    for line in _shortfalls(runner):
        print(f'note: {line}')
    events = folder / 'tensorboard'
    for what, path in (
        ('weights', weights),
        ('report', folder / 'report.html'),
        ('curves', folder / 'curves.png'),
        ('TensorBoard', events),
    ):
        if path and path.exists():
            print(f'  {what:11}  {path}')
    if runner.val_loop is None and not args.no_report:
        print(
            '  no report: there was no validation that it could tell of. '
            f'One of the training alone:\n  {command("report", folder, *own)}'
        )
    print('next:')
    if weights:
        options = _test_options(runner.cfg, args)
        print(f'  {command("test", args.config, weights, *options)}')
        if weights.name == 'best.pth':  # a page to drop photos on
            print(f'  {command("serve", weights, *own)}')
    if events.exists():
        logs = shlex.quote(str(events))
        print(f'  {python()} -m tensorboard.main --logdir {logs}')
    print(
        f'  {command("prepare_dataset", "YOUR_PHOTOS", "--out", "data/mine")}'
        '    # and train with --data-root data/mine',
        flush=True,
    )


def _test_options(cfg: Config, args: argparse.Namespace) -> list[str]:
    """What of the command line testing needs to measure the same."""
    found = []
    if args.data_root:
        found += ['--data-root', args.data_root]
    if args.device != 'auto':
        found += ['--device', args.device]
    # On a GPU it is of training alone.
    if args.amp and (cfg.get('test_cfg') or {}).get('fp16'):
        found += ['--amp']
    if words := getattr(args, 'cfg_options_words', []):
        found += ['--cfg-options', *words]
    return found


def _shortfalls(runner: FlowerRunner) -> list[str]:
    """Which baselines the run's accuracy does not exceed."""
    is_solved = 'head_first' in runner.message_hub.runtime_info
    found = [below_solved_head(solved_head(logged_scalars(runner), is_solved))]
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
        found.append(below_largest_class(correct, photos))
    return [line for line in found if line]


def _weights(folder: Path, hub: dict) -> Path | None:
    """The best weights that the run left, or the last ones.

    best.pth is written by our CheckpointHook, and where there is validation.
    """
    best = [folder / 'best.pth', Path(hub.get('best_ckpt') or folder)]
    found = [path for path in best if path.is_file()]
    return next(iter(found + checkpoints(folder)[-1:]), None)
