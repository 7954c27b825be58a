"""Each of the reference reports with its own backbone, from scratch.

python tools/make_demo.py
python tools/prepare_dataset.py data/demo_photos --out data/demo
python -m benchmarks.own_backbones

ImageNet's weights of these backbones may not be at hand. That a config trains
shows without them: in a few epochs on the drawn photos, in the precision that
this machine is fastest in, the loss falls. No more than that: the accuracies
are not those of a fine-tuning, and what report C freezes is random here. The
rows go to results/own_backbones.csv.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.compared import compare
from benchmarks.record import record
from benchmarks.reports import REPORTS
from flower_mm.report.curves import phases, read_scalars


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--data-root', default='data/demo')
    parser.add_argument('--out', type=Path, default='work_dirs/own_backbones')
    args = parser.parse_args()
    rows, code = compare(
        sorted(REPORTS.glob('*.py')),
        args.out,
        *('--epochs', '3', '--data-root', args.data_root),
        *('--from-scratch', '--cfg-options', 'precision=auto'),
    )
    record(
        'own_backbones', [_row(run) for run in rows], key=('config', 'machine')
    )
    return code


def _row(run: dict) -> dict:
    trained, _ = phases(read_scalars(Path(run['folder'], 'scalars.json')))
    return {
        'config': run['config'],
        'epochs': run['epochs'],
        'seed': run['seed'],
        'train': run['train'],
        'val': run['val'],
        # Each is a mean over ten batches, or those that there are.
        'first_loss': f'{trained[0]["loss"]:.3f}',
        'last_loss': f'{trained[-1]["loss"]:.3f}',
        'best_top1': run['best_top1'],
        'seconds': run['seconds'],
        'parameters': run['parameters'],
        'trained_parameters': run['trained_parameters'],
        'optim_wrapper': run['optim_wrapper'],
        'command': 'python -m benchmarks.own_backbones',
    }


if __name__ == '__main__':
    sys.exit(main())
