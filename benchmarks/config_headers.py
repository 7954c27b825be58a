"""Figures in the headers and comments of configs, and whether they stand."""

import ast
import re
from pathlib import Path

from benchmarks.config_tables import FLOWER, at_length
from benchmarks.record import recorded

COLUMNS = ('top1_mean', 'top1_min', 'top1_max')


def unmeasured() -> list[Path]:
    """Configs that state a figure which results/ does not have, or none."""
    rows = at_length()
    reports = {f'{float(r["best_top1"]):.2f}' for r in recorded('reports')}
    return [
        path
        for path in sorted(FLOWER.glob('*_flower*.py'))
        if not _stands(path, rows, reports)
    ]


def _stands(path: Path, rows: list[dict], reports: set[str]) -> bool:
    text = path.read_text(encoding='utf-8')
    header = ast.get_docstring(ast.parse(text))
    name = f'configs/flower/{path.name}'
    rows = [row for row in rows if row['config'] == name]
    stated = set(re.findall(r'\d+\.\d\d', header))
    seconds = re.search(r'(\d+) s\b', header)
    comments = ' '.join(re.findall(r'^\s*#.*', text, re.MULTILINE))
    return (
        f'python tools/train.py {name}' in header
        and stated <= {row[column] for row in rows for column in COLUMNS}
        and bool(rows) == bool(stated)
        and (not seconds or seconds[1] in {row['seconds'] for row in rows})
        and set(re.findall(r'\d+\.\d\d', comments)) <= reports
    )
