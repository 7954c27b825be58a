"""The photos that PHOTOS of a command line name."""

import io
import os
import sys
import tarfile
import zipfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from flower_mm.inference.classifier import Unread
from flower_mm.inference.photo_files import list_photos

FILES = (
    'b.jpg', 'a.JPG', 'notes.txt', '.hidden.jpg', 'Thumbs.db', 'deep/c.png',
    'deep/er/d.webp', '__MACOSX/e.jpg', 'a[1].jpg',
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with `photos` in it."""
    for name in FILES:
        path = tmp_path / 'photos' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    monkeypatch.chdir(tmp_path)
    return tmp_path / 'photos'


def names(*asked: str) -> list[str]:
    """Return the names of the photos, or what is wrong."""
    with ExitStack() as stack:
        return [
            f'{photo.photo}: {photo.why}'
            if isinstance(photo, Unread)
            else photo.name
            for photo in list_photos(list(asked), stack)
        ]


ALL = [
    f'photos{os.sep}{name}'
    for name in ('a.JPG', 'a[1].jpg', 'b.jpg', 'deep/c.png', 'deep/er/d.webp')
]


def test_folder(folder):
    assert names('photos') == names('photos/') == ALL
    assert names(str(folder)) == [str(folder.parent / name) for name in ALL]


def test_file_of_any_name(folder):
    asked = ['photos/notes.txt', 'gone.jpg', 'photos/.hidden.jpg', 'x' * 5000]
    assert names(*asked) == asked


def test_duplicates(folder):
    assert names('photos/b.jpg', 'photos', 'photos/b.jpg', 'photos') == [
        'photos/b.jpg',
        *[name for name in ALL if name != 'photos/b.jpg'],
    ]


@pytest.mark.parametrize(
    ('pattern', 'found'),
    [
        ('photos/*.jpg', ALL[1:3]),
        ('photos/*', ALL),
        ('p*s', ALL),
        ('photos/**', ALL),
        ('photos/**/*.webp', ALL[4:]),
        ('**/?.png', ALL[3:4]),
        ('photos/[ab].*', [ALL[0], ALL[2]]),
        ('photos/*/er', ALL[4:]),
        # A file has this name.
        ('photos/a[1].jpg', ALL[1:2]),
        ('photos/deep/../*.jpg', ['photos/deep/../a[1].jpg',
                                  'photos/deep/../b.jpg']),
        ('photos/*.txt', ['photos/*.txt: matches no photo']),
        ('gone/**/*.jpg', ['gone/**/*.jpg: matches no photo']),
        ('photos/.*', ['photos/.*: matches no photo']),
    ],
)  # fmt: skip
def test_patterns(pattern, found, folder):
    assert sorted(names(pattern)) == sorted(found)
    absolute = names(str(folder.parent / pattern))
    assert sorted(absolute) == sorted(str(folder.parent / n) for n in found)


@pytest.mark.skipif(sys.platform == 'win32', reason='links need a privilege')
def test_circular_links(folder):
    (folder / 'deep' / 'up').symlink_to(folder)
    assert set(ALL) <= set(names('photos'))
    assert set(ALL) <= set(names('photos/**'))


def zipped(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, 'w') as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def test_archives(folder, tmp_path, monkeypatch):
    """Unpacked until the stack is closed."""
    scratch = tmp_path / 'scratch'
    scratch.mkdir()
    monkeypatch.setattr('tempfile.tempdir', str(scratch))
    inside = {'in/b.jpg': 'B', 'in/a.jpg': 'A', 'in/x.txt': '', '._a.jpg': ''}
    zipped(tmp_path / 'one.ZIP', inside)
    with tarfile.open(tmp_path / 'two.tar.gz', 'w:gz') as archive:
        archive.add(folder, 'photos')
    with ExitStack() as stack:
        found = list(list_photos(['one.ZIP', 'two.tar.gz'], stack))
        assert [one.name for one in found] == [
            'one.ZIP/in/a.jpg',
            'one.ZIP/in/b.jpg',
            *(f'two.tar.gz/{name}' for name in ALL),
        ]
        texts = [Path(one.file).read_text() for one in found]
        assert texts[:3] == ['A', 'B', 'a.JPG']
        assert len(list(scratch.iterdir())) == 2
        # Patterns match archives only by their suffix.
        assert names('[pot]*') == ALL
        assert names('[o]ne.ZIP') == [one.name for one in found[:2]]
    assert not list(scratch.iterdir())


def test_refused_archive(tmp_path, monkeypatch):
    scratch = tmp_path / 'scratch'
    scratch.mkdir()
    monkeypatch.setattr('tempfile.tempdir', str(scratch))
    monkeypatch.chdir(tmp_path)
    evil = zipped(tmp_path / 'evil.zip', {'a.jpg': 'x', '../b.jpg': 'x'})
    (tmp_path / 'text.zip').write_text('no archive')
    assert names(str(evil), 'text.zip') == [
        f'{evil}: refused: it contains ../b.jpg, which points outside.',
        'text.zip: is neither a folder nor a zip or tar file: expected one '
        'folder per class, or a .zip or .tar.gz of such folders',
    ]
    assert not list(scratch.iterdir())


def test_folder_of_a_killed_process_is_deleted(tmp_path, monkeypatch):
    killed = tmp_path / '.flower_mm-photos.abcdefgh.part'
    killed.mkdir()
    (killed / '0000000').write_text('a photo')
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path))
    path = zipped(tmp_path / 'a.zip', {'a.jpg': 'x'})
    assert names(str(path)) == [f'{path}/a.jpg']
    assert list(tmp_path.iterdir()) == [path]


def test_archives_inside(folder, tmp_path):
    zipped(tmp_path / 'outer.zip', {'a.jpg': 'x', 'in/b.zip': 'x'})
    zipped(folder / 'deep' / 'c.zip', {'a.jpg': 'x'})
    assert names('outer.zip') == [
        'outer.zip/in/b.zip: an archive in an archive: name it separately',
        'outer.zip/a.jpg',
    ]
    expected = 'photos/deep/c.zip: an archive in a folder: name it separately'
    assert expected in names('photos')


def test_without_photos(folder, tmp_path):
    (tmp_path / 'empty').mkdir()
    zipped(tmp_path / 'texts.zip', {'a.txt': 'x'})
    assert names('empty', 'texts.zip') == [
        'empty: a folder without photos',
        'texts.zip: an archive without photos',
    ]


@pytest.mark.parametrize(
    ('text', 'found'),
    [
        (b'', []),
        (b'photos/b.jpg\ngone.jpg\n', ['photos/b.jpg', 'gone.jpg']),
        (b'\xef\xbb\xbfa.jpg\r\n\r\nx y.jpg', ['a.jpg', 'x y.jpg']),
        (b'photos/deep\n', ALL[3:]),
        (b'a\nb.jpg\0 c.jpg\r\0', ['a\nb.jpg', ' c.jpg\r']),
        (b'\xff.jpg\n', [os.fsdecode(b'\xff.jpg')]),
        # Patterns are names here.
        (b'photos/*.jpg\n-\n', ['photos/*.jpg', '-']),
    ],
)  # fmt: skip
def test_names_on_standard_input(text, found, folder, monkeypatch):
    monkeypatch.setattr('sys.stdin', io.TextIOWrapper(io.BytesIO(text)))
    assert names('-') == found
