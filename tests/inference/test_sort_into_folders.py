"""Copies in class folders: all of them there, nothing else touched."""

import errno
import os
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower_mm.errors import UserError
from flower_mm.inference.photo_files import PhotoFile
from flower_mm.inference.sort_into_folders import (
    Sorter,
    folder_names,
    safe_name,
)


def photo(path: Path, text: str = '') -> PhotoFile:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text or str(path))
    return PhotoFile(str(path), str(path))


def tree(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob('*')
        if path.is_file()
    }


def test_photos_of_one_name_are_all_kept_and_twice_is_once(tmp_path):
    photos = [
        photo(tmp_path / name / 'a.jpg', text)
        for name, text in (('x', 'X'), ('y', 'Y'), ('z', 'Z'), ('twin', 'X'))
    ]
    out = tmp_path / 'out'
    sorter = Sorter(out, ['rose'])
    for one in photos:
        sorter.copy(one, 'rose')
    assert (sorter.copied, sorter.existing) == (3, 1)
    first = tree(out)
    assert sorted(first.values()) == ['X', 'Y', 'Z']
    assert first['rose/a.jpg'] == 'X'
    assert all(name.endswith('.jpg') for name in first)
    # In another order, too.
    again = Sorter(out, ['rose'])
    for one in reversed(photos):
        again.copy(one, 'rose')
    assert (again.copied, again.existing) == (0, 4)
    assert tree(out) == first
    assert again.result == f'{out}: 0 copied, 4 existed'


def test_existing_files_stay(tmp_path):
    out = tmp_path / 'out'
    one = photo(tmp_path / 'a.jpg', 'new')
    Sorter(out, ['rose']).copy(one, 'rose')
    number = 'a-' + '11507a0e'
    for name in ('a.jpg', f'{number}.jpg'):
        (out / 'rose' / name).write_text('mine')
    (out / 'rose' / f'{number}-2.jpg').mkdir()
    if os.name != 'nt':
        (out / 'rose' / f'{number}-3.jpg').symlink_to(tmp_path / 'gone')
    Sorter(out, ['rose']).copy(one, 'rose')
    found = tree(out)
    assert found['rose/a.jpg'] == found[f'rose/{number}.jpg'] == 'mine'
    assert list(found.values()).count('new') == 1
    assert not (tmp_path / 'gone').exists()


def test_the_date_of_a_photo_goes_along(tmp_path):
    one = photo(tmp_path / 'a.jpg')
    os.utime(one.file, (1e9, 1e9))
    Sorter(tmp_path / 'out', ['rose']).copy(one, 'rose')
    assert (tmp_path / 'out/rose/a.jpg').stat().st_mtime == 1e9


def test_a_copy_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def full(source: IO, target: IO) -> None:
        target.write(b'half')
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr('shutil.copyfileobj', full)
    sorter = Sorter(tmp_path / 'out', ['rose'])
    with pytest.raises(UserError, match=r'no disk space for .*a\.jpg'):
        sorter.copy(photo(tmp_path / 'a.jpg', 'new' * 99), 'rose')
    assert tree(tmp_path / 'out') == {}


def test_sorted_photos_are_recognised(tmp_path):
    sorter = Sorter(tmp_path, ['rose', 'a/b'])
    for name, held in (
        ('rose/a.jpg', True),
        ('rose/deep/a.jpg', True),
        ('a_b/a.jpg', True),
        ('a.jpg', False),
        ('inbox/a.jpg', False),
        ('inbox/rose/a.jpg', False),
        ('roses/a.jpg', False),
    ):
        assert sorter.has_copy(photo(tmp_path / name)) is held, name
    if os.name != 'nt':
        (tmp_path / 'link').symlink_to(tmp_path / 'rose')
        link = str(tmp_path / 'link' / 'a.jpg')
        assert sorter.has_copy(PhotoFile(link, link))


def test_a_file_in_the_place_of_the_folder(tmp_path):
    photo(tmp_path / 'out')
    with pytest.raises(UserError, match='is a file'):
        Sorter(tmp_path / 'out', ['rose'])


@pytest.mark.parametrize(
    ('text', 'name'),
    [
        ('rose', 'rose'),
        ('blue tit', 'blue tit'),
        ('étoile 花', 'étoile 花'),
        ('../../etc', '_.._.._etc'),
        ('/etc', '_etc'),
        ('..', '_'),
        ('.', '_'),
        ('', '_'),
        (' ', '_'),
        ('...', '_'),
        ('.ssh', '_.ssh'),
        ('C:\\x', 'C__x'),
        ('\\\\server\\x', '__server_x'),
        ('con', '_con'),
        ('NUL.jpg', '_NUL.jpg'),
        ('com1', '_com1'),
        ('conifer', 'conifer'),
        ('rose. ', 'rose'),
        ('a\nb\x1b\0', 'a_b__'),
        ('\udcff\ud800\u2028', '___'),
    ],
)
def test_names_that_lead_nowhere_else(text, name):
    assert safe_name(text) == name


@given(st.text(st.characters(codec=None)) | st.from_regex(r'[./\\ :~a]{1,9}'))
def test_any_class_is_one_folder(text):
    name = safe_name(text)
    assert safe_name(name) == name
    assert 0 < len(name.encode()) <= 201
    assert Path(name).name == name
    assert name[0] not in '. '
    assert name[-1] not in '. '


def test_classes_that_some_file_systems_take_for_one():
    labels = ['Rose', 'rose', 'rose-2', 'a/b', 'a:b', 'e\u0301', '\u00e9']
    names = folder_names(labels)
    assert list(names) == labels
    assert names['Rose'] == 'Rose'
    folded = {name.casefold() for name in names.values()}
    assert len(folded) == len(labels)
    assert names['e\u0301'] != '\u00e9' != names['\u00e9']


def test_long_names_keep_their_ending(tmp_path):
    name = safe_name('花' * 80 + '.jpeg')
    assert name.endswith('花.jpeg')
    assert len(name.encode()) <= 200
    one = photo(tmp_path / f'{"x" * 240}.jpg')
    Sorter(tmp_path / 'out', ['y' * 300]).copy(one, 'y' * 300)
    assert len(tree(tmp_path / 'out')) == 1
