"""An archive is unpacked within limits, or refused."""

import io
import os
import stat
import tarfile
import zipfile

import pytest

from flower_mm.errors import UserError
from flower_mm.prepare import archive
from flower_mm.prepare.archive import unpack

from .conftest import contents, make_photos, ok, refused

JPEG = b'\xff\xd8 not really'


@pytest.fixture
def into(tmp_path):
    folder = tmp_path / 'into'
    folder.mkdir()
    return folder


def zip_of(path, *names, data=JPEG, **info):
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as packed:
        for name in names:
            member = zipfile.ZipInfo(name)
            member.compress_type = zipfile.ZIP_DEFLATED
            for key, value in info.items():
                setattr(member, key, value)
            packed.writestr(member, data)
    return path


def tar_of(path, *members, mode='w'):
    with tarfile.open(path, mode) as packed:
        for name, kind in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(JPEG)
            else:
                info.linkname = '/etc/passwd'
            packed.addfile(info, io.BytesIO(JPEG))
    return path


OUTSIDE = [
    '../x/a.jpg',
    '/etc/a.jpg',
    'C:/a.jpg',
    'a/../../b.jpg',
    '..\\a.jpg',
]


@pytest.mark.parametrize('name', OUTSIDE)
def test_names_that_point_outside(tmp_path, into, name):
    ours = tmp_path / 'x'
    for path in (
        zip_of(tmp_path / 'a.zip', 'daisy/a.jpg', name),
        tar_of(tmp_path / 'a.tar', (name, tarfile.REGTYPE)),
    ):
        with pytest.raises(UserError, match='points outside'):
            unpack(path, into)
    assert not ours.exists()


@pytest.mark.parametrize(
    'kind',
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE],
)
def test_links_and_devices_in_tar(tmp_path, into, kind):
    path = tar_of(tmp_path / 'a.tar', ('daisy/a.jpg', kind))
    with pytest.raises(UserError, match='a link or a device'):
        unpack(path, into)


def test_links_in_zip(tmp_path, into):
    path = zip_of(
        tmp_path / 'a.zip',
        'daisy/a.jpg',
        create_system=3,
        external_attr=(stat.S_IFLNK | 0o777) << 16,
    )
    with pytest.raises(UserError, match='a link or a device'):
        unpack(path, into)


@pytest.mark.parametrize('name', ['daisy/a.jpg', 'daisy/notes.txt'])
def test_bomb(tmp_path, into, name):
    data = bytes(64 * 1024**2)
    path = zip_of(tmp_path / 'a.zip', name, data=data)
    with pytest.raises(UserError, match='times its size'):
        unpack(path, into)
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for ending in ('gz', 'bz2', 'xz'):
        path = tmp_path / f'a.tar.{ending}'
        with tarfile.open(path, f'w:{ending}') as packed:
            packed.addfile(info, io.BytesIO(data))
        fresh = into / ending
        fresh.mkdir()
        with pytest.raises(UserError, match='times its size'):
            unpack(path, fresh)
        assert sum(p.stat().st_size for p in fresh.iterdir()) < len(data)


def test_zip_that_lies_about_sizes(tmp_path, into, monkeypatch):
    monkeypatch.setattr(archive, 'ALLOWED_BYTES', 1024**2)
    path = zip_of(tmp_path / 'a.zip', 'daisy/a.jpg', data=bytes(8 * 1024**2))
    data = path.read_bytes()
    true, lie = (8 * 1024**2).to_bytes(4, 'little'), (99).to_bytes(4, 'little')
    assert true in data
    path.write_bytes(data.replace(true, lie))
    with pytest.raises(UserError, match=r'damaged|times its size'):
        unpack(path, into)
    assert sum(p.stat().st_size for p in into.iterdir()) < 1024**2


def test_zip_of_many_small_bombs(tmp_path, into):
    names = [f'daisy/{i}.jpg' for i in range(20)]
    path = zip_of(tmp_path / 'a.zip', *names, data=bytes(2 * 1024**2))
    with pytest.raises(UserError, match='more than 100 times its size'):
        unpack(path, into)
    assert (
        sum(p.stat().st_size for p in into.iterdir()) <= archive.ALLOWED_BYTES
    )


def test_a_name_that_is_nothing_but_folders(tmp_path, into):
    """Each of them would be kept with all those above it: 2 GB."""
    path = zip_of(tmp_path / 'a.zip', 'a/' * 32_000 + 'a.jpg')
    with pytest.raises(UserError, match='names of absurd length'):
        unpack(path, into)


def test_a_tar_that_claims_more_than_any_disk_holds(tmp_path, into):
    """Python would read on to where the next member should be."""
    info = tarfile.TarInfo('daisy/notes.txt')
    info.size = 2**60
    path = tmp_path / 'a.tar'
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(UserError, match='its end is missing'):
        unpack(path, into)


def test_a_zip_whose_name_is_a_null_byte(tmp_path, into):
    path = zip_of(tmp_path / 'a.zip', 'd/a.jpg', 'd/b.jpg')
    path.write_bytes(path.read_bytes().replace(b'd/b.jpg', b'\0/b.jpg'))
    assert set(unpack(path, into).files) == {'d/a.jpg', '\0/b.jpg'}


def test_a_zip_whose_member_lies_before_it(tmp_path, into):
    path = zip_of(tmp_path / 'a.zip', 'd/a.jpg')
    data = bytearray(path.read_bytes())
    data[data.index(b'PK\5\6') + 16] += 1  # where the directory is
    path.write_bytes(data)
    with pytest.raises(UserError, match='is damaged'):
        unpack(path, into)


def test_an_error_shows_no_more_of_a_name_than_fits(tmp_path, into):
    path = zip_of(tmp_path / 'a.zip', '../' + 'a' * 60_000)
    with pytest.raises(UserError, match='aaa…') as error:
        unpack(path, into)
    assert len(str(error.value)) < 1000
    path = zip_of(tmp_path / 'b.zip', 'd/' + 'a' * 60_000)
    data = path.read_bytes()
    path.write_bytes(data.replace(b'd/aa', b'd/\x1ba', 1))
    with pytest.raises(UserError, match='is damaged') as error:
        unpack(path, into)
    assert len(str(error.value)) < 1000
    assert '\x1b' not in str(error.value)


def test_limits_on_count_and_size(tmp_path, into, monkeypatch):
    path = zip_of(tmp_path / 'a.zip', 'd/a.jpg', 'd/b.jpg', 'd/c.jpg')
    packed = tar_of(
        tmp_path / 'a.tar', *((f'd/{i}.jpg', tarfile.REGTYPE) for i in 'abc')
    )
    monkeypatch.setattr(archive, 'MAX_BYTES', 5)
    with pytest.raises(UserError, match='of more than'):
        unpack(path, into)
    monkeypatch.setattr(archive, 'MAX_MEMBERS', 2)
    monkeypatch.setattr(archive, 'MAX_BYTES', 500)
    for number, file in enumerate((path, packed)):
        fresh = into / str(number)
        fresh.mkdir()
        with pytest.raises(UserError, match='more than 2 members'):
            unpack(file, fresh)


def test_disk_without_room(tmp_path, into, monkeypatch):
    path = zip_of(tmp_path / 'a.zip', 'd/a.jpg')
    monkeypatch.setattr(archive, 'SPARE', 2**60)
    with pytest.raises(UserError, match='do not fit on the disk'):
        unpack(path, into)


def test_same_name_twice(tmp_path, into):
    with pytest.warns(UserWarning, match='Duplicate'):
        path = zip_of(tmp_path / 'a.zip', 'd/a.jpg', 'd/a.jpg')
    with pytest.raises(UserError, match='twice'):
        unpack(path, into)


def test_encrypted(tmp_path, into):
    path = zip_of(tmp_path / 'a.zip', 'd/a.jpg')
    data = bytearray(path.read_bytes())
    data[6] |= 1  # flags of the member
    data[data.index(b'PK\1\2') + 8] |= 1  # and in the directory
    path.write_bytes(data)
    with pytest.raises(UserError, match='encrypted'):
        unpack(path, into)


@pytest.mark.parametrize('ending', ['zip', 'tar.gz'])
def test_damaged(tmp_path, into, ending):
    photos = make_photos(tmp_path / 'p', {'daisy': 5, 'rose': 5})
    path = pack(photos, tmp_path / f'a.{ending}')
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match='is damaged'):
        unpack(path, into)


def test_not_an_archive(tmp_path, into):
    path = tmp_path / 'a.zip'
    path.write_bytes(b'<html>not found</html>')
    with pytest.raises(UserError, match='neither a folder nor a zip'):
        unpack(path, into)


def test_names_without_the_utf8_flag(tmp_path, into):
    path = zip_of(tmp_path / 'a.zip', 'tulipe été/a.jpg')
    data = path.read_bytes()
    for mark, at in ((b'PK\3\4', 6), (b'PK\1\2', 8)):
        start = data.index(mark) + at
        flags = int.from_bytes(data[start : start + 2], 'little') & ~0x800
        data = data[:start] + flags.to_bytes(2, 'little') + data[start + 2 :]
    path.write_bytes(data)
    assert set(unpack(path, into).files) == {'tulipe été/a.jpg'}


def test_only_photos_are_written(tmp_path, into):
    path = zip_of(
        tmp_path / 'a.zip', 'f/d/a.jpg', 'f/d/run.exe', '__MACOSX/f/d/._a.jpg',
        'f/LICENSE', 'f\\r\\b.jpg',
    )  # fmt: skip
    tree = unpack(path, into)
    assert set(tree.files) == {
        'f/d/a.jpg', 'f/d/run.exe', 'f/LICENSE', 'f/r/b.jpg',
    }  # fmt: skip
    assert len(list(into.iterdir())) == 2


def pack(photos, path):
    names = sorted(p for p in photos.rglob('*') if p.is_file())
    if path.suffix == '.zip':
        with zipfile.ZipFile(path, 'w') as packed:
            for p in names:
                packed.write(p, f'photos/{p.relative_to(photos)}')
    else:
        ending = path.suffix.removeprefix('.')
        mode = 'w' if ending == 'tar' else f'w:{ending}'
        with tarfile.open(path, mode) as packed:
            packed.add(photos, 'photos')
    return path


@pytest.mark.parametrize(
    'ending', ['zip', 'tar', 'tar.gz', 'tar.bz2', 'tar.xz']
)
def test_archive_gives_the_dataset_of_its_folder(
    tmp_path, photos, prepared, ending
):
    path = pack(photos, tmp_path / f'photos.{ending}')
    out = tmp_path / 'packed' / 'out'
    ok(path, '--out', out)
    first, second = contents(prepared), contents(out)
    del first['dataset.json'], second['dataset.json']  # with the source
    assert first == second
    assert [p.name for p in out.parent.iterdir()] == ['out']


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='no pipes here')
def test_a_pipe_is_not_waited_for(tmp_path, out):
    os.mkfifo(tmp_path / 'photos.zip')
    assert 'is a device' in refused(tmp_path / 'photos.zip', '--out', out)


def test_archive_cannot_be_pointed_into(tmp_path, photos, out):
    path = pack(photos, tmp_path / 'photos.zip')
    assert 'archive' in refused(path, '--out', out, '--how', 'none')
