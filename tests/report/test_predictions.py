import csv
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower_mm.errors import UserError
from flower_mm.report.predictions import (
    Predictions,
    read_predictions,
    write_predictions,
)

HEADER = 'photo,class,predicted,correct,confidence,daisy,rose\n'


def some(photos: list[str], classes: list[str], seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    scores = rng.dirichlet(np.full(len(classes), 0.05), len(photos))
    return Predictions(
        photos,
        rng.integers(0, len(classes), len(photos)),
        scores.astype(np.float32),
        classes,
    )


def test_what_is_written_is_read_to_the_bit(tmp_path):
    """Tiny scores too; a report from the file is that from the model."""
    photos = [f'data/val/{i:04}.jpg' for i in range(500)]
    there = some(photos, [f'class {i}' for i in range(40)])
    assert 0 < there.scores[there.scores > 0].min() < 1e-9
    write_predictions(tmp_path / 'p.csv', there)
    back = read_predictions(tmp_path / 'p.csv')
    assert back.photos == there.photos
    assert back.classes == there.classes
    assert np.array_equal(back.labels, there.labels)
    assert back.scores.dtype == np.float32
    assert np.array_equal(back.scores, there.scores)


def test_names_may_be_any_bytes_and_classes_any_words(tmp_path):
    photos = [
        os.fsdecode(b'a/\xff\xfe.jpg'),
        'b/line\nbreak\r.jpg',
        'c/"quoted", and more.jpg',
        'd/étoile 花.jpg',
        '=1+1',
    ]
    there = some(photos, ['<script>', 'one, two', 'étoile'])
    write_predictions(tmp_path / 'p.csv', there)
    back = read_predictions(tmp_path / 'p.csv')
    assert back.photos == photos
    assert back.classes == there.classes
    assert b'a/\xff\xfe.jpg' in (tmp_path / 'p.csv').read_bytes()


def test_people_read_what_was_said_and_whether_it_is_right(tmp_path):
    write_predictions(
        tmp_path / 'p.csv',
        Predictions(
            ['1.jpg', '2.jpg'],
            np.array([0, 0]),
            np.array([[0.75, 0.25], [0.125, 0.875]], np.float32),
            ['daisy', 'rose'],
        ),
    )
    with (tmp_path / 'p.csv').open(encoding='utf-8') as file:
        first, second = csv.DictReader(file)
    assert first['class'] == first['predicted'] == 'daisy'
    assert (first['correct'], first['confidence']) == ('1', '0.75')
    assert second['predicted'] == 'rose'
    assert (second['correct'], second['confidence']) == ('0', '0.875')


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('', 'in the first line'),
        ('photo,label\n1.jpg,daisy\n', 'in the first line'),
        (HEADER.replace('rose', 'rose,rose'), 'in the first line'),
        (HEADER, 'contains no predictions'),
        (HEADER + '1.jpg,tulip,rose,0,1,0,1\n', 'line 2'),
        (HEADER + '1.jpg,daisy,rose,0,1,0\n', 'line 2'),
        (HEADER + '1.jpg,daisy,rose,0,1,0,1,0\n', 'line 2'),
        (HEADER + '1.jpg,daisy,rose,0,1,0,1\n2.jpg\n', 'line 3'),
        (HEADER + '1.jpg,daisy,rose,0,1,nan,1\n', 'line 2'),
        (HEADER + '1.jpg,daisy,rose,0,1,inf,0\n', 'line 2'),
        (HEADER + '1.jpg,daisy,rose,0,1,-1,2\n', 'line 2'),
        (HEADER + '1.jpg,daisy,rose,0,1,0.1,0.2\n', 'line 2'),
        (HEADER + '1.jpg,daisy,rose,0,1,zero,one\n', 'line 2'),
        (HEADER + f'{"x" * 200_000},daisy,rose,0,1,0,1\n', 'cannot be read'),
        (HEADER + '"1.jpg,daisy,rose,0,1,0,1\n', 'cannot be read'),
    ],
)
def test_what_is_no_prediction_is_refused(text, said, tmp_path):
    path = tmp_path / 'p.csv'
    path.write_text(text, encoding='utf-8')
    with pytest.raises(UserError, match=said):
        read_predictions(path)


@given(
    st.lists(
        st.one_of(
            st.sampled_from(['1.jpg', 'daisy', 'rose', '0', '1', '', '\0']),
            st.floats().map(str),
            st.text(st.characters(codec='utf-8'), max_size=9),
        ),
        max_size=16,
    ),
    st.binary(max_size=20),
)
def test_rubbish_is_read_or_refused(tmp_path_factory, cells, tail):
    path = tmp_path_factory.mktemp('rubbish') / 'p.csv'
    lines = [','.join(cells[i : i + 7]) for i in range(0, len(cells), 7)]
    path.write_bytes((HEADER + '\n'.join(lines)).encode() + tail)
    try:
        found = read_predictions(path)
    except UserError:
        return
    assert len(found.photos) == len(found.labels) == len(found.scores)
    assert np.isfinite(found.scores).all()


def test_a_file_that_is_not_there_comes_with_the_command(tmp_path):
    with pytest.raises(UserError, match='test CONFIG CHECKPOINT'):
        read_predictions(tmp_path / 'p.csv')
