"""A figure in a config's header stands in the committed results."""

import ast
import re

import pytest
from helpers import ROOT

from benchmarks import config_tables
from benchmarks.record import recorded

CONFIGS = sorted((ROOT / 'configs' / 'flower').glob('*_flower*.py'))
ROWS = config_tables.at_length()


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_the_figures_of_a_header_were_measured(path):
    header = ast.get_docstring(ast.parse(path.read_text()))
    name = path.relative_to(ROOT).as_posix()
    assert f'python tools/train.py {name}' in header
    rows = [row for row in ROWS if row['config'] == name]
    measured = {
        row[column]
        for row in rows
        for column in ('top1_mean', 'top1_min', 'top1_max')
    }
    said = set(re.findall(r'\d+\.\d\d', header))
    assert said <= measured
    # No figures only where there are none.
    assert bool(rows) == bool(said)
    seconds = re.search(r'(\d+) s\b', header)
    if seconds:
        assert seconds[1] in {row['seconds'] for row in rows}


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_the_figures_of_a_comment_were_measured(path):
    comments = re.findall(r'^\s*#.*', path.read_text(), re.MULTILINE)
    said = set(re.findall(r'\d+\.\d\d', ' '.join(comments)))
    assert said <= {
        f'{float(row["best_top1"]):.2f}' for row in recorded('reports')
    }
