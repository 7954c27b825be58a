"""The length of a run, where the config has 'auto' for it.

Small datasets need many passes over the photos: what trains a network is the
number of steps, and an epoch of 50 photos has two.
"""

import math
from collections.abc import Iterable
from pathlib import Path

from mmengine.config import Config

from flower_mm.launcher import processes

AUTO = 'auto'
EPOCHS = 5  # at least
STEPS = 150  # at least, of the optimizer
# A validation and a checkpoint after each epoch would take much of the time
# of a run of many short epochs.
VALIDATIONS = 10  # at most
# The learning rate rises for this share of the run.
WARM_UP = 0.3


def fill_in_length(cfg: Config, lists: Iterable[Path]) -> None:
    """Replace 'auto' in numbers of epochs: loop, hooks and schedule.

    `lists` have a training photo a line.
    """
    loop = cfg.get('train_cfg') or {}
    interval = 1
    if loop.get('max_epochs') == AUTO:
        loop['max_epochs'] = _epochs(cfg, _count_lines(lists))
        interval = math.ceil(loop['max_epochs'] / VALIDATIONS)
    checkpoint = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    for part, key in ((loop, 'val_interval'), (checkpoint, 'interval')):
        if part.get(key) == AUTO:
            part[key] = interval
    epochs = loop.get('max_epochs')
    if not isinstance(epochs, (int, float)):
        return  # the checks, or MMEngine, report it
    schedulers = cfg.get('param_scheduler') or []
    for scheduler in (
        [schedulers] if isinstance(schedulers, dict) else schedulers
    ):
        for key in ('begin', 'end'):
            if scheduler.get(key) == AUTO:
                scheduler[key] = round(WARM_UP * epochs, 2)


def _epochs(cfg: Config, photos: int) -> int:
    batch = cfg.train_dataloader.get('batch_size', 1)
    batch *= processes(cfg.get('launcher', 'none'))
    batch *= cfg.optim_wrapper.get('accumulative_counts', 1)
    steps = math.ceil(photos / batch)
    return max(EPOCHS, math.ceil(STEPS / steps)) if steps else EPOCHS


def _count_lines(paths: Iterable[Path]) -> int:
    return sum(
        sum(1 for line in path.read_bytes().splitlines() if line.strip())
        for path in paths
    )
