"""Train: from a config and the command line to best.pth and a summary."""

import argparse
import gc
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from typing import Any

from mmengine.registry import RUNNERS
from mmengine.runner import BaseLoop

from flower_mm.commands import command, typed_arguments
from flower_mm.config import ResolvedRun
from flower_mm.engine.checkpoint_state import (
    checkpoints,
    config_as_data,
    number_of,
)
from flower_mm.engine.distributed import leave_group
from flower_mm.engine.hooks.finite_loss import NotFiniteError
from flower_mm.engine.hooks.known_photos import KnownPhotosHook
from flower_mm.engine.hooks.progress import ProgressHook
from flower_mm.engine.hooks.report import ReportHook
from flower_mm.engine.hooks.run_record import RunRecordHook
from flower_mm.engine.nan_retry import train_to_the_end
from flower_mm.engine.run_start import choose_start
from flower_mm.engine.run_summary import print_summary
from flower_mm.engine.runner import FlowerRunner
from flower_mm.errors import UserError, message_of
from flower_mm.exit_codes import Terminated, interrupted, let_children_end
from flower_mm.files import sweep
from flower_mm.launcher import is_first
from flower_mm.links import refuse_links_out
from flower_mm.lock import only_run_in
from flower_mm.machine_failures import explained
from flower_mm.process_resources import keep_memory
from flower_mm.tracking.start import tracked
from flower_mm.weights.safe_loading import safe_loading

# What they do can take longer than other processes of a group would wait.
AFTER_GROUP = (KnownPhotosHook, ReportHook)


@safe_loading()
def train(run: ResolvedRun, args: argparse.Namespace) -> int | None:
    """Train with the parsed arguments of `train`; return the exit code."""
    keep_memory()
    folder = run.work_dir
    first = is_first(run.cfg.launcher)
    with ExitStack() as stack:
        if first:
            stack.enter_context(only_run_in(folder))
            sweep(folder)
        else:
            refuse_links_out(folder)
        run = choose_start(run, args)
        stack.enter_context(_tracked(run, args))
        try:
            runner = _train(run, args)
        except KeyboardInterrupt as stop:
            if first:
                print(f'\nstopped; {_resume_hint(folder, args)}', flush=True)
            return interrupted(stop)
        except NotFiniteError:
            raise  # resuming would fail in the same way
        except UserError as error:
            if not getattr(error, 'while_training', False):
                raise
            raise UserError(
                f'{message_of(error)}\n{_resume_hint(folder, args)}'
            ) from error
        _end_workers(runner)
        leave_group()
        if first:
            for hook in runner.hooks:
                if isinstance(hook, AFTER_GROUP):
                    hook.write(runner)
            if not args.folds:
                print_summary(runner, args)
        del runner  # its model keeps the threads of the group alive
        gc.collect()
    return None


def _tracked(
    run: ResolvedRun, args: argparse.Namespace
) -> AbstractContextManager:
    """Send the run to the trackers of --log, from the first process."""
    trackers = args.log if is_first(run.cfg.launcher) else []
    # The dataset of a fold is named after its number.
    dataset = getattr(args, 'dataset', run.data_root.resolve().name)
    return tracked(trackers, run.work_dir, dataset, config_as_data(run.cfg))


def _train(run: ResolvedRun, args: argparse.Namespace) -> FlowerRunner:
    """Build the Runner and train; write any error into run.json."""
    batch_size = run.cfg.train_dataloader.get('batch_size', 1)
    less = (
        'Split each batch into parts, for example of '
        f'{max(1, batch_size // 2)} photos: '
        f'--accumulate {2 * args.accumulate}'
    )
    runner = None
    try:
        with explained(run.work_dir, batch_size, less):
            runner = RUNNERS.build(run.cfg)
            for hook in runner.hooks:
                if isinstance(hook, AFTER_GROUP):
                    hook.later = True
            train_to_the_end(runner)
    except BaseException as ended:
        let_children_end()
        # SIGTERM may end a worker first.
        error: Any = Terminated() if Terminated.came else ended
        if runner:
            _record(runner, error)
            # Resuming is useful after the first iteration. Reading
            # runner.iter would build the loop.
            is_built = isinstance(runner._train_loop, BaseLoop)
            error.while_training = is_built and runner.iter > 0
        if error is ended:
            raise
        raise error from ended
    return runner


def _end_workers(runner: FlowerRunner) -> None:
    """End persistent workers in torch's own order.

    If Python collected loaders and queues together, it could close the queues
    before the loaders have used them to end the workers.
    """
    for loop in (runner.train_loop, runner.val_loop):
        if loop:
            loop.dataloader._iterator = None


def _record(runner: FlowerRunner, error: BaseException) -> None:
    """Restore the terminal and write the end of the run into run.json."""
    is_stopped = isinstance(error, KeyboardInterrupt)
    for hook in runner.hooks:
        if isinstance(hook, ProgressHook):
            hook.close()
        elif isinstance(hook, RunRecordHook):
            # A full disk or a dead worker may make this fail as well.
            with suppress(OSError, UserError, RuntimeError):
                if is_stopped:
                    hook.end(runner, 'interrupted')
                else:
                    hook.end(runner, 'failed', error)


def _resume_hint(folder: Path, args: argparse.Namespace) -> str:
    last = max(map(number_of, checkpoints(folder)), default=None)
    if last is None:
        return f'no checkpoint yet. Start again:\n  {_command(args)}'
    return (
        f'the latest checkpoint is of epoch {last}. Resume from it:\n'
        f'  {_command(args, "--resume")}'
    )


def _command(args: argparse.Namespace, *more: str) -> str:
    """Return the command line with another checkpoint to resume from."""
    words = []
    given = iter(typed_arguments())
    for word in given:
        if word == '--resume' and args.resume not in (None, 'auto'):
            next(given)  # the checkpoint
        elif not word.startswith('--resume'):
            words.append(word)
    return command('train', *words, *more)
