"""What a training takes besides computing: at its start and in an epoch.

python -m benchmarks.overhead --weights mobilenet_v2_in1k.pth

MobileNetV2 by our config, with what stands after `--` for --cfg-options.
The start: from the command to the first iteration, beside a process that only
imports what training needs, in turns. An epoch: where the main process is, at
each moment of it; what is inside another part counts there alone. On a machine
that does other things too, the process's own seconds on the processor tell
more than those of the clock.
"""

import argparse
import json
import multiprocessing
import os
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path

from benchmarks.record import record
from flower_mm.torch_import import importing_torch, let_threads_sleep

ROOT = Path(__file__).parent.parent
CONFIG = 'configs/flower/mobilenet_v2_flower.py'
IMPORTS = (
    'cv2',
    # MMEngine's Visualizer begins with a figure.
    'matplotlib.backends.backend_agg',
    'matplotlib.figure',
    'torch',
    'torch.utils.tensorboard',
    'torchvision',
    'mmengine.runner',
    'mmpretrain.datasets',
    'mmpretrain.evaluation',
    'mmpretrain.models',
    'mmpretrain.visualization',
)
# What an epoch is for; all else is in the way.
COMPUTING = ('forward', 'backward', 'forward, validation')
OPTIMIZER = 'optimizer step'
LEAST = 0.0005  # of an epoch; what takes less is only in the sums


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--data-root', default='data/flower_dataset')
    parser.add_argument('--weights', required=True)
    parser.add_argument('--threads', type=int, default=os.cpu_count())
    parser.add_argument('--starts', type=int, default=5)
    parser.add_argument('--epochs', type=int, default=4, help='2 at least')
    parser.add_argument('--only', choices=('start', 'epoch'))
    parser.add_argument('options', nargs='*', help='for --cfg-options')
    args = parser.parse_args()
    rows = []
    if args.only != 'epoch':
        rows += _starts(args)
    if args.only != 'start':
        rows += _epochs(args)
    for row in rows:
        row |= {
            'threads': args.threads,
            'photos': _photos(args),
            'options': ' '.join(args.options),
        }
        print(*row.values(), sep='\t')
    record(
        'overhead', rows, key=('part', 'what', 'threads', 'options', 'machine')
    )


def _photos(args: argparse.Namespace) -> str:
    counts = (
        len(Path(args.data_root, split).read_text('utf-8').splitlines())
        for split in ('train.txt', 'val.txt')
    )
    return '{} and {} in val'.format(*counts)


# --- the start ---------------------------------------------------------------


def _starts(args: argparse.Namespace) -> list[dict]:
    imports = f'import {", ".join(IMPORTS)}, os; os._exit(0)'
    inside = 'from benchmarks.overhead import start; start()'
    runs = defaultdict(list)
    for _ in range(args.starts):
        runs['imports'].append(_run(args, '-c', imports))
        runs['first iteration'].append(_train(args, inside))
        runs['--help'].append(_run(args, 'tools/train.py', '--help'))
    return [
        {
            'part': 'start',
            'what': what,
            **_medians(taken),
            'share': _ratio(taken, runs['imports'], 0),
            'share_of_clock': _ratio(taken, runs['imports'], 1),
            'runs': args.starts,
        }
        for what, taken in runs.items()
    ]


@contextmanager
def _as_the_tool() -> Iterator[None]:
    """Import torch as tools/train.py would; it comes later here."""
    let_threads_sleep()
    with importing_torch():
        yield


def start() -> None:
    """Inside a training: leave where the first iteration begins."""
    with _as_the_tool():
        from mmengine.runner import EpochBasedTrainLoop

    def leave(*_: object) -> None:
        for worker in multiprocessing.active_children():
            worker.kill()
        os._exit(0)

    EpochBasedTrainLoop.run_iter = leave
    runpy.run_path(str(ROOT / 'tools' / 'train.py'), run_name='__main__')


def _run(args: argparse.Namespace, *words: str) -> tuple[float, float]:
    """Seconds of processor and clock of a Python process."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *words],
        cwd=ROOT,
        env=os.environ | {'OMP_NUM_THREADS': str(args.threads)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f'failed: {" ".join(process.args)}')
    return used.ru_utime + used.ru_stime, time.perf_counter() - began


def _train(
    args: argparse.Namespace, inside: str, *options: str
) -> tuple[float, float]:
    """Train with our tool, started by the code `inside`."""
    with tempfile.TemporaryDirectory() as folder:
        return _run(
            args,
            '-c',
            inside,
            CONFIG,
            f'--data-root={Path(args.data_root).resolve()}',
            f'--work-dir={folder}',
            '--amp',
            f'--weights={Path(args.weights).resolve()}',
            # Its pass over all photos is not of the start.
            *('--cfg-options', 'default_hooks.head_first=None'),
            *options,
            *args.options,
        )


def _medians(runs: list[tuple[float, float]]) -> dict:
    cpu, clock = map(statistics.median, zip(*runs, strict=True))
    return {'cpu_seconds': f'{cpu:.3f}', 'seconds': f'{clock:.3f}'}


def _ratio(runs: list[tuple], others: list[tuple], which: int) -> str:
    """Of the medians: what disturbs one run shall not count."""
    one, other = (
        statistics.median(run[which] for run in taken)
        for taken in (runs, others)
    )
    return f'{one / other:.4f}'


# --- an epoch ----------------------------------------------------------------


def _epochs(args: argparse.Namespace) -> list[dict]:
    with tempfile.NamedTemporaryFile('r', suffix='.json') as file:
        inside = (
            'from benchmarks.overhead import epochs; '
            f'epochs({file.name!r}, {args.epochs})'
        )
        # One more, where it is left.
        _train(args, inside, f'train_cfg.max_epochs={args.epochs + 1}')
        first, *later = json.load(file)
    return _parts('first epoch', [first]) + _parts('epoch', later)


def _parts(name: str, epochs: list[dict]) -> list[dict]:
    """A row for each part, and for what all of them but computing take."""
    whole = [_sum(epoch, epoch) for epoch in epochs]
    names = dict.fromkeys(part for epoch in epochs for part in epoch)
    taken = {part: [_sum(e, [part]) for e in epochs] for part in names}
    outside = [part for part in names if part not in COMPUTING]
    taken |= {
        'whole': whole,
        'outside forward and backward': [_sum(e, outside) for e in epochs],
        'outside these and the optimizer step': [
            _sum(e, [part for part in outside if part != OPTIMIZER])
            for e in epochs
        ],
    }
    return [
        {
            'part': name,
            'what': what,
            **_medians(runs),
            'share': _ratio(runs, whole, 0),
            'share_of_clock': _ratio(runs, whole, 1),
            'runs': len(epochs),
        }
        for what, runs in taken.items()
        if max(float(_ratio(runs, whole, which)) for which in (0, 1)) >= LEAST
    ]


def _sum(epoch: dict, parts: list[str]) -> tuple[float, float]:
    cpu, clock = zip(*(epoch.get(p, (0, 0)) for p in parts), strict=True)
    return sum(cpu), sum(clock)


class Clock:
    """Seconds of processor and clock by part, for the main thread."""

    def __init__(self) -> None:
        self.inside = ['loop']
        self._begin()

    def _begin(self) -> None:
        self.taken = defaultdict(lambda: [0.0, 0.0])
        self.last = time.process_time(), time.perf_counter()

    def cut(self) -> dict[str, list[float]]:
        """What was taken since the last cut."""
        self._note()
        taken = self.taken
        self._begin()
        return taken

    def _note(self) -> None:
        now = time.process_time(), time.perf_counter()
        part = self.taken[self.inside[-1]]
        for which in range(2):
            part[which] += now[which] - self.last[which]
        self.last = now

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        if 'validation' in self.inside:
            name += ', validation'
        self._note()
        self.inside.append(name)
        try:
            yield
        finally:
            self._note()
            self.inside.pop()

    def watch(self, owner: object, method: str, name: str) -> None:
        inner: Callable = getattr(owner, method)

        @wraps(inner)
        def watched(*args: object, **kwargs: object) -> object:
            with self.part(name):
                return inner(*args, **kwargs)

        setattr(owner, method, watched)


def epochs(file: str, count: int) -> None:
    """Inside a training: write where each of its epochs was, and leave."""
    with _as_the_tool():
        from mmengine.evaluator import Evaluator
        from mmengine.hooks import Hook
        from mmengine.model import BaseModel
        from mmengine.optim import OptimWrapper
        from mmpretrain.models import ClsDataPreprocessor
        from torch.utils.data import DataLoader, dataloader

        from flower_mm.engine import EMAValLoop, FlowerRunner

    clock, found = Clock(), []
    for owner, method, name in (
        (BaseModel, '_run_forward', 'forward'),
        (OptimWrapper, 'backward', 'backward'),
        (OptimWrapper, 'step', OPTIMIZER),
        (OptimWrapper, 'zero_grad', 'gradients to zero'),
        (ClsDataPreprocessor, 'forward', 'preparing the batch'),
        (BaseModel, 'parse_losses', 'losses summed'),
        (DataLoader, '__iter__', 'starting to load'),
        (dataloader._BaseDataLoaderIter, '__next__', 'waiting for photos'),
        (Evaluator, 'process', 'metrics'),
        (Evaluator, 'evaluate', 'metrics'),
        (EMAValLoop, 'run', 'validation'),
    ):
        clock.watch(owner, method, name)
    register, call = FlowerRunner.register_hooks, FlowerRunner.call_hook

    def register_hooks(self: FlowerRunner, *args: object) -> None:
        register(self, *args)
        for hook in self.hooks:
            for stage in Hook.stages:
                clock.watch(hook, stage, type(hook).__name__)

    def call_hook(self: FlowerRunner, name: str, **kwargs: object) -> None:
        if name == 'before_train_epoch':
            found.append(clock.cut())
            if len(found) > count:
                Path(file).write_text(json.dumps(found[1:]), encoding='utf-8')
                for worker in multiprocessing.active_children():
                    worker.kill()
                os._exit(0)
        call(self, name, **kwargs)

    FlowerRunner.register_hooks = register_hooks
    FlowerRunner.call_hook = call_hook
    runpy.run_path(str(ROOT / 'tools' / 'train.py'), run_name='__main__')


if __name__ == '__main__':
    main()
