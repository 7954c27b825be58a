"""MobileNetV2 on the real photos: our config beside stock MMPretrain.

python tools/prepare_dataset.py PHOTOS --out data/flower_dataset
python -m benchmarks.real_data --weights mobilenet_v2_in1k.pth

One run each, on the same split, from the same weights, for the same number of
epochs; stock MMPretrain is started by its own tools/train.py. Each row of
results/accuracy.csv has the best epoch's top-1 and that of every epoch.

Stock MMPretrain is in float32, as it comes; its rows up to 2026-11-21 were
measured in bfloat16, by our wrapper.

Rows with 569 validation photos are of a split that left the twins of two of
them in train; their groups are found since.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from benchmarks.record import record

ROOT = Path(__file__).parent.parent
OURS = 'configs/flower/mobilenet_v2_flower.py'
# Config, flags, and epochs where it is not for --epochs to say.
WAYS = {
    'ours': (OURS, ['--amp'], None),
    'fast': ('configs/flower/mobilenet_v2_flower_fast.py', [], 4),
    'head_only': (OURS, ['--head-only'], 0),
}
NAMES = {
    'ours': 'MobileNetV2, ours',
    'fast': 'MobileNetV2, ours, fast',
    'head_only': 'MobileNetV2, ours, --head-only',
    'stock_adamw': 'MobileNetV2, stock MMPretrain, AdamW 3e-4',
    'stock_sgd': 'MobileNetV2, stock MMPretrain, SGD 1e-3',
    'stock_d1': "MobileNetV2, stock MMPretrain, report D1's SGD 5e-3",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--data-root', default='data/flower_dataset')
    parser.add_argument('--weights', required=True)
    parser.add_argument('--epochs', type=int, default=10)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0])
    parser.add_argument(
        '--only', nargs='+', choices=NAMES, default=list(NAMES)
    )
    args = parser.parse_args()
    for name in args.only:
        runs = []
        for seed in args.seeds:
            with tempfile.TemporaryDirectory() as folder:
                command = _command(name, args, seed, folder)
                start = time.monotonic()
                subprocess.run(command, check=True, cwd=ROOT)
                seconds = time.monotonic() - start
                runs.append((_accuracies(Path(folder)), seconds))
        record('accuracy', [_row(name, args, runs)], key=('name', 'epochs'))


def _command(name: str, args, seed: int, folder: str) -> list[str]:
    data = str(Path(args.data_root).resolve())
    weights = str(Path(args.weights).resolve())
    epochs = f'train_cfg.max_epochs={args.epochs}'
    if name in WAYS:
        config, flags, own = WAYS[name]
        return [
            sys.executable,
            'tools/train.py',
            config,
            *flags,
            f'--seed={seed}',
            f'--data-root={data}',
            f'--work-dir={folder}',
            f'--weights={weights}',
            *(['--cfg-options', epochs] if own is None else []),
        ]
    package = Path(find_spec('mmpretrain').origin).parent
    return [
        sys.executable,
        str(package / '.mim' / 'tools' / 'train.py'),
        f'benchmarks/rivals/{name}.py',
        f'--work-dir={folder}',
        '--cfg-options',
        epochs,
        f'randomness.seed={seed}',
        f'load_from={weights}',
        f'train_dataloader.dataset.data_root={data}',
        f'val_dataloader.dataset.data_root={data}',
    ]


def _accuracies(folder: Path) -> list[float]:
    (path,) = folder.rglob('scalars.json')
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [r['accuracy/top1'] for r in lines if 'accuracy/top1' in r]


def _photos(args) -> str:
    """How many photos are for validation: splits of other versions differ."""
    path = Path(args.data_root) / 'val.txt'
    return f'{len(path.read_text(encoding="utf-8").splitlines())} in val'


def _row(name: str, args, runs: list[tuple[list[float], float]]) -> dict:
    config, flags, own = WAYS.get(
        name, (f'benchmarks/rivals/{name}.py', [], None)
    )
    best = [max(accuracies) for accuracies, _ in runs]
    return {
        'name': NAMES[name],
        'config': config,
        'flags': ' '.join(flags),
        'command': f'python -m benchmarks.real_data --only {name} '
        f'--epochs {args.epochs} '
        f'--seeds {" ".join(map(str, args.seeds))}',
        'data': 'flower_photos, 2,848 photos of 5 classes',
        'split': f'prepare_dataset.py --val 0.2 --seed 0, {_photos(args)}',
        'epochs': args.epochs if own is None else own,
        'seeds': ' '.join(map(str, args.seeds)),
        'top1_mean': f'{sum(best) / len(best):.2f}',
        'top1_min': f'{min(best):.2f}',
        'top1_max': f'{max(best):.2f}',
        'seconds': f'{sum(s for _, s in runs) / len(runs):.0f}',
        'each_epoch': ' / '.join(
            ' '.join(f'{a:.1f}' for a in accuracies) for accuracies, _ in runs
        ),
    }


if __name__ == '__main__':
    main()
