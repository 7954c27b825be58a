"""Epochs and learning rate, where the config has 'auto' for them.

They follow from the number of photos. Small datasets need many passes, because
what trains a network is the number of steps, and small steps, because they
cannot restore features that large steps destroy.
"""

import math
from collections.abc import Iterable
from pathlib import Path

from mmengine.config import Config

from flower_mm.launcher import processes

AUTO = 'auto'
EPOCHS = 5  # at least
STEPS = 100  # at least, of the optimizer
# A validation and a checkpoint after each epoch would take much of the time
# of a run of many short epochs.
VALIDATIONS = 10  # at most
PEAK = 3e-4  # learning rate, unless the config has another peak_lr
# The peak is for this number of photos and more. For fewer it falls with
# their square root, to a third at most.
MANY_PHOTOS = 1500
# The learning rate rises for this share of the run.
WARM_UP = 0.3


def fill_in_schedule(cfg: Config, lists: Iterable[Path]) -> None:
    """Replace 'auto' in numbers of epochs and in the learning rate.

    `lists` have a training photo a line.
    """
    photos = _count_lines(lists)
    optimizer = cfg.get('optim_wrapper', {}).get('optimizer') or {}
    if optimizer.get('lr') == AUTO:
        share = math.sqrt(photos / MANY_PHOTOS)
        peak = cfg.get('peak_lr', PEAK)
        optimizer['lr'] = float(f'{peak * min(1, max(1 / 3, share)):.2g}')
    loop = cfg.get('train_cfg') or {}
    interval = 1
    if loop.get('max_epochs') == AUTO:
        loop['max_epochs'] = _epochs(cfg, photos)
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
