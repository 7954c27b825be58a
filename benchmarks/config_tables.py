"""The tables of configs/flower/README.md, from results/."""

import csv
from pathlib import Path
from statistics import mean

from benchmarks.record import recorded
from benchmarks.reports import GROUP

FLOWER = Path(__file__).parent.parent / 'configs' / 'flower'


def _table(heads: list[str], lines: list[list[str]]) -> str:
    every = [heads, ['---'] * len(heads), *lines]
    return '\n'.join(f'| {" | ".join(cells)} |' for cells in every)


def _range(row: dict, name: str) -> str:
    mean, low, high = (row[f'{name}_{end}'] for end in ('mean', 'min', 'max'))
    return mean if low == high else f'{mean} ({low} to {high})'


def ours() -> str:
    """A line for each command that was measured, and each config."""
    rows = recorded('accuracy')
    lines = []
    for path in sorted(FLOWER.glob('*_flower*.py')):
        name = f'configs/flower/{path.name}'
        command = f'python tools/train.py {name}'
        measured = [
            [
                _range(row, 'top1'),
                row['epochs'],
                str(len(row['seeds'].split())),
                row['seconds'],
                f'`{" ".join([command, row["flags"]]).strip()}`',
            ]
            for row in rows
            if row['config'] == name and 'at commit' not in row['name']
        ]
        lines += measured or [['', '', '', '', f'`{command}`']]
    heads = ['val top-1, %', 'epochs', 'seeds', 's', 'command']
    return _table(heads, lines)


def _theirs() -> dict[str, dict]:
    """What each report got, with data and weights of its own."""
    with (FLOWER / 'reports' / 'theirs.csv').open(encoding='utf-8') as file:
        return {row['config']: row for row in csv.DictReader(file)}


def reports() -> str:
    """A line a report: what it got, and how its own backbone begins."""
    theirs = _theirs()
    own = {row['config']: row for row in recorded('own_backbones')}
    lines = []
    for path in sorted((FLOWER / 'reports').glob('*.py')):
        told, falls = theirs.get(path.stem, {}), own.get(path.stem)
        lines.append([
            told.get('top1', ''),
            told.get('epochs', ''),
            told.get('seconds', ''),
            f'{falls["first_loss"]} to {falls["last_loss"]}' if falls else '',
            f'`python tools/train.py configs/flower/reports/{path.name}`',
        ])  # fmt: skip
    heads = [
        'theirs, %',
        'epochs',
        'their s',
        'loss here, from scratch',
        'command',
    ]
    return _table(heads, lines)


def _spread(runs: list[dict], name: str, shape: str = '.2f') -> str:
    values = [float(run[name]) for run in runs]
    middle, low, high = (
        format(value, shape)
        for value in (mean(values), min(values), max(values))
    )
    return middle if low == high else f'{middle} ({low} to {high})'


def on_one_backbone() -> str:
    """A table for each length; the best mean first."""
    theirs = _theirs()
    groups: dict[tuple, dict[str, list[dict]]] = {}
    for row in recorded('reports'):
        row['epochs'] = int(row['epochs'])
        group = groups.setdefault(tuple(row[name] for name in GROUP), {})
        group.setdefault(row['recipe'], []).append(row)
    text = []
    for (epochs, machine, *_), recipes in sorted(groups.items()):
        lines = [
            [
                f'`{recipe}`',
                _spread(runs, 'best_top1'),
                _spread(runs, 'last_top1'),
                str(len(runs)),
                _spread(runs, 'seconds', '.0f'),
                runs[0]['full_length'],
                theirs.get(recipe, {}).get('top1', ''),
            ]
            for recipe, runs in sorted(
                recipes.items(),
                key=lambda item: -mean(float(r['best_top1']) for r in item[1]),
            )
        ]
        heads = [
            f'{epochs} epoch{"s" * (epochs != 1)}',
            'best epoch, %',
            'last epoch, %',
            'seeds',
            's',
            'full length',
            'theirs, %',
        ]
        text.append(f'On {machine}:\n\n{_table(heads, lines)}')
    return '\n\n'.join(text)
