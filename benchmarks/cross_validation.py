r"""The last candidates for mobilenet_v2_flower.py, by cross-validation.

python tools/prepare_dataset.py data/flower_dataset/train --out data/cv \
    --val 0.2 --seed 1
python -m benchmarks.cross_validation --weights mobilenet_v2_in1k.pth

Each train photo is judged by a run that learned without it, with the plain
weights of the last epoch, so that no photo that judges had a part in choosing
an epoch. Where `python -m benchmarks.recipes` asks a fifth of them, all are
asked here; val has no part in either. It goes on where it was stopped. The
rows go to results/cross_validation.csv.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from benchmarks.compared import ROOT, require_weights
from benchmarks.recipes import CANDIDATES, write_config
from benchmarks.record import ends, record
from flower_mm.cli.arguments import count

# What is shipped, the fast config, and what led at three epochs of one seed.
FINALISTS = (
    'head_no_average',
    'head_frozen_8e4_no_average',
    'head_layerwise_6e4',
    'head_at_256',
)
FOLDS = 3


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--weights', required=True)
    parser.add_argument('--data-root', default='data/cv')
    parser.add_argument('--epochs', type=count, default=3)
    parser.add_argument(
        '--out', type=Path, default='work_dirs/cross_validation'
    )
    parser.add_argument(
        '--only', nargs='+', choices=CANDIDATES, default=FINALISTS
    )
    args = parser.parse_args()
    weights = require_weights(parser, args.weights)
    for name in args.only:
        folder = args.out / f'{name}_{args.epochs}_{weights[:8]}'
        code = subprocess.call(
            [
                *(sys.executable, ROOT / 'tools' / 'train.py'),
                *(write_config(name, args.out), '--folds', str(FOLDS)),
                *('--seed', '0', '--resume', '--no-report'),
                *('--work-dir', folder),
                *('--weights', args.weights, '--data-root', args.data_root),
                *('--cfg-options', f'train_cfg.max_epochs={args.epochs}'),
            ]
        )
        if code:
            return code
        record(
            'cross_validation',
            [_row(name, folder, args)],
            key=('recipe', 'epochs', 'folds', 'photos', 'machine'),
        )
    return 0


def _row(name: str, folder: Path, args: argparse.Namespace) -> dict:
    found = json.loads((folder / 'folds.json').read_text('utf-8'))
    runs = [
        json.loads((folder / one['run'] / 'run.json').read_text('utf-8'))
        for one in found['folds']
    ]
    # A run counts from where it was resumed.
    whole = not any(run['resumed_at_epoch'] for run in runs)
    seconds = sum(sum(run['seconds'].values()) for run in runs)
    return {
        'recipe': name,
        'lines': ' '.join(CANDIDATES[name].split()),
        'epochs': args.epochs,
        'folds': FOLDS,
        'seed': runs[0]['seed'],
        'photos': found['photos'],
        **ends([one['top1'] for one in found['folds']]),
        'seconds': f'{seconds:.0f}' if whole else '',
        'device': runs[0]['device'],
        'optim_wrapper': runs[0]['optim_wrapper'],
        'command': (
            'python -m benchmarks.cross_validation --weights '
            f'{Path(args.weights).name} --epochs {args.epochs} --only {name}'
        ),
    }


if __name__ == '__main__':
    sys.exit(main())
