"""The demo config with three seeds, on drawings that chose none of its values.

python -m benchmarks.demo_training

The photos are drawn with seed 1. Those of `make demo`, which chose the
learning rate, are drawn with seed 0.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.record import record

ROOT = Path(__file__).parent.parent
CONFIG = 'configs/flower/demo_flower.py'
SEEDS = (0, 1, 2)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos, data = folder / 'photos', folder / 'data'
        _tool('make_demo', '--seed', '1', '--out', photos)
        _tool('prepare_dataset', photos, '--out', data, '--how', 'link')
        runs = [_train(data, folder / str(seed), seed) for seed in SEEDS]
    best = [run['result']['best_top1'] for run in runs]
    row = {
        'name': 'demo, fine-tuned',
        'config': CONFIG,
        'flags': '',
        'command': 'python -m benchmarks.demo_training',
        'data': 'demo photos, drawn with seed 1',
        'split': 'prepare_dataset.py --val 0.2 --seed 0',
        'epochs': runs[0]['result']['max_epochs'],
        'seeds': ' '.join(map(str, SEEDS)),
        'top1_mean': f'{sum(best) / len(best):.2f}',
        'top1_min': f'{min(best):.2f}',
        'top1_max': f'{max(best):.2f}',
        'seconds': f'{sum(run["all"] for run in runs) / len(runs):.0f}',
    }
    record('accuracy', [row], key=('name', 'epochs'))


def _tool(name: str, *args: str | Path) -> None:
    subprocess.run(
        [sys.executable, f'tools/{name}.py', *args], check=True, cwd=ROOT
    )


def _train(data: Path, folder: Path, seed: int) -> dict:
    start = time.monotonic()
    _tool(
        *('train', CONFIG, '--data', data, '--work-dir', folder),
        *('--seed', str(seed)),
    )
    seconds = time.monotonic() - start
    return json.loads((folder / 'run.json').read_text()) | {'all': seconds}


if __name__ == '__main__':
    main()
