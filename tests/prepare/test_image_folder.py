"""The imagefolder of Hugging Face datasets."""

import json
from pathlib import Path

import pytest

from flower_mm.errors import UserError
from flower_mm.prepare.sources.listing import CLASS_FOLDERS, IMAGE_FOLDER

from .conftest import make_photos
from .test_csv_table import labels, listing, make_images, write_table


def write_json_lines(path: Path, lines: list[dict]) -> None:
    path.write_text('\n'.join(map(json.dumps, lines)), 'utf-8')


def test_metadata_in_each_split(tmp_path):
    photos = tmp_path / 'p' / 'data'
    for split in ('train', 'validation'):
        make_images(photos / split, 4)
        lines = [
            f'{i:04}.jpg,{"rose" if i % 2 else "daisy"},x' for i in range(4)
        ]
        write_table(
            photos / split / 'metadata.csv', 'file_name,label,text', *lines
        )
    found = listing(photos.parent)
    assert found.format == IMAGE_FOLDER
    assert {p.path: p.split for p in found.photos} == {
        **{f'data/train/{i:04}.jpg': 'train' for i in range(4)},
        **{f'data/validation/{i:04}.jpg': 'val' for i in range(4)},
    }
    assert labels(found)['data/validation/0003.jpg'] == 'rose'
    assert not found.other_files


def test_json_lines_above_the_photos(tmp_path):
    photos = make_images(tmp_path / 'p' / 'train', 4).parent
    write_json_lines(
        photos / 'metadata.jsonl',
        [{'file_name': f'train/{i:04}.jpg', 'label': i % 2} for i in range(4)],
    )
    found = listing(photos)
    assert found.classes == ['0', '1']
    assert {p.split for p in found.photos} == {''}
    assert listing(photos / 'metadata.jsonl').classes == ['0', '1']


def test_without_classes_the_folders_count(tmp_path):
    photos = make_photos(tmp_path / 'p', {'daisy': 2, 'rose': 2})
    lines = ['daisy/0000.jpg,a flower', 'rose/0002.jpg,a flower']
    write_table(photos / 'metadata.csv', 'file_name,text', *lines)
    found = listing(photos)
    assert (found.format, found.classes) == (CLASS_FOLDERS, ['daisy', 'rose'])


@pytest.mark.parametrize(
    'line', ['[1, 2]', '{"file_name": ', '[' * 100_000, '{"file_name": 1e999}']
)
def test_invalid_json_lines(tmp_path, line):
    photos = make_images(tmp_path / 'p', 2)
    (photos / 'metadata.jsonl').write_text(line)
    with pytest.raises(UserError):
        listing(photos / 'metadata.jsonl')


@pytest.mark.parametrize('label', [['a', 'b'], {'a': 1}])
def test_several_labels_in_a_line(tmp_path, label):
    photos = make_images(tmp_path / 'p', 2)
    lines = [{'file_name': f'{i:04}.jpg', 'label': label} for i in range(2)]
    write_json_lines(photos / 'metadata.jsonl', lines)
    with pytest.raises(UserError, match='expected text or a number'):
        listing(photos)
