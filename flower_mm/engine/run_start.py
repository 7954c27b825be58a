"""What a run begins from: a checkpoint, pretrained weights, or nothing."""

import argparse
from collections.abc import Iterable
from datetime import datetime
from functools import partial
from itertools import count
from pathlib import Path

from mmengine.config import Config

from flower_mm.engine.checkpoint_state import checkpoints, number_of
from flower_mm.engine.distributed import is_first, processes
from flower_mm.engine.hooks.pretrained import find_weights
from flower_mm.engine.precision import keep_precision
from flower_mm.engine.resume import (
    epoch_of,
    forget_after,
    newest_whole,
    read_run,
)
from flower_mm.engine.run_identity import differences, require_same
from flower_mm.errors import UserError
from flower_mm.files import write_whole

# What a run leaves in its folder; a new run there sets these aside.
RUN_FILES = (
    'last_checkpoint',
    'epoch_*.pth',
    'best.pth',
    'best_*.pth',
    'scalars.json',
    'curves.png',
    'run.json',
    'tensorboard',
    'predictions.csv',
    'held_out.csv',
    'report.html',
    'report.json',
    'train_batch.jpg',
    'fold_*',
    'folds*',
)


def choose_start(cfg: Config, args: argparse.Namespace) -> None:
    """Settle what the run begins from: a checkpoint, weights, or nothing."""
    folder = Path(cfg.work_dir)
    named = bool(cfg.get('load_from'))
    if named and not Path(cfg.load_from).is_file():
        raise UserError(f'there is no checkpoint {cfg.load_from}')
    asked = cfg.resume or args.resume or args.resume_anyway
    if cfg.resume:
        if named:
            found = Path(cfg.load_from), read_run(Path(cfg.load_from))
        else:
            found = newest_whole(folder, partial(_say, cfg))
        cfg.resume = found is not None
    if cfg.resume:
        _take_up(cfg, *found, args.resume_anyway, named)
    elif is_first(cfg.launcher):
        if asked:
            print(f'nothing to resume in {folder}: it starts anew')
        set_aside(folder, RUN_FILES)
    hook = cfg.default_hooks.get('pretrained')
    if hook and (cfg.resume or cfg.get('load_from')):
        cfg.default_hooks.pretrained = None
    elif hook:
        # Now: a missing file takes no time to tell.
        hook.weights = str(find_weights(hook.weights))


def _take_up(
    cfg: Config, path: Path, meta: dict, anyway: bool, named: bool
) -> None:
    """Compare the checkpoint's run with this one; clear what comes later."""
    cfg.load_from = str(path)
    keep_precision(cfg, meta)
    found = differences(meta, cfg, processes(cfg.launcher))
    if anyway:
        cfg.resume_anyway = found
        for line in found:
            _say(cfg, f'going on although {line}')
    else:
        require_same(path, found)
    if is_first(cfg.launcher):
        folder = Path(cfg.work_dir)
        choose_branch(folder, path, meta['epoch'], named or anyway)
        forget_after(folder / 'scalars.json', meta['epoch'], meta['iter'])


def choose_branch(
    folder: Path, path: Path, epoch: int, other_way: bool
) -> None:
    """Make `folder` what it was when the checkpoint was written.

    What comes later is damaged, or is of the future that is given up. A
    later best.pth stays where the run comes to it again: unless it goes
    another way now.
    """
    if path.parent.resolve() != folder.resolve():
        set_aside(folder, RUN_FILES)
        for best in best_files(path.parent):
            if epoch_of(best) <= epoch:
                write_whole(folder / best.name, best.read_bytes())
        return
    later = [p.name for p in checkpoints(folder) if number_of(p) > epoch]
    if other_way:
        bests = best_files(folder)
        later += [best.name for best in bests if epoch_of(best) > epoch]
    set_aside(folder, later)


def best_files(folder: Path) -> list[Path]:
    """best.pth, and those of further metrics."""
    found = [folder / 'best.pth', *sorted(folder.glob('best_*.pth'))]
    return [path for path in found if path.is_file()]


def _say(cfg: Config, text: str) -> None:
    if is_first(cfg.launcher):
        print(text, flush=True)


def set_aside(folder: Path, names: Iterable[str]) -> None:
    """Move what an earlier run left here into a folder of its own.

    In the order of `names`, checkpoints from the oldest on: where a kill
    interrupts it, what is left here is still a run that can be resumed.
    """
    left = [
        path
        for name in names
        for path in sorted(folder.glob(name), key=lambda p: (len(p.name), p))
    ]
    if not left:
        return
    newest = max(path.stat().st_mtime for path in left)
    stamp = datetime.fromtimestamp(newest).strftime('%Y%m%d_%H%M%S')
    earlier = folder / 'earlier' / stamp
    for number in count(2):
        if not earlier.exists():
            break
        earlier = earlier.with_name(f'{stamp}_{number}')
    earlier.mkdir(parents=True)
    for path in left:
        path.replace(earlier / path.name)
    print(
        f'moved {len(left)} earlier file(s) of {folder} to {earlier}',
        flush=True,
    )
