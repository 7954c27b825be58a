"""Photos to best.pth by --head-only, beside the bare forward passes.

python -m benchmarks.head_only --weights mobilenet_v2_in1k.pth

Each photo of train and val goes once through the network either way. The bare
passes have their batch in memory and count from the third on; --head-only
counts from the command, before Python starts, to the moment at which best.pth
is whole: imports, decoding, fitting and validation are in it, the report is
not. In turns; medians.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.record import record

ROOT = Path(__file__).parent.parent
CONFIGS = (
    'configs/flower/mobilenet_v2_flower.py',
    'configs/flower/mobilenet_v2_flower_fast.py',
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--data-root', default='data/flower_dataset')
    parser.add_argument('--weights', required=True)
    parser.add_argument('--runs', type=int, default=3)
    args = parser.parse_args()
    data = str(Path(args.data_root).resolve())
    photos = sum(
        len(Path(data, f'{split}.txt').read_text('utf-8').splitlines())
        for split in ('train', 'val')
    )
    taken = {config: [] for config in CONFIGS}
    for _ in range(args.runs):
        for config, runs in taken.items():
            rate = _bare(config, data)
            runs.append((photos / rate['rate'], *_head_only(config, args)))
            print(config, rate, *runs[-1], flush=True)
            precision = rate['precision']
            rows = [
                {
                    'config': config,
                    'precision': precision,
                    'photos': photos,
                    'runs': len(runs),
                    **_row(runs),
                }
            ]
            record('head_only', rows, key=('config', 'machine'))


def _row(runs: list[tuple[float, float, float]]) -> dict[str, str]:
    bare, ours, top1 = (
        statistics.median(column) for column in zip(*runs, strict=True)
    )
    ratios = sorted(ours / bare for bare, ours, _ in runs)
    return {
        'bare_seconds': f'{bare:.1f}',
        'seconds': f'{ours:.1f}',
        'ratio': f'{statistics.median(ratios):.2f}',
        'ratio_min': f'{ratios[0]:.2f}',
        'ratio_max': f'{ratios[-1]:.2f}',
        'top1': f'{top1:.2f}',
    }


def _bare(config: str, data: str) -> dict:
    """Photos a second of the network alone."""
    with tempfile.NamedTemporaryFile('r', suffix='.json') as file:
        _run(
            *('-m', 'benchmarks.bare', config, 'test'),
            *('--data-root', data, '--out', file.name),
            *('--skip', '2', '--count', '20'),
        )
        return json.load(file)


def _head_only(config: str, args: argparse.Namespace) -> tuple[float, float]:
    """Seconds to best.pth, and its top-1."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.time()  # as files have it
        _run(
            *('tools/train.py', config, '--head-only'),
            *('--data-root', str(Path(args.data_root).resolve())),
            *('--work-dir', folder),
            f'--weights={Path(args.weights).resolve()}',
        )
        seconds = Path(folder, 'best.pth').stat().st_mtime - start
        result = json.loads(Path(folder, 'run.json').read_text('utf-8'))
    return seconds, result['result']['best_top1']


def _run(*words: str) -> None:
    subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


if __name__ == '__main__':
    main()
