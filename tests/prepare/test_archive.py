"""An archive is unpacked within limits, or refused."""

import io
import os
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from flower_mm.errors import UserError
from flower_mm.prepare import archive
from flower_mm.prepare.archive import unpack

from .conftest import contents, make_photos, ok, refused

JPEG = b'\xff\xd8 not really'
LOCAL, CENTRAL, END = b'PK\3\4', b'PK\1\2', b'PK\5\6'  # headers of a zip


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / 'into'
    folder.mkdir()
    return folder


def zip_of(path: Path, *names: str, data: bytes = JPEG, attr: int = 0) -> Path:
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as packed:
        for name in names:
            member = zipfile.ZipInfo(name)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.create_system, member.external_attr = 3, attr
            packed.writestr(member, data)
    return path


def tar_of(
    path: Path,
    *names: str,
    data: bytes = JPEG,
    kind: bytes = tarfile.REGTYPE,
    mode: str = 'w',
) -> Path:
    with tarfile.open(path, mode) as packed:
        for name in names:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(data)
            else:
                info.linkname = '/etc/passwd'
            packed.addfile(info, io.BytesIO(data))
    return path


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def assert_refused(path: Path, into: Path, message: str) -> str:
    """Unpack into a new folder, and return the error."""
    shutil.rmtree(into)
    into.mkdir()
    with pytest.raises(UserError, match=message) as error:
        unpack(path, into)
    return str(error.value)


@pytest.mark.parametrize(
    'name',
    ['../x/a.jpg', '/etc/a.jpg', 'C:/a.jpg', 'a/../../b.jpg', '..\\a.jpg'],
)
def test_names_that_point_outside(tmp_path, into, name):
    for path in (
        zip_of(tmp_path / 'a.zip', 'daisy/a.jpg', name),
        tar_of(tmp_path / 'a.tar', name),
    ):
        assert_refused(path, into, 'points outside')
    assert not (tmp_path / 'x').exists()


def test_links_and_devices(tmp_path, into):
    link = (stat.S_IFLNK | 0o777) << 16
    path = zip_of(tmp_path / 'a.zip', 'daisy/a.jpg', attr=link)
    assert_refused(path, into, 'a link or a device')
    for kind in (
        tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE,
    ):  # fmt: skip
        path = tar_of(tmp_path / 'a.tar', 'daisy/a.jpg', kind=kind)
        assert_refused(path, into, 'a link or a device')


@pytest.mark.parametrize('name', ['daisy/a.jpg', 'daisy/notes.txt'])
def test_bomb(tmp_path, into, name):
    data = bytes(64 * 1024**2)
    path = zip_of(tmp_path / 'a.zip', name, data=data)
    assert_refused(path, into, 'times its size')
    for suffix in ('gz', 'bz2', 'xz'):
        path = tmp_path / f'a.tar.{suffix}'
        tar_of(path, name, data=data, mode=f'w:{suffix}')
        assert_refused(path, into, 'times its size')
        assert size_of(into) < len(data)


def test_zip_of_many_small_bombs(tmp_path, into):
    names = [f'daisy/{i}.jpg' for i in range(20)]
    path = zip_of(tmp_path / 'a.zip', *names, data=bytes(2 * 1024**2))
    assert_refused(path, into, 'more than 100 times its size')
    assert size_of(into) <= archive.ALLOWED_BYTES


def test_zip_with_wrong_sizes(tmp_path, into, monkeypatch):
    monkeypatch.setattr(archive, 'ALLOWED_BYTES', 1024**2)
    size, wrong = 8 * 1024**2, (99).to_bytes(4, 'little')
    path = zip_of(tmp_path / 'a.zip', 'daisy/a.jpg', data=bytes(size))
    data = path.read_bytes()
    assert size.to_bytes(4, 'little') in data
    path.write_bytes(data.replace(size.to_bytes(4, 'little'), wrong))
    assert_refused(path, into, 'damaged|times its size')
    assert size_of(into) < 1024**2


def test_tar_with_a_wrong_size(tmp_path, into):
    """Python would read on to where the next member should be."""
    info = tarfile.TarInfo('daisy/notes.txt')
    info.size = 2**60
    path = tmp_path / 'a.tar'
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    assert_refused(path, into, 'its end is missing')


def test_limits(tmp_path, into, monkeypatch):
    names = 'd/a.jpg', 'd/b.jpg', 'd/c.jpg'
    path = zip_of(tmp_path / 'a.zip', *names)
    with monkeypatch.context() as patch:
        patch.setattr(archive, 'SPARE', 2**60)
        assert_refused(path, into, 'do not fit on the disk')
    with monkeypatch.context() as patch:
        patch.setattr(archive, 'MAX_BYTES', 5)
        assert_refused(path, into, 'of more than')
    monkeypatch.setattr(archive, 'MAX_MEMBERS', 2)
    for packed in (path, tar_of(tmp_path / 'a.tar', *names)):
        assert_refused(packed, into, 'more than 2 members')


def test_long_names(tmp_path, into):
    """Each folder is kept with those above it; an error cuts the name."""
    path = zip_of(tmp_path / 'a.zip', 'a/' * 32_000 + 'a.jpg')
    assert_refused(path, into, 'names of absurd length')
    path = zip_of(tmp_path / 'a.zip', '../' + 'a' * 60_000)
    assert len(assert_refused(path, into, 'aaa…')) < 1000
    path = zip_of(tmp_path / 'b.zip', 'd/' + 'a' * 60_000)
    path.write_bytes(path.read_bytes().replace(b'd/aa', b'd/\x1ba', 1))
    error = assert_refused(path, into, 'is damaged')
    assert len(error) < 1000
    assert '\x1b' not in error


def test_invalid_archives(tmp_path, into):
    with pytest.warns(UserWarning, match='Duplicate'):
        path = zip_of(tmp_path / 'a.zip', 'd/a.jpg', 'd/a.jpg')
    assert_refused(path, into, 'twice')
    path.write_bytes(b'<html>not found</html>')
    assert_refused(path, into, 'neither a folder nor a zip')
    plain = zip_of(path, 'd/a.jpg').read_bytes()
    encrypted, shifted = bytearray(plain), bytearray(plain)
    encrypted[6] |= 1  # flags of the member and in the directory
    encrypted[plain.index(CENTRAL) + 8] |= 1
    path.write_bytes(encrypted)
    assert_refused(path, into, 'encrypted')
    shifted[plain.index(END) + 16] += 1  # the offset of the directory
    path.write_bytes(shifted)
    assert_refused(path, into, 'is damaged')


@pytest.mark.parametrize('suffix', ['zip', 'tar.gz'])
def test_truncated(tmp_path, into, suffix):
    photos = make_photos(tmp_path / 'p', {'daisy': 5, 'rose': 5})
    path = pack(photos, tmp_path / f'a.{suffix}')
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert_refused(path, into, 'is damaged')


def test_names_of_members(tmp_path, into):
    """A null byte, and UTF-8 without the flag."""
    path = zip_of(tmp_path / 'a.zip', 'd/a.jpg', 'd/b.jpg')
    path.write_bytes(path.read_bytes().replace(b'd/b.jpg', b'\0/b.jpg'))
    assert set(unpack(path, into).files) == {'d/a.jpg', '\0/b.jpg'}
    shutil.rmtree(into)
    into.mkdir()
    path = zip_of(tmp_path / 'a.zip', 'tulipe été/a.jpg')
    data = bytearray(path.read_bytes())
    for header, offset in ((LOCAL, 7), (CENTRAL, 9)):
        data[data.index(header) + offset] &= ~0x08
    path.write_bytes(data)
    assert set(unpack(path, into).files) == {'tulipe été/a.jpg'}


def test_only_photos_are_written(tmp_path, into):
    path = zip_of(
        tmp_path / 'a.zip', 'f/d/a.jpg', 'f/d/run.exe', '__MACOSX/f/d/._a.jpg',
        'f/LICENSE', 'f\\r\\b.jpg',
    )  # fmt: skip
    assert set(unpack(path, into).files) == {
        'f/d/a.jpg', 'f/d/run.exe', 'f/LICENSE', 'f/r/b.jpg',
    }  # fmt: skip
    assert len(list(into.iterdir())) == 2


def pack(photos: Path, path: Path) -> Path:
    name, _, suffix = path.name.partition('.')
    form = {'tar.gz': 'gztar', 'tar.bz2': 'bztar', 'tar.xz': 'xztar'}
    made = shutil.make_archive(
        str(path.with_name(name)),
        form.get(suffix, suffix),
        photos.parent,
        photos.name,
    )
    assert made == str(path)
    return path


@pytest.mark.parametrize(
    'suffix', ['zip', 'tar', 'tar.gz', 'tar.bz2', 'tar.xz']
)
def test_archive_gives_the_dataset_of_its_folder(
    tmp_path, photos, prepared, suffix
):
    path = pack(photos, tmp_path / f'packed.{suffix}')
    out = tmp_path / 'other' / 'out'
    ok(path, '--out', out)
    first, second = contents(prepared), contents(out)
    del first['dataset.json'], second['dataset.json']  # with the source
    assert first == second
    assert [p.name for p in out.parent.iterdir()] == ['out']


def test_photos_of_an_archive_are_copied(tmp_path, photos, out):
    path = pack(photos, tmp_path / 'packed.zip')
    assert 'archive' in refused(path, '--out', out, '--how', 'none')


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='no pipes here')
def test_pipe(tmp_path, out):
    os.mkfifo(tmp_path / 'photos.zip')
    assert 'is a device' in refused(tmp_path / 'photos.zip', '--out', out)
