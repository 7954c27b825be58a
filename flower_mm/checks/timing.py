"""Measure how long a run will take, by a few of its iterations."""

import copy
import gc
import tempfile
import time
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import RUNNERS
from mmengine.runner import BaseLoop, Runner

from flower_mm.checks.config_values import has_hook
from flower_mm.checks.context import CheckContext
from flower_mm.console import duration
from flower_mm.engine.validation_loop import EMAValLoop
from flower_mm.machine_failures import explained
from flower_mm.process_resources import cores

WARM_UP = 2  # iterations: memory is allocated, workers start
FEWEST = 5  # measured iterations
LONGEST = 15.0  # seconds of them
VALIDATING = 5.0  # seconds
NEVER = 1_000_000  # epochs
LOADING = 0.3  # share of the time spent waiting for photos
LEFT_OUT = ('pretrained', 'finite', 'record', 'progress', 'report')


@dataclass(frozen=True)
class Timing:
    """Seconds of an epoch and of its parts."""

    start: float  # seconds of the slower first iterations
    photos: float  # a second, in training
    validated: float  # photos a second; 0 without validation
    waiting: float  # share of the time spent waiting for photos
    train: float  # seconds of an epoch
    validate: float  # seconds of a validation
    epochs: int
    validations: int
    workers: int

    @property
    def whole(self) -> float:
        validating = self.validations * self.validate
        return self.start + self.epochs * self.train + validating

    def __str__(self) -> str:
        validating = ''
        if self.validated:
            validating = f', validation {self.validated:.1f} images/s'
        waiting = f'waiting for photos: {100 * self.waiting:.0f} % of the time'
        if self.waiting >= LOADING:
            waiting += f'; --workers {self.workers}'
        return (
            f'training {self.photos:.1f} images/s{validating}\n'
            f'an epoch: training {duration(self.train)}, validation '
            f'{duration(self.validate)}\n'
            f'{self.epochs} epoch(s): {duration(self.whole)}\n{waiting}'
        )


def measure(ctx: CheckContext) -> Timing:
    """Train for some seconds in a temporary folder."""
    loop, loader = ctx.cfg.train_cfg, ctx.cfg.train_dataloader
    batch_size = loader.get('batch_size', 1)
    with (
        tempfile.TemporaryDirectory(
            prefix='flower_mm_', ignore_cleanup_errors=True
        ) as name,
        redirect_stdout(StringIO()),
        explained(Path(name), batch_size, 'A smaller one: --accumulate 2'),
    ):
        began = time.monotonic()
        runner = RUNNERS.build(_short_run(ctx.cfg, name))
        watch = Watch()
        runner.register_hook(watch)
        with suppress(_EnoughError):
            runner.train()
        seconds, validated = _validate(runner)
        if isinstance(runner.val_loop, EMAValLoop) and has_hook(
            ctx.cfg, 'EMAHook'
        ):
            seconds *= 2
        # MMEngine's next model would write into a closed handler.
        for handler in tuple(runner.logger.handlers):
            runner.logger.removeHandler(handler)
            handler.close()
    # The runner's parts refer to each other in circles. Workers end at once
    # when their loader goes as the last one of it.
    loops = filter(None, (runner.train_loop, runner.val_loop))
    loaders = [loop.dataloader for loop in loops]
    del runner
    gc.collect()
    del loaders
    epochs = loop.get('max_epochs', 1)
    photos = ctx.iterations * batch_size
    if not loader.get('drop_last'):
        photos = min(photos, len(ctx.train.photos))
    return Timing(
        start=watch.start - began,
        photos=watch.photos / watch.seconds,
        validated=validated,
        waiting=watch.waited / watch.seconds,
        train=photos * watch.seconds / watch.photos,
        validate=seconds,
        epochs=epochs,
        validations=epochs // loop.get('val_interval', 1) if seconds else 0,
        workers=max(cores(), 2 * loader.get('num_workers', 0)),
    )


def _short_run(cfg: Config, folder: str) -> Config:
    """Return a copy without initial weights, files and printed lines."""
    cfg = copy.deepcopy(cfg)
    cfg.work_dir = folder
    cfg.load_from, cfg.resume = None, False
    cfg.log_level = 'ERROR'
    cfg.train_cfg.max_epochs = NEVER
    cfg.train_cfg.val_interval = NEVER
    for name in LEFT_OUT:
        cfg.default_hooks.pop(name, None)
    cfg.default_hooks.checkpoint = None  # MMEngine would add its own
    cfg.visualizer.vis_backends = []
    return cfg


class _EnoughError(Exception):
    """Stops the training."""


class Watch(Hook):
    """Time iterations after the first ones, and the wait before each."""

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.count = 0
        self.photos = 0
        self.waited = 0.0

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        if self.count > WARM_UP:
            self.waited += time.monotonic() - self.last

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict | None = None,
    ) -> None:
        self.count += 1
        self.last = time.monotonic()
        if self.count <= WARM_UP:
            self.start = self.last
            return
        self.photos += len(data_batch['inputs'])
        if self.count >= WARM_UP + FEWEST and self.seconds > LONGEST:
            raise _EnoughError

    @property
    def seconds(self) -> float:
        return self.last - self.start


def _validate(runner: Runner) -> tuple[float, float]:
    """Seconds of a pass over the validation photos, and photos a second."""
    if runner.val_loop is None:
        return 0.0, 0.0
    loop = runner.val_loop
    runner.model.eval()
    # Workers start here. After one batch only, the next pass would wait for
    # what they have read ahead.
    _some_batches(loop)
    seconds, batches, photos = _some_batches(loop)
    return seconds / batches * len(loop.dataloader), photos / seconds


def _some_batches(loop: BaseLoop) -> tuple[float, int, int]:
    start, photos = time.monotonic(), 0
    for index, batch in enumerate(loop.dataloader):
        loop.run_iter(index, batch)
        photos += len(batch['inputs'])
        if time.monotonic() - start > VALIDATING:
            break
    return time.monotonic() - start, index + 1, photos
