"""Which files are photos, of which class, under which name."""

import sys
from pathlib import Path

import pytest

from flower_mm.errors import UserError
from flower_mm.prepare.file_tree import FileTree, list_folder
from flower_mm.prepare.photo import name_photos
from flower_mm.prepare.sources.listing import Listing, Source
from flower_mm.prepare.sources.recognise import recognise

ROOT = Path('photos')


def tree_of(*files: str) -> FileTree:
    tree = FileTree({f: f'/disk/{f}' for f in files})
    for path in files:
        tree.add_folders_of(path)
    return tree


def find_photos(tree: FileTree, path: Path) -> Listing:
    return recognise(Source(path, tree))


def paths(found: Listing) -> list[str]:
    return [photo.path for photo in found.photos]


def test_classes_are_sorted_and_names_kept():
    found = find_photos(
        tree_of('tulip/b.JPG', 'Rose/a b.c.jpeg', 'été/花.png', 'a b/x.PNG'),
        ROOT,
    )
    assert found.classes == ['Rose', 'a b', 'tulip', 'été']
    assert paths(found) == [
        'Rose/a b.c.jpeg', 'a b/x.PNG', 'tulip/b.JPG', 'été/花.png',
    ]  # fmt: skip
    assert [p.label for p in found.photos] == [0, 1, 2, 3]
    assert not found.bad


def test_other_files_are_listed():
    found = find_photos(
        tree_of(
            'daisy/a.jpg', 'daisy/notes.txt', 'daisy/IMG_1', 'rose/b.jpg',
            'rose/deep/c.jpg', 'LICENSE.txt', 'lost.jpg', 'rose/x\ny.jpg',
        ),
        ROOT,
    )  # fmt: skip
    assert paths(found) == ['daisy/a.jpg', 'rose/b.jpg', 'rose/deep/c.jpg']
    assert list(found.bad) == ['rose/x\\ny.jpg']
    assert list(found.left_out) == ['lost.jpg']
    assert found.other_files == [
        'LICENSE.txt',
        'daisy/IMG_1',
        'daisy/notes.txt',
    ]


@pytest.mark.parametrize('wrap', ['flower_photos/', 'a/b/'])
def test_outer_folder_is_opened(wrap):
    found = find_photos(
        tree_of('README', wrap + 'daisy/a.jpg', wrap + 'rose/b.jpg'), ROOT
    )
    assert found.classes == ['daisy', 'rose']
    assert found.base == wrap
    assert paths(found) == ['daisy/a.jpg', 'rose/b.jpg']


def test_empty_folders_are_no_classes():
    tree = tree_of('daisy/a.jpg', 'rose/b.jpg', 'docs/readme.md')
    tree.folders |= {'empty', 'empty/inner'}
    found = find_photos(tree, ROOT)
    assert found.classes == ['daisy', 'rose']
    assert found.other_files == ['docs/readme.md']
    assert found.remarks == ['Folders without photos: docs, empty']


@pytest.mark.parametrize(
    'names', [('Daisy', 'daisy'), ('caf\u00e9', 'cafe\u0301'), ('a', 'a ')]
)
def test_two_spellings_of_a_class_are_refused(names):
    with pytest.raises(UserError, match='two names for one class'):
        find_photos(tree_of(*(f'{name}/a.jpg' for name in names)), ROOT)


def test_class_name_has_one_spelling():
    found = find_photos(tree_of('cafe\u0301/a.jpg', 'b/b.jpg'), ROOT)
    assert found.classes == ['b', 'caf\u00e9']


def test_no_classes():
    with pytest.raises(UserError, match='no class folders'):
        find_photos(tree_of('a.jpg', 'b.jpg'), ROOT)


def test_names_are_unique_without_case():
    tree = tree_of('a/X.jpg', 'a/x.JPG', 'a/d/e.jpg', 'a/d_e.jpg', 'b/x.jpg')
    photos = list(find_photos(tree, ROOT).photos)
    for i, photo in enumerate(photos):
        photo.sha256 = bytes([i] * 32)
    name_photos(photos, in_place=False)
    names = {p.path: p.name for p in photos}
    assert names == {
        'a/X.jpg': 'X.jpg',
        'a/d/e.jpg': 'd_e.jpg',
        'a/d_e.jpg': 'd_e-02020202.jpg',
        'a/x.JPG': 'x-03030303.JPG',
        'b/x.jpg': 'x.jpg',
    }
    name_photos(photos, in_place=True)
    assert [p.name for p in photos] == [
        'X.jpg', 'd/e.jpg', 'd_e.jpg', 'x.JPG', 'x.jpg',
    ]  # fmt: skip


def test_clutter_is_not_listed(tmp_path):
    for name in (
        'daisy/a.jpg', 'daisy/.hidden.jpg', 'daisy/Thumbs.db', '.git/x.jpg',
        '__MACOSX/daisy/._a.jpg', 'daisy/.ipynb_checkpoints/a.jpg',
        '.ipynb_checkpoints/b.jpg', 'daisy/.DS_Store', 'daisy/desktop.ini',
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    tree = list_folder(tmp_path)
    assert set(tree.files) == {'daisy/a.jpg'}
    assert tree.folders == {'daisy'}


@pytest.mark.skipif(sys.platform == 'win32', reason='links need a privilege')
def test_links_in_a_circle_end(tmp_path):
    (tmp_path / 'daisy').mkdir()
    (tmp_path / 'daisy' / 'a.jpg').touch()
    (tmp_path / 'daisy' / 'up').symlink_to(tmp_path)
    assert 'daisy/a.jpg' in list_folder(tmp_path).files


def test_files_of_a_folder_are_like_a_dictionary(tmp_path):
    names = [
        'a/x.jpg', 'a/b/c.jpg', 'a-b/x.jpg', 'a.jpg', 'a/a.jpg', 'a/x/1.jpg',
        '\u82b1/\u00fc.jpg', 'z.txt', 'a/b/c/' + 'd/' * 200 + 'e.jpg',
    ]  # fmt: skip
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / 'empty').mkdir()
    files = list_folder(tmp_path).files
    assert list(files) == sorted(names)
    assert len(files) == len(names)
    assert dict(files) == {name: str(tmp_path / name) for name in names}
    for name in ('a', 'a/', 'empty', 'none/x.jpg', '', 'a/b/none.jpg'):
        assert name not in files
        assert files.get(name) is None
