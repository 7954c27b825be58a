r"""Our recipe, its fitted head, and stock MMPretrain's recipe on test photos.

flower-mm prepare PHOTOS --out data/flowers --val 0.2 --test 0.2 --seed 20
python -m benchmarks.recipe flowers data/flowers \
    --weights mobilenet_v2_in1k.pth --sizes 5 20 50 --seeds 0 1 2

For each size and seed, photos of each class are drawn from the training
split, a quarter as many from the validation split, and all test photos are
used. Size 0 takes all photos. Every system is trained by `train`, stock's for
as many epochs as ours, and its best.pth is asked about the test photos once.
The rows go to results/recipe.csv.
"""

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np

from benchmarks.compared import ROOT, require_weights
from benchmarks.record import ends, record
from flower_mm.layout import DatasetDir, RunDir
from flower_mm.report.learning_curves import read_scalars
from flower_mm.report.paired_tests import mcnemar, pair
from flower_mm.report.predictions import Predictions, read_predictions

SYSTEMS = ('ours', 'head', 'stock')
STOCK = ROOT / 'benchmarks' / 'rivals' / 'stock_recipe.py'
KEY = ('photos', 'config', 'weights', 'per_class', 'system', 'machine')


@dataclass(frozen=True)
class Run:
    predictions: Predictions
    epochs: int
    seconds: float
    fall: float  # the lowest validation accuracy, minus that of the head


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('name', help='the photos, in the table')
    parser.add_argument('data', type=Path, help='a dataset with a test split')
    parser.add_argument('--weights', required=True)
    parser.add_argument('--config', default='mobilenet_v2_flower')
    parser.add_argument('--sizes', nargs='+', type=int, default=[5, 20, 50])
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2])
    parser.add_argument('--only', nargs='+', choices=SYSTEMS, default=SYSTEMS)
    parser.add_argument('--out', type=Path, default='work_dirs/recipe')
    args = parser.parse_args()
    require_weights(parser, args.weights)
    for size in args.sizes:
        runs: dict[str, list[Run]] = defaultdict(list)
        for seed in args.seeds:
            folder = args.out / f'{args.name}_{args.config}_{size}_{seed}'
            sub_sample(args.data, folder / 'data', size, seed)
            for system in args.only:
                epochs = runs['ours'][-1].epochs if runs['ours'] else None
                runs[system].append(
                    _measured(system, folder, args, seed, epochs)
                )
        rows = [_row(system, size, runs, args) for system in args.only]
        record('recipe', rows, KEY)
    return 0


def sub_sample(data: Path, out: Path, size: int, seed: int) -> None:
    """Write a dataset of `size` training photos of each class."""
    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    shutil.copy(data / DatasetDir.CLASSES, out)
    counts = {'train': size, 'val': math.ceil(size / 4), 'test': 0}
    for split, count in counts.items():
        name = DatasetDir.list_of(split)
        lines = np.array((data / name).read_text('utf-8').splitlines())
        labels = np.array([line.rpartition(' ')[2] for line in lines])
        rng = np.random.default_rng(seed)
        drawn = np.concatenate(
            [
                rng.permutation(np.flatnonzero(labels == label))[
                    : count or None
                ]
                for label in np.unique(labels)
            ]
        )
        chosen = lines[np.sort(drawn)]
        (out / name).write_text('\n'.join(chosen) + '\n', 'utf-8')
        for line in chosen:
            photo = Path(split, line.rpartition(' ')[0])
            (out / photo).parent.mkdir(parents=True, exist_ok=True)
            os.link(data / photo, out / photo)


def _measured(
    system: str,
    folder: Path,
    args: argparse.Namespace,
    seed: int,
    epochs: int | None,
) -> Run:
    config = args.config if system != 'stock' else STOCK
    work_dir = folder / system
    begun = time.monotonic()
    _tool(
        'train', config, '--data', folder / 'data', '--work-dir', work_dir,
        '--weights', args.weights, '--seed', seed, '--no-report',
        '--no-check',
        *(['--head-only'] if system == 'head' else []),
        *(['--epochs', epochs] if system == 'stock' and epochs else []),
    )  # fmt: skip
    seconds = time.monotonic() - begun
    out = work_dir / 'test.csv'
    _tool(
        'test', config, work_dir / RunDir.BEST, '--data', folder / 'data',
        '--out', out,
    )  # fmt: skip
    record = json.loads((work_dir / RunDir.RECORD).read_text('utf-8'))
    on_the_way = [
        row['accuracy/top1']
        for row in read_scalars(work_dir / RunDir.SCALARS)
        if 'accuracy/top1' in row
    ]
    return Run(
        read_predictions(out),
        record['result']['max_epochs'],
        seconds,
        min(on_the_way) - on_the_way[0],
    )


def _tool(name: str, *words: object) -> None:
    script = ROOT / 'tools' / f'{name}.py'
    subprocess.run(
        [sys.executable, script, *map(str, words)],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _row(
    system: str,
    size: int,
    runs: dict[str, list[Run]],
    args: argparse.Namespace,
) -> dict:
    own = runs[system]
    row = {
        'photos': args.name,
        'config': args.config,
        'weights': Path(args.weights).name,
        'per_class': size or 'all',
        'system': system,
        'epochs': 0 if system == 'head' else own[0].epochs,
        'seeds': ' '.join(map(str, args.seeds)),
        **ends([_top1(run) for run in own]),
        'fall_on_the_way': f'{min(run.fall for run in own):.2f}',
        'seconds': f'{mean(run.seconds for run in own):.0f}',
        'ours_minus_this': '',
        'p_value': '',
        'command': (
            f'python -m benchmarks.recipe {args.name} {args.data.name} '
            f'--weights {Path(args.weights).name} --config {args.config} '
            f'--sizes {size} --seeds {" ".join(map(str, args.seeds))}'
        ),
    }
    if system != 'ours' and runs['ours']:
        worse = better = photos = 0
        for ours, other in zip(runs['ours'], own, strict=True):
            paired = pair(other.predictions, ours.predictions)
            assert paired is not None  # the same test photos
            worse += len(paired.worse)
            better += len(paired.better)
            photos += len(other.predictions.labels)
        row['ours_minus_this'] = f'{100 * (better - worse) / photos:.2f}'
        row['p_value'] = f'{mcnemar(worse, better):.2g}'
    return row


def _top1(run: Run) -> float:
    return 100 * float(run.predictions.correct.mean())


if __name__ == '__main__':
    sys.exit(main())
