"""Predictions as CSV, as JSON and on the screen."""

import csv
import io
import json
import os
from collections import Counter
from contextlib import suppress

import numpy as np
import pytest

from flower_mm.csv_files import from_cell
from flower_mm.inference.classifier import Prediction, Unread
from flower_mm.inference.prediction_files import (
    MAX_ROWS,
    UNSURE,
    csv_into,
    json_into,
    lines_on,
    list_unread,
    summary,
    table_on,
)

CLASSES = ['blue tit', 'étoile', '"x", <y>']
NAMES = ['a.jpg', os.fsdecode(b'\xff.jpg'), 'a\nb.jpg', 'c,"d".jpg', '=1+1']


def prediction(photo: str, *shares: float) -> Prediction:
    exact = np.array(shares, np.float32).tolist()
    return Prediction(photo, dict(zip(CLASSES, exact, strict=True)))


SURE = prediction('a/sure.jpg', 0.1, 0.7, 0.2)
DOUBTFUL = prediction('b/doubt.jpg', 0.25, 0.35, 0.4)
TINY = np.float32(1e-9) / 3


def test_csv_has_the_names_and_numbers_to_the_bit(tmp_path):
    path = tmp_path / 'out.csv'
    with csv_into(str(path), CLASSES) as write:
        for name in NAMES:
            write(prediction(name, 1 / 3, TINY, 2 / 3), CLASSES[2])
        write(DOUBTFUL, UNSURE)
    with path.open(
        encoding='utf-8', errors='surrogateescape', newline=''
    ) as file:
        head, *rows, last = csv.reader(file, strict=True)
    assert head == ['photo', 'predicted', 'confidence', *CLASSES]
    assert [from_cell(row[0]) for row in rows] == NAMES
    assert {row[1] for row in rows} == {CLASSES[2]}
    for row in rows:
        found = np.array(row[2:], np.float32)
        assert np.array_equal(found, np.float32([2 / 3, 1 / 3, TINY, 2 / 3]))
    assert last == ['b/doubt.jpg', 'unsure', '0.4', '0.25', '0.35', '0.4']
    assert b'\xff.jpg' in path.read_bytes()


def test_json_is_one_object(tmp_path):
    path, bad = tmp_path / 'out.json', []
    with json_into(str(path), {'classes': CLASSES}, bad) as write:
        for name in NAMES:
            write(prediction(name, 1 / 3, TINY, 2 / 3), CLASSES[2])
        bad.append(Unread(NAMES[1], 'gone'))
    found = json.loads(path.read_text(encoding='utf-8'))
    assert list(found) == ['classes', 'photos', 'bad']
    assert found['classes'] == CLASSES
    assert [one['photo'] for one in found['photos']] == NAMES
    for one in found['photos']:
        assert one['predicted'] == CLASSES[2]
        assert list(one['probabilities']) == CLASSES
        shares = np.array(list(one['probabilities'].values()), np.float32)
        assert np.array_equal(shares, np.float32([1 / 3, TINY, 2 / 3]))
    assert found['bad'] == [{'photo': NAMES[1], 'why': 'gone'}]
    assert 'étoile' in path.read_text(encoding='utf-8')


def test_json_of_nothing(tmp_path):
    with json_into(str(tmp_path / 'x.json'), {}, []):
        pass
    found = json.loads((tmp_path / 'x.json').read_text())
    assert found == {'photos': [], 'bad': []}


@pytest.mark.parametrize('kind', ['csv', 'json'])
def test_error_leaves_the_old_file(kind, tmp_path):
    path = tmp_path / 'out'
    path.write_text('old')
    into = {
        'csv': lambda: csv_into(str(path), CLASSES),
        'json': lambda: json_into(str(path), {}, []),
    }
    with suppress(KeyboardInterrupt), into[kind]() as write:
        write(SURE, 'étoile')
        raise KeyboardInterrupt
    assert path.read_text() == 'old'
    assert [one.name for one in tmp_path.iterdir()] == ['out']


def lines(topk: int, doubt: bool = True) -> list[str]:
    file = io.StringIO()
    labels = [*CLASSES, UNSURE] if doubt else CLASSES
    with lines_on(file, CLASSES, labels, topk) as write:
        write(SURE, 'étoile')
        assert 'sure.jpg' in file.getvalue()  # at once
        write(DOUBTFUL, UNSURE if doubt else CLASSES[2])
        write(prediction(NAMES[2], 0, 0, 1), CLASSES[2])
    return file.getvalue().splitlines()


def test_a_line_a_photo():
    assert lines(1) == [
        'étoile            70.0 %  a/sure.jpg',
        'unsure: "x", <y>  40.0 %  b/doubt.jpg',
        '"x", <y>         100.0 %  a\\nb.jpg',
    ]
    assert lines(2, doubt=False)[1] == (
        '"x", <y>  40.0 %  étoile    35.0 %  b/doubt.jpg'
    )


def table(
    monkeypatch: pytest.MonkeyPatch, width: int, topk: int, count: int = 1
) -> list[str]:
    monkeypatch.setenv('COLUMNS', str(width))
    file = io.StringIO()
    with table_on(file, CLASSES, [*CLASSES, UNSURE], topk) as write:
        for _ in range(count):
            write(SURE, 'étoile')
        write(DOUBTFUL, UNSURE)
        write(
            prediction(f'{"long/" * 20}[b]花.jpg', 0.5, 0.1, 0.4),
            CLASSES[0],
        )
        assert not file.getvalue()
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_a_table_on_a_terminal(monkeypatch):
    assert table(monkeypatch, 65, 2) == [
        'class                     or                photo',
        'étoile            70.0 %  "x", <y>  20.0 %  a/sure.jpg',
        'unsure: "x", <y>  40.0 %  étoile    35.0 %  b/doubt.jpg',
        'blue tit          50.0 %  "x", <y>  40.0 %  …/long/long/[b]花.jpg',
    ]
    wide = table(monkeypatch, 200, 1)
    assert wide[3] == f'blue tit          50.0 %  {"long/" * 20}[b]花.jpg'


def test_in_a_narrow_window_nothing_is_lost(monkeypatch):
    found = table(monkeypatch, 40, 3)
    assert len(found) == 3
    assert found[2].endswith(f'{"long/" * 20}[b]花.jpg')


def test_long_table(monkeypatch):
    found = table(monkeypatch, 70, 1, count=MAX_ROWS + 5)
    assert len(found) == MAX_ROWS + 2
    assert found[-1] == '… and 7 more: --csv FILE writes all'


def test_a_table_of_nothing():
    file = io.StringIO()
    with table_on(file, CLASSES, [*CLASSES, UNSURE], 1):
        pass
    assert not file.getvalue()


def test_the_last_line():
    assert summary(Counter(rose=1), 0.5) == '1 photo in 0.5 s: 1 rose'
    assert summary(Counter(), 0.5) == '0 photos in 0.5 s'
    assert summary(Counter(a=30, unsure=2), 2.0) == (
        '32 photos in 2.0 s (16 photos per second): 30 a, 2 unsure'
    )
    many = Counter({f'class {i}': 1 for i in range(13)} | {'rose': 7})
    line = summary(many, 40.0)
    assert line.startswith('20 photos in 40.0 s (0.5 photos per second)')
    assert summary(many, 40.0).endswith(', 4 of 4 other classes')


def test_long_list_of_unread_photos():
    bad = [Unread(f'{i}\x1b[2J.jpg', 'gone\nfor good') for i in range(33)]
    found = list_unread(bad, 40).splitlines()
    assert found[0] == '33 of 40 photos could not be classified:'
    assert found[1] == '  0\\x1b[2J.jpg: gone?for good'
    assert len(found) == 22
    assert found[-1] == '  … and 13 more'
