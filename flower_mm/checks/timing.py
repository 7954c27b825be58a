"""Measure how long a run will take, by a few of its iterations."""

import copy
import gc
import tempfile
import time
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from mmengine.config import Config
from mmengine.hooks import EMAHook, Hook
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from flower_mm.checks.context import CheckContext
from flower_mm.cores import cores
from flower_mm.engine.validation_loop import EMAValLoop
from flower_mm.machine_failures import explained

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
        return (
            self.start
            + self.epochs * self.train
            + self.validations * self.validate
        )

    def __str__(self) -> str:
        validating = ''
        if self.validated:
            validating = f', validation {self.validated:.1f} images/s'
        waiting = f'waiting for photos: {100 * self.waiting:.0f} % of the time'
        if self.waiting >= LOADING:
            waiting += (
                f'; --cfg-options train_dataloader.num_workers={self.workers}'
            )
        return (
            f'training {self.photos:.1f} images/s{validating}\n'
            f'an epoch: training {_clock(self.train)}, validation '
            f'{_clock(self.validate)}\n'
            f'{self.epochs} epoch(s): {_clock(self.whole)}\n{waiting}'
        )


def measure(ctx: CheckContext) -> Timing:
    """Train for some seconds in a temporary folder."""
    cfg = copy.deepcopy(ctx.cfg)
    batch_size = cfg.train_dataloader.get('batch_size', 1)
    with (
        tempfile.TemporaryDirectory(
            prefix='flower_mm_', ignore_cleanup_errors=True
        ) as name,
        redirect_stdout(StringIO()),
        explained(Path(name), batch_size, 'A smaller one: --accumulate 2'),
    ):
        began = time.monotonic()
        _prepare(cfg, name)
        runner = RUNNERS.build(cfg)
        watch = Watch()
        runner.register_hook(watch)
        with suppress(_EnoughError):
            runner.train()
        seconds, validated = _validate(runner)
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
    loop, loader = ctx.cfg.train_cfg, ctx.cfg.train_dataloader
    epochs = loop.get('max_epochs', 1)
    photos = ctx.iterations * batch_size
    if not loader.get('drop_last'):
        photos = min(photos, len(ctx.splits['train_dataloader'].photos))
    return Timing(
        start=watch.start - began,
        photos=watch.speed,
        validated=validated,
        waiting=watch.waiting,
        train=photos / watch.speed,
        validate=seconds,
        epochs=epochs,
        validations=epochs // loop.get('val_interval', 1) if seconds else 0,
        workers=max(cores(), 2 * loader.get('num_workers', 0)),
    )


def _prepare(cfg: Config, folder: str) -> None:
    """Leave out initial weights, files and printed lines."""
    cfg.work_dir = folder
    cfg.load_from, cfg.resume = None, False
    cfg.log_level = 'ERROR'
    cfg.train_cfg.max_epochs = NEVER
    cfg.train_cfg.val_interval = NEVER
    hooks = cfg.get('default_hooks') or {}
    for name in LEFT_OUT:
        hooks.pop(name, None)
    hooks['checkpoint'] = None  # MMEngine would add its own
    cfg.default_hooks = hooks
    if cfg.get('visualizer'):
        cfg.visualizer.vis_backends = []


class _EnoughError(Exception):
    """Stops the training."""


class Watch(Hook):
    """Time iterations after the first ones, and the wait before each."""

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.count = 0
        self.seen = 0  # photos
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
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        self.count += 1
        self.last = time.monotonic()
        if self.count <= WARM_UP:
            self.start = self.last
            return
        self.seen += len(data_batch['inputs'])
        enough = self.count >= WARM_UP + FEWEST
        if enough and self.last - self.start > LONGEST:
            raise _EnoughError

    @property
    def speed(self) -> float:
        """Photos a second."""
        return self.seen / (self.last - self.start)

    @property
    def waiting(self) -> float:
        return self.waited / (self.last - self.start)


def _validate(runner: Runner) -> tuple[float, float]:
    """Seconds of a validation, and photos a second."""
    if runner.val_loop is None:
        return 0.0, 0.0
    loop = runner.val_loop
    runner.model.eval()
    # Workers start here. After one batch only, the next pass would wait for
    # what they have read ahead.
    _some_batches(loop, VALIDATING)
    seconds, batches, photos = _some_batches(loop, VALIDATING)
    averaged = isinstance(loop, EMAValLoop) and any(
        isinstance(hook, EMAHook) for hook in runner.hooks
    )
    whole = seconds / batches * len(loop.dataloader) * (1 + averaged)
    return whole, photos / seconds


def _some_batches(loop: object, most: float) -> tuple[float, int, int]:
    start, photos = time.monotonic(), 0
    for index, batch in enumerate(loop.dataloader):
        loop.run_iter(index, batch)
        photos += len(batch['inputs'])
        if time.monotonic() - start > most:
            break
    return time.monotonic() - start, index + 1, photos


def _clock(seconds: float) -> str:
    if seconds < 60:
        return f'{seconds:.1f} s'
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours} h {minutes} min' if hours else f'{minutes} min {rest} s'
