"""How a run goes: a live bar on a terminal, plain lines in a file."""

import sys
import time

from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from flower_mm.console import rich_console, start_bar
from flower_mm.errors import UserError
from flower_mm.registry import HOOKS
from flower_mm.report.metric import TOP1, value_of

LINE_EVERY = 30.0  # seconds between two plain lines inside an epoch


@HOOKS.register_module()
class ProgressHook(Hook):
    """Show loss, accuracy, rate and the time left."""

    comes_last = True  # when CheckpointHook knows the best score

    def before_train(self, runner) -> None:
        self.bar = None
        self.start = self.last_line = time.monotonic()
        self.first_iter = runner.iter
        self.seconds_validating = 0.0
        if not is_main_process():
            return
        if not hasattr(runner, 'say'):
            raise UserError(
                "MMEngine's own Runner cannot train with the hooks of our "
                'base: --cfg-options runner_type=FlowerRunner'
            )
        dataset = runner.train_dataloader.dataset
        left = runner.max_epochs - runner.epoch
        runner.say(
            f'{len(dataset)} photos of {len(dataset.metainfo["classes"])} '
            f'classes to learn from, {left} epoch{"s" * (left != 1)} of '
            f'{len(runner.train_dataloader)} iterations; '
            f'results go to {runner.cfg.work_dir}'
        )
        if sys.stdout.isatty():
            self._open_bar(runner)

    def _open_bar(self, runner) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        self.bar = Progress(
            TextColumn('{task.description}'),
            BarColumn(bar_width=24),
            TextColumn('{task.fields[now]}'),
            transient=True,
            console=rich_console(sys.stdout),
        )
        self.task = self.bar.add_task(
            'starting', total=runner.max_iters, completed=runner.iter, now=''
        )
        start_bar(self.bar)

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        if not is_main_process():
            return
        now = time.monotonic()
        if self.bar is None and now - self.last_line < LINE_EVERY:
            return
        epoch = f'epoch {runner.epoch + 1}/{runner.max_epochs}'
        state = _recent(runner, window=min(batch_idx + 1, 50))
        state += f'  {self._left(runner, now)} left'
        if self.bar:
            self.bar.update(
                self.task,
                completed=runner.iter + 1,
                description=epoch,
                now=state,
            )
        else:
            self.last_line = now
            per_epoch = len(runner.train_dataloader)
            print(f'{epoch}  {batch_idx + 1}/{per_epoch}  {state}', flush=True)

    def _left(self, runner, now: float) -> str:
        done = runner.iter + 1 - self.first_iter
        left = (now - self.start) / done * (runner.max_iters - runner.iter - 1)
        return f'{int(left // 60)}:{int(left % 60):02d}'

    def before_val(self, runner) -> None:
        if getattr(self, 'bar', None):
            self.bar.update(self.task, now='validating')

    def after_val_epoch(self, runner, metrics: dict | None = None) -> None:
        self._epoch_line(runner, metrics)

    def after_train_epoch(self, runner) -> None:
        if runner.val_loop is None:
            self._epoch_line(runner, {}, ended=1)

    def _epoch_line(self, runner, metrics: dict, ended: int = 0) -> None:
        if not is_main_process() or not hasattr(self, 'bar'):
            return
        self.last_line = time.monotonic()
        line = (
            f'epoch {runner.epoch + ended}/{runner.max_epochs}  '
            f'{_recent(runner, len(runner.train_dataloader))}'
        )
        hub = runner.message_hub.runtime_info
        metric = hub.get('best_metric', TOP1)
        for name in dict.fromkeys((TOP1, metric)):
            if name in metrics:
                shown = 'val' if name == TOP1 else name
                line += f'  {shown} {_number(name, metrics[name])}'
        # MMEngine's own CheckpointHook notes no epoch.
        if metric in metrics and 'best_epoch' in hub:
            line += (
                f'  best {_number(metric, hub["best_score"])}'
                f' (epoch {hub["best_epoch"]})'
            )
        if self.bar:
            self.bar.console.print(line, highlight=False)
        else:
            print(line, flush=True)

    def after_train(self, runner) -> None:
        self.close()

    def close(self) -> None:
        """Give the terminal back, also when the run was stopped."""
        if getattr(self, 'bar', None):
            self.bar.stop()


def _number(metric: str, score: float) -> str:
    return value_of(metric, score).removesuffix(' %')


def _recent(runner, window: int) -> str:
    """Loss, accuracy and rate, averaged over the last `window` batches."""
    scalars = runner.message_hub.log_scalars
    if 'train/loss' not in scalars:
        return 'before training'
    text = f'loss {scalars["train/loss"].mean(window):.3f}'
    if 'train/accuracy_top-1' in scalars:
        text += f'  train {scalars["train/accuracy_top-1"].mean(window):.1f}'
    return f'{text}  lr {scalars["train/lr"].current():.1e}'
