"""A small model, its photos, and the runs that nobody kills."""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import forked
from helpers import CLASSES, ROOT, TINY, draw_photo

FAULTS = Path(__file__).parents[1] / 'faults.py'
WORKERS = (0, 2)
# The second epoch is better than the first, the third is not better.
CONFIG = (
    TINY
    + """
train_cfg = dict(max_epochs=3)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, end=1, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR', eta_min_ratio=0.01,
        convert_to_iter_based=True,
    ),
]
default_hooks = dict(
    head_first=None,
    ema=dict(
        type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.1,
        update_buffers=True,
    ),
)
"""
)


class Bench:
    """Starts runs; `first` is the script that each of them begins with."""

    def __init__(self, folder: Path, first: Path = FAULTS) -> None:
        self.folder, self.first = folder, first
        for label, name in enumerate(CLASSES):
            for number in range(20):
                path = folder / 'photos' / name / f'{number:03}.jpg'
                draw_photo(path, label, number)
        self.config = folder / 'tiny.py'
        base = str(ROOT / 'configs' / '_base_' / 'flower.py')
        self.config.write_text(CONFIG.format(base=base), encoding='utf-8')
        forked.finish(
            *(folder / 'prepare.txt', 'prepare_dataset', folder / 'photos'),
            *('--out', folder / 'data', '--val', '0.4'),
        )
        # Two at once, as the killed ones will be, and so as slow.
        with ThreadPoolExecutor(len(WORKERS)) as pool:
            seconds = pool.map(self._time_whole, WORKERS)
        self.seconds = dict(zip(WORKERS, seconds, strict=True))
        self.steps = steps(self.whole(0))
        if 'replace best.pth 2' not in self.steps:
            raise RuntimeError('no second epoch was the best')

    @cached_property
    def other_seed(self) -> Path:
        run = self.folder / 'other_seed'
        self.finish(run, 0, '--seed', '1')
        return run

    def whole(self, workers: int) -> Path:
        """The run that nobody killed."""
        return self.folder / f'whole_{workers}'

    def _time_whole(self, workers: int) -> float:
        start = time.monotonic()
        self.finish(self.whole(workers), workers)
        return time.monotonic() - start

    def start(
        self,
        run: Path,
        workers: int,
        *args: str,
        at: str | None = None,
        power_cut: bool = False,
    ) -> forked.Run:
        """Train in `run`, to die at the step `at` if one is named."""
        env = {
            'FAULT_FOLDER': str(run),
            'FAULT_NOTES': str(_notes(run)),
            **({'FAULT_AT': at} if at else {}),
            **({'FAULT_POWER_CUT': '1'} if power_cut else {}),
        }
        _notes(run).unlink(missing_ok=True)
        return forked.start(
            *(run.with_name(f'{run.name}.txt'), 'train', self.config),
            *('--data-root', self.folder / 'data', '--work-dir', run),
            *(*args, '--cfg-options'),
            f'train_dataloader.num_workers={workers}',
            first=str(self.first),
            env=env,
        )

    def finish(self, run: Path, workers: int, *args: str) -> list[str]:
        """Train to the end; returns the steps."""
        process = self.start(run, workers, *args)
        if process.wait() != 0:
            raise RuntimeError(f'the bench does not train:\n{process.text}')
        return steps(run)

    def steps_of_resuming(self, at: str) -> list[str]:
        """What is done after a kill at the step `at`."""
        run = self.folder / 'resumed'
        self.start(run, 0, at=at).wait()
        return self.finish(run, 0, '--resume')

    def steps_over_earlier(self) -> list[str]:
        """What is done in the folder of a finished run."""
        run = self.folder / 'again'
        shutil.copytree(self.whole(0), run)
        return self.finish(run, 0)


def _notes(run: Path) -> Path:
    return run.with_name(f'{run.name}.notes')


def steps(run: Path) -> list[str]:
    """What the last process in `run` did or was about to do, in order."""
    notes = _notes(run)
    return notes.read_text('utf-8').splitlines() if notes.exists() else []
