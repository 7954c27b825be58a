"""Seconds to an accuracy: ours beside stock MMPretrain and its peers.

python tools/prepare_dataset.py PHOTOS --out data/flower_dataset
python -m benchmarks.time_to_accuracy --weights mobilenet_v2_in1k.pth
python -m benchmarks.time_to_accuracy --table

Every system fine-tunes MobileNetV2 from the same weights on the same photos
and is asked about the same validation photos after each epoch, all on the
CPU. The clock starts with the command, before Python does. What ours keeps of
a dataset is not there at the start: decoding is in each run's time. What a
machine learns once is kept: the trial of bfloat16, Python's own caches. The
peak is the most of some looks, ten seconds apart, at all processes of a run; a
page that they share counts once.

fastai and timm run in an environment of their own, which is made when first
needed. A row is replaced when its system is measured again here; --only
chooses systems. Repeated runs take turns.
"""

import argparse
import datetime
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.record import RESULTS, record
from benchmarks.time_to_accuracy.environment import (
    HERE,
    peer_versions,
    python_of,
    warm,
)
from benchmarks.time_to_accuracy.rows import row
from benchmarks.time_to_accuracy.systems import ROOT, SYSTEMS, System, Task
from benchmarks.time_to_accuracy.table import table
from benchmarks.time_to_accuracy.watch import RivalError, Run, watch
from flower_mm.layout import DatasetDir
from flower_mm.trust import trust

NAME = 'time_to_accuracy'
KEY = ('system', 'epochs', 'threads', 'machine')


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--data-root', type=Path, default='data/flower_dataset'
    )
    parser.add_argument('--weights', type=Path)
    parser.add_argument(
        '--only', nargs='+', choices=SYSTEMS, default=list(SYSTEMS)
    )
    parser.add_argument(
        '--epochs', type=int, help="instead of each system's own number"
    )
    parser.add_argument('--runs', type=int, default=1)
    parser.add_argument(
        '--seed', type=int, default=0, help='of the first run; then the next'
    )
    parser.add_argument(
        '--envs',
        type=Path,
        default=Path('~/.cache/flower_mm/peers').expanduser(),
        help="the peers' environment",
    )
    parser.add_argument(
        '--table', action='store_true', help='only show what is measured'
    )
    args = parser.parse_args()
    if not args.table and args.weights is None:
        parser.error('--weights is needed to measure')
    return args


def main() -> int:
    args = parse()
    if args.table:
        print(table(RESULTS / f'{NAME}.csv'))
        return 0
    logs = Path(tempfile.mkdtemp(prefix=f'{NAME}_'))
    print(f'logs: {logs}', flush=True)
    begun = datetime.datetime.now().isoformat(' ', 'minutes')
    _read_all(args.data_root)
    # By seed.
    runs: dict[str, dict[int, Run]] = {name: {} for name in args.only}
    failed = 0
    for seed in range(args.seed, args.seed + args.runs):
        for name in args.only:
            log = logs / f'{name}_{seed}.log'
            try:
                run = _measure(SYSTEMS[name], args, seed, log)
            except RivalError as error:
                print(f'{name}: {error}', flush=True)
                failed += 1
                continue
            runs[name][seed] = run
            # After each run, so that an hour of them cannot be lost.
            record(NAME, [_row(name, args, begun, runs[name])], key=KEY)
            best = max(top1 for _, top1 in run.validations)
            print(f'{name}: {best:.2f} % in {run.seconds:.0f} s', flush=True)
    if any(runs.values()):
        print(table(RESULTS / f'{NAME}.csv'))
    return int(failed > 0)


def _measure(
    system: System, args: argparse.Namespace, seed: int, log: Path
) -> Run:
    python = python_of(args.envs, log) if system.peer else HERE
    warm(python)
    with tempfile.TemporaryDirectory() as folder:
        work, data = Path(folder, 'work'), Path(folder, 'data')
        work.mkdir()
        data.mkdir()
        for entry in args.data_root.resolve().iterdir():
            if entry.name != DatasetDir.DECODED:
                (data / entry.name).symlink_to(entry)
        trust(data)
        task = Task(
            python=python,
            data=data,
            weights=args.weights.resolve(),
            epochs=args.epochs or system.epochs,
            seed=seed,
            folder=work,
        )
        return watch(system.command(task), work, log, system.speaks, cwd=ROOT)


def _row(
    name: str, args: argparse.Namespace, begun: str, runs: dict[int, Run]
) -> dict:
    system = SYSTEMS[name]
    train, val = (
        len((args.data_root / f'{split}.txt').read_text('utf-8').splitlines())
        for split in ('train', 'val')
    )
    facts = {
        'system': name,
        'name': system.title,
        'epochs': args.epochs or system.epochs,
        'threads': os.environ.get('OMP_NUM_THREADS') or os.cpu_count(),
        'seeds': ' '.join(map(str, runs)),
        'train': train,
        'val': val,
        'begun': begun,
    }
    if system.peer:
        facts['versions'] = peer_versions()
    return facts | row(list(runs.values()), train)


def _read_all(folder: Path) -> None:
    """Bring the photos into memory, for the first system as for the others."""
    for path in folder.glob('*/*/*'):
        path.read_bytes()


if __name__ == '__main__':
    sys.exit(main())
