"""Choose what a run starts from: a checkpoint or pretrained weights."""

import argparse
import copy
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import count
from pathlib import Path

from mmengine.config import Config

from flower_mm.config import ResolvedRun
from flower_mm.engine.checkpoint_state import checkpoints, number_of
from flower_mm.engine.hooks.pretrained import find_weights
from flower_mm.engine.precision import keep_precision
from flower_mm.engine.resume import (
    epoch_of,
    forget_after,
    newest_whole,
    read_run,
)
from flower_mm.engine.run_identity import differences, require_same
from flower_mm.engine.same_start import require_same_start
from flower_mm.errors import UserError
from flower_mm.files import write_whole
from flower_mm.launcher import is_first, processes, restarts
from flower_mm.layout import RunDir

# The files of a run; a new run in the same folder moves them away.
RUN_FILES = (
    RunDir.LAST_CHECKPOINT,
    'epoch_*.pth',
    RunDir.BEST,
    'best_*.pth',
    RunDir.SCALARS,
    RunDir.CURVES,
    RunDir.RECORD,
    RunDir.TENSORBOARD,
    RunDir.PREDICTIONS,
    RunDir.HELD_OUT,
    RunDir.REPORT,
    RunDir.REPORT_DATA,
    RunDir.TRAIN_BATCH,
    RunDir.tracking('*'),
    'fold_*',
    'folds*',
)


def choose_start(run: ResolvedRun, args: argparse.Namespace) -> ResolvedRun:
    """Resolve `resume`, `load_from` and the pretrained weights of a run.

    Files of the folder that the run does not continue are moved away.
    """
    cfg, folder = copy.deepcopy(run.cfg), run.work_dir
    named = bool(cfg.get('load_from'))
    if named and not Path(cfg.load_from).is_file():
        raise UserError(f'there is no checkpoint {cfg.load_from}')
    is_asked = cfg.resume or args.resume or args.resume_anyway
    if restarts(cfg.launcher) and not is_asked:
        raise UserError(
            '--max-restarts requires --resume: without it, restarted '
            'processes begin a new run.\nAdd --resume to the options of train'
        )
    checkpoint = None
    if cfg.resume:
        if named:
            checkpoint = Path(cfg.load_from), read_run(Path(cfg.load_from))
        else:
            checkpoint = newest_whole(folder, partial(_say, cfg))
        cfg.resume = checkpoint is not None
    require_same_start(cfg, checkpoint)
    if checkpoint:
        _resume_from(cfg, *checkpoint, args.resume_anyway, named)
    elif is_first(cfg.launcher):
        if is_asked:
            print(f'nothing to resume in {folder}: starting a new run')
        set_aside(folder, RUN_FILES)
    hook = cfg.default_hooks.get('pretrained')
    if hook and (cfg.resume or cfg.get('load_from')):
        cfg.default_hooks.pretrained = None
    elif hook:
        # Before the model is built, so that a missing file is an early error.
        hook.weights = str(find_weights(hook.weights))
    return replace(run, cfg=cfg)


def _resume_from(
    cfg: Config, path: Path, meta: dict, anyway: bool, named: bool
) -> None:
    """Compare the checkpoint's run with this one; move later files away."""
    cfg.load_from = str(path)
    keep_precision(cfg, meta)
    changes = differences(meta, cfg, processes(cfg.launcher))
    if anyway:
        cfg.resume_anyway = changes
        for line in changes:
            _say(cfg, f'resuming although {line}')
    else:
        require_same(path, changes)
    if is_first(cfg.launcher):
        folder = Path(cfg.work_dir)
        choose_branch(folder, path, meta['epoch'], named or anyway)
        forget_after(folder / RunDir.SCALARS, meta['epoch'], meta['iter'])


def choose_branch(
    folder: Path, path: Path, epoch: int, other_way: bool
) -> None:
    """Restore `folder` to the time when the checkpoint was written.

    Later files are damaged or obsolete. A later best.pth stays, because the
    run reaches it again, unless `other_way` says that it will differ.
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
        later.append(RunDir.tracking('*'))  # another run for trackers
    set_aside(folder, later)


def best_files(folder: Path) -> list[Path]:
    """best.pth, and those of further metrics."""
    paths = [folder / RunDir.BEST, *sorted(folder.glob('best_*.pth'))]
    return [path for path in paths if path.is_file()]


def _say(cfg: Config, text: str) -> None:
    if is_first(cfg.launcher):
        print(text, flush=True)


def set_aside(folder: Path, names: Iterable[str]) -> None:
    """Move the files of an earlier run into a folder below `earlier`.

    In the order of `names`, checkpoints from the oldest on: if this is
    killed, the files that remain are still a run that can be resumed.
    """
    paths = [
        path
        for name in names
        for path in sorted(folder.glob(name), key=lambda p: (len(p.name), p))
    ]
    if not paths:
        return
    newest = max(path.stat().st_mtime for path in paths)
    stamp = datetime.fromtimestamp(newest).strftime('%Y%m%d_%H%M%S')
    earlier = folder / 'earlier' / stamp
    for number in count(2):
        if not earlier.exists():
            break
        earlier = earlier.with_name(f'{stamp}_{number}')
    earlier.mkdir(parents=True)
    for path in paths:
        path.replace(earlier / path.name)
    print(
        f'moved {len(paths)} earlier file(s) of {folder} to {earlier}',
        flush=True,
    )
