"""Names that a spreadsheet would run are text in every CSV file of ours."""

import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower_mm.csv_files import as_cell, from_cell, read_dicts, write_row
from flower_mm.inference.classifier import Prediction
from flower_mm.inference.prediction_files import csv_into
from flower_mm.prepare.folds import make_folds, read_list
from flower_mm.prepare.photo import Photo
from flower_mm.report.predictions import (
    Predictions,
    read_predictions,
    write_predictions,
)
from flower_mm.sweep.results_table import write

EVIL = "=cmd|'/C calc'!A1"
NAMES = [
    EVIL,
    '+1+cmd',
    '-2+3+cmd',
    '@SUM(1)',
    '\t=1',
    '\r=1',
    '\uff1dcmd',
    "'=kept",
    "''@kept",
    "'plain",
    '-rose-',
    ' =1+1',
    '"=1+1',
    f'a;{EVIL}',
    f'a;"{EVIL}',
    f'a\n{EVIL}',
    ";'=kept",
]
RUNS = re.compile('[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]')


def cells(path: Path) -> list[str]:
    """As another program reads them."""
    with path.open(encoding='utf-8', newline='') as file:
        return [cell for row in csv.reader(file) for cell in row]


def formulas(path: Path) -> list[str]:
    found = [cell for cell in cells(path) if RUNS.match(cell)]
    return [cell for cell in found if not is_number(cell)]


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@given(st.text() | st.sampled_from(NAMES))
def test_names_are_read_as_they_were_written(name):
    file = io.StringIO(newline='')
    write_row(file, ['name', 'x'])
    write_row(file, [name, name])
    file.seek(0)
    (row,) = read_dicts(file)
    assert row == {'name': name, 'x': name}


@pytest.mark.parametrize('name', NAMES)
def test_no_name_is_a_formula(name):
    assert not RUNS.match(as_cell(name))
    assert from_cell(as_cell(name)) == name


@pytest.mark.parametrize('name', NAMES)
def test_no_part_is_a_formula_where_semicolons_separate(name):
    """As Excel opens a file where numbers have decimal commas."""
    file = io.StringIO(newline='')
    write_row(file, ['photo.jpg', name, 'rose'])
    lines = file.getvalue().splitlines()
    parts = [part for row in csv.reader(lines, delimiter=';') for part in row]
    assert [part for part in parts if RUNS.match(part)] == []


@pytest.mark.parametrize(
    'number', ['-0.5', '+3', '-1e-05', '1.5E+10', -0.5, 7, None]
)
def test_numbers_stay_numbers(number):
    assert as_cell(number) == number


def test_predictions(tmp_path):
    there = Predictions(
        [f'{EVIL}/{i}.jpg' for i in range(2)],
        np.array([0, 1]),
        np.array([[0.75, 0.25], [0.5, 0.5]], np.float32),
        [EVIL, "'=rose"],
    )
    write_predictions(tmp_path / 'p.csv', there)
    assert formulas(tmp_path / 'p.csv') == []
    back = read_predictions(tmp_path / 'p.csv')
    assert back.classes == there.classes
    assert back.photos == there.photos
    assert back.labels.tolist() == [0, 1]


def test_predictions_of_predict(tmp_path):
    path = tmp_path / 'p.csv'
    with csv_into(str(path), [EVIL, 'rose']) as put:
        put(Prediction('@a.jpg', {EVIL: 0.75, 'rose': 0.25}), EVIL)
    assert formulas(path) == []
    with path.open(encoding='utf-8', newline='') as file:
        (row,) = read_dicts(file)
    assert row['photo'] == '@a.jpg'
    assert row['predicted'] == EVIL
    assert float(row[EVIL]) == 0.75


def test_comparisons(tmp_path):
    row = {
        'config': EVIL,
        'seed': -1,
        'status': 'failed',
        'best_top1': None,
        'at_once': 1,
        'folder': '@x/y',
        'error': '=1+1',
    }
    write(tmp_path, [row])
    assert formulas(tmp_path / 'compare.csv') == []
    assert '-1' in cells(tmp_path / 'compare.csv')


def test_lists_of_folds(photos, tmp_path):
    """A class and its folder, as prepare_dataset.py takes them."""
    listed = [
        Photo(f'{EVIL}/{i}.jpg', str(photo), i % 2)
        for i, photo in enumerate(sorted(photos.rglob('*.jpg'))[:12])
    ]
    classes = [EVIL, "'=rose"]
    out = tmp_path / 'folds'
    make_folds(listed, ['a', 'b'], 2, 0, None, tmp_path / 'f', {})
    text = (tmp_path / 'f' / 'photos.csv').read_text('utf-8')
    assert text.count(',a,') == 6
    out.mkdir()
    with (out / 'photos.csv').open('w', encoding='utf-8') as file:
        write_row(file, ['photo', 'class', 'fold'])
        for photo in listed:
            write_row(file, [photo.file, classes[photo.label], 1])
    assert formulas(out / 'photos.csv') == []
    assert [held.label for held in read_list(out, classes)] == [0, 1] * 6


def test_all_csv_files_are_written_here():
    """No other module of the package writes one on its own."""
    package = Path(as_cell.__code__.co_filename).parent
    found = [
        path.name
        for path in package.rglob('*.py')
        if re.search(r'csv\.(writer|DictWriter)', path.read_text('utf-8'))
    ]
    assert found == ['csv_files.py']
