"""Faults of a dataset are reported before the first photo is read."""

import json
from pathlib import Path

import pytest
from helpers import draw_photo

from flower_mm.annotations import (
    describe,
    photos_folder,
    prepare_command,
    read_annotations,
    read_classes,
)
from flower_mm.errors import UserError
from flower_mm.prepare import dataset_json
from flower_mm.trust import trust

CLASSES = ['ash', 'blue bell', 'cedar']


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for label, name in enumerate(CLASSES):
        draw_photo(tmp_path / 'train' / name / 'a b.v1.JPG', label, 0)
    (tmp_path / 'classes.txt').write_text('\n'.join(CLASSES) + '\n')
    return tmp_path


def read(root: Path, text: str) -> list:
    path = root / 'train.txt'
    path.write_text(text, encoding='utf-8')
    return read_annotations(path, photos_folder(root, 'train'), CLASSES)


def test_names_may_hold_blanks_and_dots(root):
    photos = read(root, 'ash/a b.v1.JPG 0\n\nblue bell/a b.v1.JPG 1\n')
    assert photos == [('ash/a b.v1.JPG', 0), ('blue bell/a b.v1.JPG', 1)]


def test_notepads_mark_and_line_ends_are_no_part_of_a_name(root):
    photos = read(root, '\ufeffash/a b.v1.JPG 0\r\ncedar/a b.v1.JPG 2\r\n')
    assert [photo.name for photo in photos] == [
        'ash/a b.v1.JPG',
        'cedar/a b.v1.JPG',
    ]


@pytest.mark.parametrize(
    ('line', 'text'),
    [
        ('ash/missing.jpg 0', 'ash/missing.jpg is not in'),
        ('ash/a b.v1.JPG 1', 'is that of blue bell'),
        ('ash/a b.v1.JPG 3', 'expected at most 2, got 3'),
        ('ash/a b.v1.JPG -1', 'expected `class_name/image_name class_index`'),
        ('ash/a b.v1.JPG', 'expected `class_name/image_name class_index`'),
        (
            'ash/a b.v1.JPG \u0663',
            'expected `class_name/image_name class_index`',
        ),
        ('ash/a.jpg ' + '9' * 5000, '9…`'),
        ('. 0', 'expected `class_name/image_name class_index`'),
        ('ash/\0/a.jpg 0', 'ash/?/a.jpg is not in'),
        ('ash/\x1b[2J.jpg 0', 'ash/?[2J.jpg is not in'),
        ('ash/' + 'a' * 9000 + '.jpg 0', 'a… is not in'),
        ('../train/ash/a b.v1.JPG 0', 'points out of the dataset'),
        ('//etc/passwd 0', 'points out of the dataset'),
        ('/etc/passwd 0', 'points out of the dataset'),
        (
            'cedar/a b.v1.JPG 2\ncedar/a b.v1.JPG 2',
            'line 2: duplicate cedar/a b.v1.JPG, as in line 1',
        ),
        (
            'cedar/a b.v1.JPG 2\n./cedar//a b.v1.JPG 2',
            'line 2: duplicate cedar/a b.v1.JPG, as in line 1',
        ),
    ],
)
def test_invalid_lines(root, line, text):
    with pytest.raises(UserError, match=r'invalid lines in .*: 1') as error:
        read(root, line)
    assert text in str(error.value)
    assert 'prepare PHOTOS' in str(error.value)


def test_advice_is_accepted_by_prepare(root):
    """It replaces only its own datasets."""

    def advice() -> str:
        with pytest.raises(UserError) as error:
            read(root, 'ash/missing.jpg 0')
        return str(error.value)

    assert '--out NEW, then --data NEW' in advice()
    assert '--overwrite' not in advice()
    (root / 'dataset.json').write_text('{}')
    assert f'--out {root} --overwrite' in advice()
    assert prepare_command(root / 'none').endswith(f'--out {root / "none"}')
    (root / 'empty').mkdir()
    assert prepare_command(root / 'empty').endswith(f'--out {root / "empty"}')
    (root / 'dataset.json').unlink()
    (root / 'classes.txt').unlink()
    with pytest.raises(UserError, match='--out NEW, then --data NEW'):
        read_classes(root)


def test_many_invalid_lines(root):
    lines = '\n'.join(f'ash/{i}.jpg 0' for i in range(23))
    with pytest.raises(UserError) as error:
        read(root, lines)
    text = str(error.value)
    assert 'train.txt: 23\n' in text
    assert 'ash/9.jpg' in text
    assert 'ash/10.jpg' not in text
    assert '13 more' in text


@pytest.mark.parametrize('indent', [None, 0, 2])
def test_description_without_its_files(root, indent):
    record = {'photos': None, 'notes': {'files': {'a': 1}}, 'equal': []}
    files = {'train': {'ash/a.jpg': '0' * 64}}
    text = json.dumps(record | {'files': files}, indent=indent)
    (root / 'dataset.json').write_text(text)
    assert describe(root, files=True) == record | {'files': files}
    assert describe(root).items() >= record.items()
    with (root / 'dataset.json').open('w') as file:
        dataset_json.dump(record | {'files': files}, file)
    assert describe(root) == record
    assert describe(root, files=True) == record | {'files': files}


def test_empty_list(root):
    with pytest.raises(UserError, match='is empty'):
        read(root, '\n')


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('ash\nash\n', 'duplicate classes .*: ash'),
        ('ash\n', 'expected at least 2, got 1'),
    ],
)
def test_invalid_classes(root, text, message):
    (root / 'classes.txt').write_text(text)
    with pytest.raises(UserError, match=message):
        read_classes(root)


def test_of_many_classes_twice_some_are_named(root):
    names = [f'{number:05}' for number in range(20_000)]
    (root / 'classes.txt').write_text('\n'.join(2 * names))
    with pytest.raises(UserError, match=r'00009 and 19990 more$'):
        read_classes(root)


def test_a_folder_that_is_no_dataset(tmp_path):
    with pytest.raises(UserError, match=r'has no classes\.txt'):
        read_classes(tmp_path)
    with pytest.raises(UserError, match='does not exist'):
        read_classes(tmp_path / 'nowhere')


def test_photos_may_stay_where_they_were(root, tmp_path):
    (root / 'dataset.json').write_text('{"photos": "/photos/of/mine"}')
    trust(root)
    assert photos_folder(root, 'train') == Path('/photos/of/mine')
    (root / 'dataset.json').write_text('{"photos": null}')
    assert photos_folder(root, 'train') == root / 'train'


@pytest.mark.parametrize(
    'text',
    ['{', '[]', '{"photos": 1}', '{"photos": ["a"]}', '{"sha256": 1}',
     '{"sha256": "\\ud800"}', '[' * 100_000, '9' * 5000, '\xff'],
)  # fmt: skip
def test_invalid_dataset_json(root, text):
    (root / 'dataset.json').write_text(text, 'latin-1')
    with pytest.raises(UserError, match='--check'):
        photos_folder(root, 'train')


def test_photos_at_a_place_that_cannot_be(root):
    (root / 'dataset.json').write_text('{"photos": "a\\u0000b\\u001b"}')
    with pytest.raises(UserError, match=r'outside it, a\?b\?'):
        read(root, 'ash/a b.v1.JPG 0')
    trust(root)
    with pytest.raises(UserError, match=r'is not in a\?b\?'):
        read(root, 'ash/a b.v1.JPG 0')
