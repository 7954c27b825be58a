"""The demo config from its small pretrained backbone, and from scratch.

make demo
python -m benchmarks.demo_training

Three seeds each, for the epochs of the config.
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
    for name, flags in (
        ('demo, fine-tuned', []),
        ('demo, from scratch', ['--from-scratch']),
    ):
        runs = [_train(seed, flags) for seed in SEEDS]
        best = [run['result']['best_top1'] for run in runs]
        row = {
            'name': name,
            'config': CONFIG,
            'flags': ' '.join(flags),
            'command': ' '.join(
                ['python tools/train.py', CONFIG, *flags, '--seed SEED']
            ),
            'data': 'demo photos, drawn with seed 0',
            'split': 'prepare_dataset.py --val 0.2 --seed 0',
            'epochs': runs[0]['result']['max_epochs'],
            'seeds': ' '.join(map(str, SEEDS)),
            'top1_mean': f'{sum(best) / len(best):.2f}',
            'top1_min': f'{min(best):.2f}',
            'top1_max': f'{max(best):.2f}',
            'seconds': f'{sum(r["all"] for r in runs) / len(runs):.0f}',
        }
        record('accuracy', [row], key=('name', 'epochs'))


def _train(seed: int, flags: list[str]) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        subprocess.run(
            [
                *(sys.executable, 'tools/train.py', CONFIG, *flags),
                *('--seed', str(seed), '--work-dir', folder),
            ],
            check=True,
            cwd=ROOT,
        )
        seconds = time.monotonic() - start
        return json.loads((Path(folder) / 'run.json').read_text()) | {
            'all': seconds
        }


if __name__ == '__main__':
    main()
