"""Epochs and learning rate, where the config has 'auto' for them.

They follow from the number of photos. Small datasets need more epochs, because
each has few steps. They need smaller steps as well: features that large steps
destroy cannot be learned again from few photos.
"""

import math
from collections.abc import Iterable, Mapping

from mmengine.config import Config

from flower_mm.annotations import list_of
from flower_mm.errors import UserError
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


def fill_in_schedule(cfg: Config, datasets: Iterable[Mapping]) -> None:
    """Replace 'auto' in numbers of epochs and in the learning rate.

    `datasets` are those of the training photos, as in the config.
    """
    photos = sum(map(_count_photos, datasets))
    optimizer = cfg.get('optim_wrapper', {}).get('optimizer') or {}
    if optimizer.get('lr') == AUTO:
        # Photos of another dataset are not counted.
        share = math.sqrt(photos / MANY_PHOTOS) if photos else 1
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
    warm_up, begin = _warm_up(epochs, _iterations(cfg, photos))
    schedulers = cfg.get('param_scheduler') or []
    for scheduler in (
        [schedulers] if isinstance(schedulers, dict) else schedulers
    ):
        for key, value in (('begin', begin), ('end', warm_up)):
            if scheduler.get(key) == AUTO:
                scheduler[key] = value


def require_epochs(cfg: Config) -> None:
    """Require that training takes a number of epochs, at least one."""
    length = cfg.get('train_cfg') or {}
    epochs = length.get('max_epochs', 1)
    if epochs != AUTO and epochs < 1:
        raise UserError(
            f'invalid train_cfg.max_epochs: expected at least 1, got {epochs}'
        )
    if not length.get('by_epoch', True) or 'max_iters' in length:
        raise UserError(
            'invalid train_cfg: expected epochs, after which checkpoints are '
            'written, got iterations:\n'
            '  train_cfg = dict(_delete_=True, by_epoch=True, max_epochs=10)'
        )


def _warm_up(epochs: float, iterations: int) -> tuple[float, float]:
    """The end of the warm-up and the start of what follows, in epochs.

    Both have at least one iteration, so they overlap in a run of a single one.
    MMEngine rounds numbers of iterations down.
    """
    if not iterations:  # photos that are not in our lists
        end = round(WARM_UP * epochs) or 0.5
        return end, end
    total = int(epochs * iterations)
    end = max(1, round(WARM_UP * total))
    begin = min(end, total - 1)
    return _in_epochs(end, iterations), _in_epochs(begin, iterations)


def _in_epochs(number: int, iterations: int) -> float:
    epochs = number / iterations
    if int(epochs * iterations) < number:
        epochs = math.nextafter(epochs, math.inf)
    return epochs


def _iterations(cfg: Config, photos: int) -> int:
    """Batches an epoch, in each process."""
    batch = cfg.train_dataloader.get('batch_size', 1)
    return math.ceil(photos / (batch * processes(cfg.get('launcher', 'none'))))


def _epochs(cfg: Config, photos: int) -> int:
    steps = _iterations(cfg, photos)
    steps = math.ceil(steps / cfg.optim_wrapper.get('accumulative_counts', 1))
    return max(EPOCHS, math.ceil(STEPS / steps)) if steps else EPOCHS


def _count_photos(dataset: Mapping) -> int:
    """The photos in the list of our dataset, 0 for another's."""
    path = list_of(dataset)
    if not path.is_file():
        return 0
    count = sum(1 for line in path.read_bytes().splitlines() if line.strip())
    indices = dataset.get('indices')
    if indices is None:
        return count
    chosen = abs(indices) if isinstance(indices, int) else len(indices)
    return min(count, chosen)
