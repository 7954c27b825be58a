"""The tables of configs/flower/README.md, from results/."""

import csv
from pathlib import Path

from benchmarks.record import RESULTS

FLOWER = Path(__file__).parent.parent / 'configs' / 'flower'


def _rows(path: Path) -> list[dict]:
    if not path.is_file():
        return []
    with path.open(encoding='utf-8') as file:
        return list(csv.DictReader(file))


def _table(heads: list[str], lines: list[list[str]]) -> str:
    every = [heads, ['---'] * len(heads), *lines]
    return '\n'.join(f'| {" | ".join(cells)} |' for cells in every)


def _range(row: dict, name: str) -> str:
    mean, low, high = (row[f'{name}_{end}'] for end in ('mean', 'min', 'max'))
    return mean if low == high else f'{mean} ({low} to {high})'


def ours() -> str:
    """One line a config, with the best that was measured of it, if any."""
    rows = _rows(RESULTS / 'accuracy.csv')
    rows.sort(key=lambda row: float(row['top1_mean']))
    measured = {row['config']: row for row in rows}
    lines = []
    for path in sorted(FLOWER.glob('*_flower*.py')):
        name = f'configs/flower/{path.name}'
        row = measured.get(name)
        cells = [''] * 4
        if row:
            cells = [
                _range(row, 'top1'),
                row['epochs'],
                str(len(row['seeds'].split())),
                row['seconds'],
            ]
        lines.append([*cells, f'`python tools/train.py {name}`'])
    heads = ['val top-1, %', 'epochs', 'seeds', 's', 'command']
    return _table(heads, lines)


def reports() -> str:
    """One line a report: theirs, and here on one backbone and on its own."""
    theirs = {
        row['config']: row for row in _rows(FLOWER / 'reports' / 'theirs.csv')
    }
    here = {row['recipe']: row for row in _rows(RESULTS / 'reports.csv')}
    own = {row['config']: row for row in _rows(RESULTS / 'own_backbones.csv')}
    names = [path.stem for path in sorted((FLOWER / 'reports').glob('*.py'))]
    others = [name for name in here if name not in names]
    lines = []
    for name in sorted(others) + names:
        path = FLOWER / 'reports' / f'{name}.py'
        command = f'python tools/train.py configs/flower/reports/{path.name}'
        lines.append([
            name,
            _theirs(theirs.get(name)),
            *_here(here.get(name)),
            _falls(own.get(name)),
            f'`{command}`' if path.is_file() else '',
        ])  # fmt: skip
    heads = [
        'recipe',
        'theirs, %',
        'here, best epoch, %',
        'here, last epoch, %',
        's',
        'own backbone: loss',
        'command',
    ]
    return _table(heads, lines)


def _theirs(row: dict | None) -> str:
    if not row:
        return ''
    epochs = f' ({row["epochs"]} epochs)' if row['epochs'] else ''
    return row['top1'] + epochs


def _here(row: dict | None) -> list[str]:
    if not row:
        return [''] * 3
    return [_range(row, 'top1'), _range(row, 'last_top1'), row['seconds']]


def _falls(row: dict | None) -> str:
    return f'{row["first_loss"]} to {row["last_loss"]}' if row else ''
