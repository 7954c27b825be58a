"""The tables of configs/flower/README.md, from results/."""

import csv
from pathlib import Path

from benchmarks.record import recorded

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


def reports() -> str:
    """A line a report: what it got, and how its own backbone begins."""
    with (FLOWER / 'reports' / 'theirs.csv').open(encoding='utf-8') as file:
        theirs = {row['config']: row for row in csv.DictReader(file)}
    own = {row['config']: row for row in recorded('own_backbones')}
    lines = []
    for path in sorted((FLOWER / 'reports').glob('*.py')):
        told, falls = theirs.get(path.stem, {}), own.get(path.stem)
        lines.append([
            told.get('top1', ''),
            told.get('epochs', ''),
            f'{falls["first_loss"]} to {falls["last_loss"]}' if falls else '',
            f'`python tools/train.py configs/flower/reports/{path.name}`',
        ])  # fmt: skip
    heads = ['theirs, %', 'epochs', 'loss here, from scratch', 'command']
    return _table(heads, lines)


def on_one_backbone() -> str:
    """A table for each length; the best mean first."""
    rows = recorded('reports')
    rows.sort(key=lambda row: (int(row['epochs']), -float(row['top1_mean'])))
    text = []
    for epochs in dict.fromkeys(row['epochs'] for row in rows):
        those = [row for row in rows if row['epochs'] == epochs]
        lines = [
            [
                f'`{row["recipe"]}`',
                _range(row, 'top1'),
                _range(row, 'last_top1'),
                str(len(row['seeds'].split())),
                row['seconds'],
            ]
            for row in those
        ]
        heads = [
            f'recipe, {epochs} epoch{"s" * (epochs != "1")}',
            'best epoch, %',
            'last epoch, %',
            'seeds',
            's',
        ]
        text.append(_table(heads, lines))
    return '\n\n'.join(text)
