"""The progress of a training: a bar, lines in a file, TensorBoard."""

import sys
import time
from typing import TYPE_CHECKING

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.visualization import TensorboardVisBackend

from flower_mm.console import duration, rich_console, start_bar
from flower_mm.engine.header import header
from flower_mm.errors import UserError
from flower_mm.registry import HOOKS, VISBACKENDS
from flower_mm.report.formatting import TOP1, name_of, value_of
from flower_mm.tracking.trackers import grouped

if TYPE_CHECKING:
    from rich.progress import Progress

LINE_EVERY = 30.0  # seconds between two plain lines inside an epoch
EPOCH_WIDTH = len('epoch 12/100')
RATE = 'learning rate'


@HOOKS.register_module()
class ProgressHook(Hook):
    """Show loss, accuracy, learning rate and the remaining time."""

    comes_last = True  # after the checkpoint hook has the best score
    bar: 'Progress | None' = None

    def before_train(self, runner) -> None:
        self.bar = None
        self.columns: list[str] = []
        self.start = self.last_line = time.monotonic()
        self.first_iter = runner.iter
        if not is_main_process():
            return
        if not hasattr(runner, 'say'):
            raise UserError(
                "MMEngine's Runner cannot train with the hooks of "
                'configs/_base_/flower.py: expected runner_type FlowerRunner.'
                '\n--cfg-options runner_type=FlowerRunner'
            )
        runner.say(header(runner))
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

    def before_train_epoch(self, runner) -> None:
        self.epoch_start = time.monotonic()

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        if not is_main_process():
            return
        now = time.monotonic()
        if self.bar is None and now - self.last_line < LINE_EVERY:
            return
        epoch = f'epoch {runner.epoch + 1}/{runner.max_epochs}'
        state = _state(runner, window=min(batch_idx + 1, 50))
        state += f', {self._remaining(runner, now)} left'
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
            print(
                f'{epoch}, iteration {batch_idx + 1}/{per_epoch}: {state}',
                flush=True,
            )

    def _remaining(self, runner, now: float) -> str:
        done = runner.iter + 1 - self.first_iter
        remaining = runner.max_iters - runner.iter - 1
        return duration((now - self.start) / done * remaining)

    def before_val(self, runner) -> None:
        if self.bar:
            self.bar.update(self.task, now='validating')

    def after_val_epoch(self, runner, metrics: dict) -> None:
        self._epoch_line(runner, metrics)

    def after_train_epoch(self, runner) -> None:
        if runner.val_loop is None:
            self._epoch_line(runner, {}, ended=1)

    def _epoch_line(self, runner, metrics: dict, ended: int = 0) -> None:
        """Print a row about an epoch; the first one below the names."""
        if not is_main_process() or not hasattr(self, 'bar'):
            return
        now = self.last_line = time.monotonic()
        epoch = f'epoch {runner.epoch + ended}/{runner.max_epochs}'
        hub = runner.message_hub.runtime_info
        metric = hub.get('best_metric', TOP1)
        cells = _averages(runner, len(runner.train_dataloader))
        rate = cells.pop(RATE, None)
        for name in dict.fromkeys((TOP1, metric)):
            if name in metrics:
                cells[f'val {name_of(name)}'] = value_of(name, metrics[name])
        if rate is None:  # before the first iteration
            values = [f'{name} {value}' for name, value in cells.items()]
            self._print(f'{epoch}: {", ".join(values)}')
            return
        cells |= {RATE: rate, 'time': duration(now - self.epoch_start)}
        # MMEngine's own CheckpointHook notes no epoch.
        best = hub.get('best_epoch') == runner.epoch and metric in metrics
        if self.columns != list(cells):
            self.columns = list(cells)
            self._print(' ' * EPOCH_WIDTH + ''.join(map(_cell, cells, cells)))
        row = ''.join(map(_cell, cells, cells.values()))
        self._print(f'{epoch:{EPOCH_WIDTH}}{row}{"  best" * best}')

    def _print(self, line: str) -> None:
        if self.bar:
            self.bar.console.print(line, highlight=False)
        else:
            print(line, flush=True)

    def after_train(self, runner) -> None:
        self.close()

    def close(self) -> None:
        """Restore the terminal."""
        if self.bar:
            self.bar.stop()


def _cell(name: str, text: str) -> str:
    """Return a text below the name of its column."""
    return f'  {text:>{max(len(name), 6)}}'


def _state(runner, window: int) -> str:
    """Return what a batch line says about the training."""
    cells = _averages(runner, window)
    return ', '.join(
        f'{name} {text}' for name, text in cells.items() if name != RATE
    )


def _averages(runner, window: int) -> dict[str, str]:
    """Return loss, accuracy and learning rate of the last batches."""
    scalars = runner.message_hub.log_scalars
    if 'train/loss' not in scalars:
        return {}
    cells = {'loss': f'{scalars["train/loss"].mean(window):.3f}'}
    if 'train/accuracy_top-1' in scalars:
        top1 = scalars['train/accuracy_top-1'].mean(window)
        cells['train accuracy'] = f'{top1:.1f} %'
    cells[RATE] = f'{scalars["train/lr"].current():.1e}'
    return cells


@VISBACKENDS.register_module()
class GroupedTensorboardVisBackend(TensorboardVisBackend):
    """MMEngine's backend with the phase in front of each name."""

    def add_scalars(
        self,
        scalar_dict: dict,
        step: int = 0,
        file_path: str | None = None,
        **kwargs,
    ) -> None:
        super().add_scalars(grouped(scalar_dict), step, file_path, **kwargs)
