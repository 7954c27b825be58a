"""How long a run will take, by doing a few iterations of it."""

import copy
import gc
import tempfile
import time
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from io import BytesIO, StringIO
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.hooks import EMAHook, Hook
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from flower_mm.checks.case import Case
from flower_mm.checks.machine import disk
from flower_mm.checks.machine.limits import cores
from flower_mm.config import settle
from flower_mm.engine.validation_loop import EMAValLoop
from flower_mm.files import write_whole
from flower_mm.machine_failures import explained

WARM_UP = 2  # iterations: memory is found, workers start
FEWEST = 5  # iterations that are measured
LONGEST = 15.0  # seconds of them, where there are more
VALIDATING = 5.0  # seconds of batches of val
NEVER = 1_000_000  # epochs; a short one is followed by others
LOADING = 0.3  # of the time that is waited for photos
LEFT_OUT = ('pretrained', 'finite', 'record', 'progress', 'report')


@dataclass(frozen=True)
class Timing:
    """Seconds of an epoch and of what makes them up."""

    start: float  # seconds until iterations take as long as later
    photos: float  # a second, while training
    validated: float  # photos a second; 0 where nothing is validated
    waiting: float  # the share of the time that is waited for photos
    train: float  # seconds of an epoch
    validate: float  # seconds of a validation
    write: float  # seconds of an epoch's checkpoint and best.pth
    epochs: int
    validations: int
    workers: int

    @property
    def whole(self) -> float:
        return (
            self.start
            + self.epochs * (self.train + self.write)
            + self.validations * self.validate
        )

    def __str__(self) -> str:
        validating = ''
        if self.validated:
            validating = f', {self.validated:.0f} to validate'
        lines = [
            f'{self.photos:.1f} photos a second to learn from{validating}',
            f'an epoch    {_clock(self.train)}, '
            f'{_clock(self.validate)} to validate, '
            f'{_clock(self.write)} to write',
            f'{self.epochs} epoch(s)  {_clock(self.whole)}',
        ]
        share = f'{100 * self.waiting:.0f} % of the time'
        if self.waiting < LOADING:
            lines.append(f'computing takes it; {share} photos are waited for')
        else:
            lines.append(
                f'{share} photos are waited for: --cfg-options '
                f'train_dataloader.num_workers={self.workers}'
            )
        return '\n'.join(lines)


def measure(case: Case) -> Timing:
    """Train for some seconds in a folder that is gone afterwards."""
    cfg = copy.deepcopy(case.cfg)
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
        speed = _writing(runner, Path(name))
        # MMEngine's next model would write into a handler that is closed.
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
    loop, loader = case.cfg.train_cfg, case.cfg.train_dataloader
    epochs = loop.get('max_epochs', 1)
    photos = case.iterations * batch_size
    if not loader.get('drop_last'):
        photos = min(photos, len(case.splits['train_dataloader'].photos))
    return Timing(
        start=watch.start - began,
        photos=watch.speed,
        validated=validated,
        waiting=watch.waiting,
        train=photos / watch.speed,
        validate=seconds,
        write=disk.written(case) / speed,
        epochs=epochs,
        validations=epochs // loop.get('val_interval', 1) if seconds else 0,
        workers=max(cores(), 2 * loader.get('num_workers', 0)),
    )


def _prepare(cfg: Config, folder: str) -> None:
    """Leave out what a run begins from, keeps and says."""
    settle(cfg)
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
    """Training is told to stop by it."""


class Watch(Hook):
    """Time iterations after the first ones, and the waiting before each."""

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
    # Workers start. Not one batch only: what they have read ahead when it is
    # broken off would be waited for in the next pass.
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


def _writing(runner: Runner, folder: Path) -> float:
    """Bytes a second of a checkpoint, from the model to the disk."""
    start, content = time.monotonic(), BytesIO()
    torch.save(runner.model.state_dict(), content)
    write_whole(folder / 'weights.pth', content.getbuffer())
    return len(content.getbuffer()) / (time.monotonic() - start)


def _clock(seconds: float) -> str:
    if seconds < 60:
        return f'{seconds:.1f} s'
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours} h {minutes} min' if hours else f'{minutes} min {rest} s'
