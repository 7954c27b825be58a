"""results/time_to_accuracy.csv as a Markdown table, a machine at a time."""

import csv
from math import inf
from pathlib import Path
from statistics import median

from benchmarks.time_to_accuracy.rows import (
    LEVELS,
    seconds_to,
    validations_of,
)
from benchmarks.time_to_accuracy.systems import SYSTEMS

STOCK_EPOCHS = 10  # the rivals' best counts within so many


def table(path: Path, levels: tuple[int, ...] = LEVELS) -> str:
    with path.open(newline='', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    order = list(SYSTEMS)
    rows.sort(key=lambda row: order.index(row['system']))
    places = dict.fromkeys((r['machine'], r['threads']) for r in rows)
    return '\n\n'.join(
        _of_one(
            f'{machine}, {threads} threads',
            [r for r in rows if (r['machine'], r['threads']) == place],
            levels,
        )
        for place in places
        for machine, threads in [place]
    )


def stock_best(rows: list[dict]) -> float:
    """The best top-1 of stock MMPretrain; infinite where it was not run."""
    return max(
        (
            float(row['top1'])
            for row in rows
            if row['system'].startswith('stock')
            and int(row['epochs']) <= STOCK_EPOCHS
        ),
        default=inf,
    )


def _of_one(place: str, rows: list[dict], levels: tuple[int, ...]) -> str:
    best = stock_best(rows)
    known = '?' if best == inf else f'{best:.2f}'
    heads = [
        *('system', 'epochs', 'runs', 'best accuracy, %'),
        *(f'seconds to {level} %' for level in levels),
        *(f'seconds to {known} %, the best of stock', 'seconds in all'),
        *('images per second', 'peak MB'),
    ]
    lines = [
        f'{place}:',
        '',
        f'| {" | ".join(heads)} |',
        f'| --- |{" ---: |" * (len(heads) - 1)}',
    ]
    for row in rows:
        to_best = median(seconds_to(best, run) for run in validations_of(row))
        cells = [
            *(row['name'], row['epochs'], row['runs'], _cell(row, 'top1')),
            *(_cell(row, f'seconds_to_{level}') for level in levels),
            '' if to_best == inf else f'{to_best:.1f}',
            *(_cell(row, 'seconds'), _cell(row, 'photos_a_second')),
            _cell(row, 'peak_mb'),
        ]
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines)


def _cell(row: dict, name: str) -> str:
    """The median, and the range where there is one."""
    least, most = (row[name + end] or 'never' for end in ('_min', '_max'))
    if least == most:
        return row[name]
    return f'{row[name] or "never"} ({least} to {most})'
