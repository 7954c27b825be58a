"""Return to the last checkpoint, with a lower learning rate, after NaN."""

from pathlib import Path

from mmengine.dist import barrier, is_main_process

from flower_mm.engine.checkpoint_state import checkpoints, number_of
from flower_mm.engine.hooks.finite_loss import (
    WENT_BACK,
    FiniteLossHook,
    NotFiniteError,
)
from flower_mm.engine.resume import forget_after, newest_whole
from flower_mm.engine.run_start import choose_branch
from flower_mm.engine.runner import FlowerRunner
from flower_mm.layout import RunDir


def train_to_the_end(runner: FlowerRunner) -> None:
    """Train, and retry from the last checkpoint as FiniteLossHook says."""
    continue_training = runner.train
    guard = next(
        (h for h in runner.hooks if isinstance(h, FiniteLossHook)), None
    )
    while True:
        try:
            continue_training()
            return
        except NotFiniteError as error:
            assert guard is not None  # which raised it
            tries = len(runner.message_hub.get_info(WENT_BACK)) + 1
            path = _last_good(runner) if tries <= guard.retries else None
            if path is None:
                raise
            runner.say(
                f'{str(error).splitlines()[0]}\n  back to {path} at '
                f'{guard.factor:g} of the learning rate (try {tries} of '
                f'{guard.retries})'
            )
            barrier()  # until every process has chosen
            if is_main_process():
                choose_branch(path.parent, path, number_of(path), True)
            _go_back(runner, path, guard.factor, error.facts)
            if is_main_process():
                forget_after(
                    path.with_name(RunDir.SCALARS), runner.epoch, runner.iter
                )
            continue_training = runner.train_loop.run


def _last_good(runner: FlowerRunner) -> Path | None:
    """The last checkpoint, or an older one if that was tried already."""
    folder = Path(runner.work_dir)
    newest = newest_whole(folder, runner.say)
    if newest is None:
        return None
    path, _ = newest
    before = runner.message_hub.get_info(WENT_BACK)
    if before and before[-1]['back_to'] == path.name:
        older = [p for p in checkpoints(folder) if p != path]
        if older:
            path = older[-1]
    return path


def _go_back(
    runner: FlowerRunner, path: Path, factor: float, facts: dict
) -> None:
    """Resume the checkpoint with a lower learning rate than it had."""
    hub = runner.message_hub
    times = [*hub.get_info(WENT_BACK), facts | {'back_to': path.name}]
    # As if this run had been resumed, also where it is new.
    runner._resume = True
    runner.optim_wrapper.zero_grad()
    runner.resume(str(path))
    # The checkpoint may have a lowered learning rate already.
    lower = factor ** (len(times) - len(hub.get_info(WENT_BACK)))
    hub.update_info(WENT_BACK, times)
    for group in runner.optim_wrapper.param_groups:
        group['lr'] *= lower
        group['initial_lr'] *= lower
    for schedule in runner.param_schedulers or []:
        schedule.base_values = [v * lower for v in schedule.base_values]
    runner.optim_wrapper.initialize_count_status(
        runner.model, runner.iter, runner.max_iters
    )
