"""Every recipe of the reference reports on one backbone, beside ours.

python tools/prepare_dataset.py PHOTOS --out data/flower_dataset
python -m benchmarks.reports --weights mobilenet_v2_in1k.pth

The reports used backbones whose weights may not be at hand, and other splits
of the photos. Here each recipe trains MobileNetV2 from the same weights on the
same photos for the same number of epochs, in the precision that this machine
is fastest in; all else is as in configs/flower/reports. A schedule that is
counted in epochs stays what it was, so that a short run may end before it
begins. tools/compare.py does the work, and goes on where it was stopped; the
rows go to results/reports.csv.
"""

import argparse
import csv
import subprocess
import sys
import time
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from statistics import mean

from benchmarks.record import record
from flower_mm.settings import read_config

ROOT = Path(__file__).parent.parent
REPORTS = ROOT / 'configs' / 'flower' / 'reports'
OURS = {
    'ours': 'configs/flower/mobilenet_v2_flower.py',
    'ours_fast': 'configs/flower/mobilenet_v2_flower_fast.py',
}
# The same recipe as another, but for the backbone.
TWINS = ('a2_resnet34', 'c_resnet152')
# Where the maps have an eighth of the photo's side, and so as many stages of
# MobileNetV2 stay frozen as of a ResNet two do.
FROZEN = {-1: -1, 2: 3}
OTHER = """# Written by benchmarks/reports.py.
_base_ = {base!r}
precision = 'auto'
model = dict(
    backbone=dict(
        _delete_=True, type='MobileNetV2', widen_factor=1.0,
        frozen_stages={frozen},
    ),
    head=dict(in_channels=1280),
)
"""


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--weights', required=True)
    parser.add_argument('--data-root', default='data/flower_dataset')
    parser.add_argument('--epochs', type=int, default=3)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--out', type=Path, default='work_dirs/reports')
    parser.add_argument('--jobs', type=int, default=1)
    parser.add_argument(
        '--only', nargs='+', metavar='NAME', help='of the recipes'
    )
    return parser.parse_args()


def main() -> int:
    args = parse()
    recipes = {
        path.stem: str(path)
        for path in sorted(REPORTS.glob('*.py'))
        if path.stem not in TWINS
    }
    recipes |= {name: str(ROOT / path) for name, path in OURS.items()}
    wanted = args.only or list(recipes)
    configs = [
        _on_mobilenet(name, recipes[name], args.out / 'configs')
        for name in wanted
    ]
    out = args.out / f'{args.epochs}_epochs'
    begun = time.time()
    done = subprocess.run(
        [
            *(sys.executable, ROOT / 'tools' / 'compare.py', *configs),
            *('--seeds', *map(str, args.seeds), '--out', out),
            *('--epochs', str(args.epochs), '--weights', args.weights),
            *('--data-root', args.data_root, '--jobs', str(args.jobs)),
        ],
        cwd=ROOT,
    )
    rows = finished(out, begun)
    record(
        'reports',
        [_row(name, runs) for name, runs in _by_config(rows)],
        key=('recipe', 'epochs', 'train', 'val'),
    )
    return done.returncode


def finished(out: Path, begun: float) -> list[dict]:
    """The rows that a comparison has written, if it came to that."""
    path = out / 'compare.csv'
    if not path.is_file() or path.stat().st_mtime < begun:
        return []
    with path.open(encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    return [row for row in rows if row['status'] == 'finished']


def _on_mobilenet(name: str, path: str, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    config = folder.resolve() / f'{name}.py'
    if name in OURS:
        text = f"_base_ = {path!r}\nprecision = 'auto'\n"
    else:
        frozen = read_config(path).model.backbone.get('frozen_stages', -1)
        text = OTHER.format(base=path, frozen=FROZEN[frozen])
    config.write_text(text)
    return config


def _by_config(rows: list[dict]) -> Iterable[tuple[str, list[dict]]]:
    rows = sorted(rows, key=lambda row: row['config'])
    for name, runs in groupby(rows, key=lambda row: row['config']):
        yield name, list(runs)


def _row(name: str, runs: list[dict]) -> dict:
    best = [float(run['best_top1']) for run in runs]
    last = [float(run['last_top1']) for run in runs]
    seconds = [float(run['seconds']) for run in runs]
    (epochs,) = {run['epochs'] for run in runs}
    return {
        'recipe': name,
        'epochs': epochs,
        'seeds': ' '.join(run['seed'] for run in runs),
        'train': runs[0]['train'],
        'val': runs[0]['val'],
        'top1_mean': f'{mean(best):.2f}',
        'top1_min': f'{min(best):.2f}',
        'top1_max': f'{max(best):.2f}',
        'last_top1_mean': f'{mean(last):.2f}',
        'last_top1_min': f'{min(last):.2f}',
        'last_top1_max': f'{max(last):.2f}',
        'seconds': f'{mean(seconds):.0f}',
        'optim_wrapper': runs[0]['optim_wrapper'],
        'command': f'python -m benchmarks.reports --epochs {epochs}',
    }


if __name__ == '__main__':
    sys.exit(main())
