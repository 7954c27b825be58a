"""Each of the reference reports with its own backbone, from scratch.

python -m benchmarks.own_backbones

ImageNet's weights of these backbones may not be at hand. That a config trains
shows without them: on photos that are red, green or blue, which any network
can tell apart, the loss falls within three short epochs, in the precision that
this machine is fastest in. No more than that: what report C freezes is random
here. The rows go to results/own_backbones.csv.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.compared import compare
from benchmarks.record import record
from benchmarks.reports import REPORTS
from flower_mm.report.learning_curves import phases, read_scalars

CLASSES = ('red', 'green', 'blue')
SIZE = (320, 256)
PHOTOS = {'train': 320, 'val': 60}  # ten batches of 32 an epoch


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--out', type=Path, default='work_dirs/own_backbones')
    args = parser.parse_args()
    data = args.out / 'data'
    write_photos(data)
    rows, code = compare(
        sorted(REPORTS.glob('*.py')),
        args.out,
        *('--epochs', '3', '--data-root', data),
        *('--from-scratch', '--cfg-options', 'precision=auto'),
    )
    record(
        'own_backbones', [_row(run) for run in rows], key=('config', 'machine')
    )
    return code


def write_photos(data: Path) -> None:
    """A dataset of spots that are mostly of the colour of their class."""
    rng = np.random.default_rng(0)
    for split, count in PHOTOS.items():
        lines = []
        for number in range(count):
            label = number % len(CLASSES)
            spots = rng.integers(0, 128, (6, 6, 3), dtype=np.uint8)
            spots[..., label] += 96
            path = data / split / CLASSES[label] / f'{number:03}.jpg'
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(spots).resize(SIZE).save(path)
            lines.append(f'{CLASSES[label]}/{path.name} {label}\n')
        (data / f'{split}.txt').write_text(''.join(lines))
    (data / 'classes.txt').write_text(''.join(f'{n}\n' for n in CLASSES))


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
