"""A hook that tells how many photos a second a loop of MMEngine's takes."""

import json
import time
from pathlib import Path

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


def now() -> float:
    """The time at which all that was asked of the device is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def write_rate(out: str, photos: int, seconds: float, **more: object) -> None:
    rate = {'rate': photos / seconds} | more
    Path(out).write_text(json.dumps(rate), encoding='utf-8')


@HOOKS.register_module()
class StampHook(Hook):
    """Time the iterations after the first `skip` ones, `count` of them.

    From the end of one iteration to the end of another: waiting for the
    loader and all other hooks are in it. What MMEngine logs as `time` is not
    used: it leaves out the hooks that come after its own. The loop has to go
    on for as many batches as workers fetch ahead; else its last iterations
    would be measured with the workers at rest.
    """

    priority = 'LOWEST'

    def __init__(self, out: str, skip: int, count: int) -> None:
        self.out = out
        self.skip = skip
        self.count = count
        self.photos = 0

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        self._stamp(batch_idx + 1, data_batch)

    def after_test_iter(
        self, runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        self._stamp(batch_idx + 1, data_batch)

    def _stamp(self, done: int, batch: dict) -> None:
        if done == self.skip:
            self.start = now()
        elif self.skip < done <= self.skip + self.count:
            self.photos += len(batch['inputs'])
            if done == self.skip + self.count:
                write_rate(self.out, self.photos, now() - self.start)
