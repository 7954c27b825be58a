"""MMPretrain's annotation files."""

from pathlib import Path

import pytest

from flower_mm.errors import UserError
from flower_mm.prepare.file_tree import list_folder
from flower_mm.prepare.prepare_dataset import Options, prepare
from flower_mm.prepare.sources.annotation import find_annotation
from flower_mm.prepare.sources.listing import (
    ANNOTATION,
    SPLIT_FOLDERS,
    Source,
)

from .conftest import make_photos, read_splits, refused, save
from .test_archive import pack
from .test_csv_table import labels, listing, write_table
from .test_split_folders import make_split

CLASSES = ['tulip', 'a b', 'daisy']  # not in alphabetical order


def make_annotated(root: Path, lists: str = '', photos: str = '') -> Path:
    """Photos `photos`/split/class and lists in the folder `lists`."""
    for start, split in ((0, 'train'), (50, 'val')):
        folder = root / photos / split
        make_photos(folder, dict.fromkeys(CLASSES, 4), start)
        lines = [
            f'{name}/{path.name} {number}'
            for number, name in enumerate(CLASSES)
            for path in sorted((folder / name).iterdir())
        ]
        write_table(root / lists / f'{split}.txt', *lines)
    return root


@pytest.mark.parametrize('lists', ['', 'meta'])
@pytest.mark.parametrize('has_names', [True, False])
def test_lists_beside_and_above_the_photos(tmp_path, lists, has_names):
    """As this package and as ImageNet have them."""
    root = make_annotated(tmp_path / 'p', lists)
    names = ['Tulpe', 'x', 'Gänse'] if has_names else CLASSES
    if has_names:
        write_table(root / lists / 'classes.txt', *names)
    found = listing(root)
    assert (found.format, found.classes) == (ANNOTATION, names)
    assert {p.path: p.split for p in found.photos} == {
        path.relative_to(root).as_posix(): path.parts[-3]
        for path in root.rglob('*.jpg')
    }
    assert labels(found)['train/tulip/0000.jpg'] == names[0]
    assert not found.other_files


def test_a_prepared_dataset(tmp_path, out):
    """The dataset of somebody else can be prepared again."""
    photos = make_photos(tmp_path / 'p', {'daisy': 10, 'rose': 10})
    assert prepare(photos, tmp_path / 'theirs', Options(test=0.2))
    packed = pack(tmp_path / 'theirs', tmp_path / 'theirs.zip')
    assert prepare(packed, out, Options())
    assert read_splits(out) == read_splits(tmp_path / 'theirs')


def test_numbers_without_names(tmp_path):
    for number in range(4):
        save(tmp_path / 'p' / 'train' / f'{number}.jpg', number)
    lines = [f'{number}.jpg {number % 2 * 7}' for number in range(4)]
    write_table(tmp_path / 'p' / 'train.txt', *lines)
    found = listing(tmp_path / 'p')
    assert found.classes == ['0', '7']
    assert {photo.split for photo in found.photos} == {''}


def test_a_list_without_labels_is_no_annotation(tmp_path):
    """MMPretrain's test lists, and those of YOLO, have paths alone."""
    root = make_split(tmp_path / 'p', 'train', 'val')
    write_table(root / 'train.txt', 'daisy/0000.jpg', 'rose/0006.jpg')
    assert listing(root).format == SPLIT_FOLDERS
    root = make_annotated(tmp_path / 'q')
    write_table(root / 'test.txt', 'tulip/0000.jpg')
    assert len(listing(root).photos) == 24


def test_a_list_alone(tmp_path, out):
    root = make_annotated(tmp_path / 'p')
    assert f'Name the folder: {root}' in refused(
        root / 'train.txt', '--out', out
    )


def test_rows_without_a_photo(tmp_path):
    root = make_annotated(tmp_path / 'p')
    (root / 'val' / 'tulip' / '0050.jpg').unlink()
    save(root / 'val' / 'tulip' / 'new.jpg', 900)
    found = listing(root)
    assert found.rows_without_file == ['val.txt line 1: tulip/0050.jpg']
    assert list(found.left_out) == ['val/tulip/new.jpg']


@pytest.mark.parametrize(
    ('line', 'words'),
    [
        ('../../x.jpg 0', 'outside'),
        ('/etc/x.jpg 0', 'outside'),
        ('https://x.org/a.jpg 0', 'is a URL'),
        ('tulip/0000.jpg tulip', 'train.txt line 13'),
        ('tulip/0000.jpg 3', 'expected 4 classes, got 3'),
        ('tulip/0000.jpg 9999999999', 'train.txt line 13'),
        ('tulip/0000.jpg -1', 'train.txt line 13'),
        ('tulip/0000.jpg ²', 'train.txt line 13'),
    ],
)
def test_invalid_lines(tmp_path, line, words):
    root = make_annotated(tmp_path / 'p', photos='photos')
    write_table(root / 'classes.txt', *CLASSES)
    with (root / 'train.txt').open('a', encoding='utf-8') as file:
        file.write(line)
    with pytest.raises(UserError, match=words):
        find_annotation(Source(root, list_folder(root)))
    # The folders name the classes as well.
    assert 'Taken from the folders' in listing(root).remarks[0]


def test_lists_without_their_photos(tmp_path):
    root = tmp_path / 'p'
    write_table(root / 'train.txt', 'daisy/1.jpg 0', 'rose/2.jpg 1')
    with pytest.raises(UserError, match=r'no photo of train\.txt'):
        listing(root)
