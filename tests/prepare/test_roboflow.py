"""Roboflow's table of ones and zeros."""

from pathlib import Path

import pytest

from flower_mm.errors import UserError
from flower_mm.prepare.sources.listing import ROBOFLOW

from .test_csv_table import labels, listing, make_images, write_table

HEADER = 'filename, daisy, Unlabeled, wild rose'


def make_export(root: Path, *splits: str) -> Path:
    for split in splits:
        make_images(root / split, 4)
        write_table(
            root / split / '_classes.csv',
            HEADER,
            '0000.jpg, 1, 0, 0',
            '0001.jpg, 0, 0, 1',
            '0002.jpg, 0, 0, 1',
            '0003.jpg, 0, 0, 0',
        )
    write_table(root / 'README.roboflow.txt', 'text')
    return root


def test_the_export(tmp_path):
    found = listing(make_export(tmp_path / 'p', 'train', 'valid', 'test'))
    assert (found.format, found.classes) == (ROBOFLOW, ['daisy', 'wild rose'])
    assert {photo.split for photo in found.photos} == {'train', 'val', 'test'}
    assert labels(found)['valid/0002.jpg'] == 'wild rose'
    assert found.left_out['train/0003.jpg'].startswith('without a class')


def test_several_classes_are_refused(tmp_path):
    root = make_export(tmp_path / 'p', 'train')
    with (root / 'train' / '_classes.csv').open('a') as file:
        file.write('0003.jpg, 1, 0, 1')
    words = r'1 of 5 photos several classes \(line 6: daisy, wild rose\)'
    with pytest.raises(UserError, match=words):
        listing(root)


@pytest.mark.parametrize(
    ('header', 'line', 'words'),
    [
        (HEADER, '0003.jpg, 2, 0, 1', 'expected 0 or 1 for daisy, got 2'),
        (HEADER, '../../x.jpg, 1, 0, 0', 'outside'),
        ('a, b', '1, 0', 'expected filename'),
        ('filename, daisy', '1.jpg, 1', 'expected filename'),
    ],
)
def test_invalid_tables(tmp_path, header, line, words):
    make_images(tmp_path / 'p' / 'train', 4)
    write_table(tmp_path / 'p' / 'train' / '_classes.csv', header, line)
    with pytest.raises(UserError, match=words):
        listing(tmp_path / 'p')
