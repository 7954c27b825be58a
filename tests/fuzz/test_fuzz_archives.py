"""Archives that nobody vouches for."""

import bz2
import gzip
import io
import lzma
import shutil
import struct
import tarfile
import warnings
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rubbish import NUMBERS, POISON, damaged, fuzz, only_ours

from flower_mm.prepare import archive
from flower_mm.prepare.archive import unpack

FREE = 1 << 20  # bytes that any archive may unpack to
PACKERS = {'tar': bytes, 'gz': gzip.compress, 'bz2': bz2.compress,
           'xz': lzma.compress}  # fmt: skip
KINDS = [bytes([kind]) for kind in b'01234567gxLKSX\0']

names = st.sampled_from(
    ['daisy/a.jpg', 'rose/b.png', 'rose/', 'f/daisy/c.jpg', *POISON]
)
contents = st.sampled_from([b'', b'\xff\xd8 not really', bytes(300_000)])


@pytest.fixture(scope='module', autouse=True)
def _little_for_free():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive, 'ALLOWED_BYTES', FREE)
        yield


def unpacked(data: bytes, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    (folder / 'into').mkdir(parents=True)
    path = folder / 'a.archive'
    path.write_bytes(data)
    try:
        tree = unpack(path, folder / 'into')
    finally:
        # Whatever comes of it: nothing beside the folder, and not too much.
        assert {p.name for p in folder.iterdir()} == {'into', 'a.archive'}
        files = list((folder / 'into').iterdir())
        assert all(p.name.isdigit() and not p.is_symlink() for p in files)
        size = sum(p.stat().st_size for p in files)
        assert size <= max(FREE, archive.MAX_RATIO * len(data))
    for name, file in tree.files.items():
        assert not {'', '.', '..'} & set(name.split('/'))
        assert Path(file).parent == folder / 'into'


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp('archives') / 'here'


def zip_of(members: list) -> bytes:
    packed = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(packed, 'w') as file:
        warnings.simplefilter('ignore')  # of a name that is there twice
        for name, content, method, mode, extra in members:
            info = zipfile.ZipInfo(name or 'x')
            info.compress_type = method
            info.external_attr = mode << 16
            info.extra = extra
            file.writestr(info, content)
    return packed.getvalue()


def tar_of(members: list, form: int) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode='w', format=form) as file:
        for name, content, kind, size, extra in members:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, size, name
            info.pax_headers = extra
            file.addfile(info)
            file.fileobj.write(content)
            file.offset += len(content)
            fill = -len(content) % 512
            file.fileobj.write(bytes(fill))
            file.offset += fill
    return packed.getvalue()


GOOD_ZIP = zip_of([
    ('p/daisy/a.jpg', b'a' * 90, zipfile.ZIP_DEFLATED, 0o100644, b''),
    ('p/daisy/\u00e9.jpg', b'b' * 90, zipfile.ZIP_STORED, 0o100644, b''),
    ('p/rose/', b'', zipfile.ZIP_STORED, 0o40755, b''),
    ('p/rose/c.jpg', b'c' * 90, zipfile.ZIP_LZMA, 0,
     struct.pack('<HHQQ', 1, 16, 90, 90)),
    ('p/rose/d.jpg', b'd' * 90, zipfile.ZIP_BZIP2, 0, b''),
])  # fmt: skip
GOOD_TAR = tar_of(
    [
        ('p/daisy/a.jpg', b'a' * 90, b'0', 90, {}),
        ('p/' + 'long' * 40 + '/a.jpg', b'b' * 600, b'0', 600, {}),
        ('p/rose', b'', b'5', 0, {}),
        ('p/rose/b.jpg', b'c' * 90, b'0', 90, {'comment': 'x'}),
    ],
    tarfile.PAX_FORMAT,
)


def test_a_zip_that_asks_for_four_gigabytes(folder):
    data = bytearray(zip_of([('a.jpg', b'a' * 90, 14, 0, b'')]))
    dictionary = 30 + len('a.jpg') + 5  # behind both headers
    data[dictionary : dictionary + 4] = b'\xff' * 4
    with only_ours('archives'):
        unpacked(bytes(data), folder)


@fuzz()
@given(data=damaged(GOOD_ZIP))
def test_damaged_zip(folder, data):
    with only_ours('archives'):
        unpacked(data, folder)


@fuzz()
@given(
    packer=st.sampled_from(sorted(PACKERS)),
    data=damaged(GOOD_TAR),
    spoil=st.booleans(),
    more=st.data(),
)
def test_damaged_tar(folder, packer, data, spoil, more):
    data = PACKERS[packer](data)
    if spoil:
        data = more.draw(damaged(data))
    with only_ours('archives'):
        unpacked(data, folder)


@fuzz()
@given(
    start=st.sampled_from(
        [b'', b'PK\3\4', b'PK\5\6', b'\x1f\x8b\x08', b'BZh9', b'\xfd7zXZ\0']
    ),
    data=st.binary(max_size=600),
)
def test_bytes_that_are_no_archive(folder, start, data):
    with only_ours('archives'):
        unpacked(start + data, folder)


@fuzz()
@given(
    members=st.lists(
        st.tuples(
            names,
            contents,
            st.sampled_from([0, 8, 12, 14]),
            st.sampled_from([0, 0o100644, 0o120777, 0o20644, 0o40755]),
            st.just(b'') | st.builds(
                lambda tag, *numbers: struct.pack(
                    f'<HH{len(numbers)}Q', tag, 8 * len(numbers), *numbers
                ),
                st.sampled_from([1, 0x7075, 0x5455]),
                st.sampled_from(NUMBERS),
                st.sampled_from(NUMBERS),
            ),
        ),
        max_size=4,
    ),
    lies=st.lists(
        st.tuples(
            st.sampled_from([4, 6, 8, 10, 16, 20, 24, 28, 30, 38, 42]),
            st.sampled_from(NUMBERS),
        ),
        max_size=2,
    ),
)  # fmt: skip
def test_zip_of_odd_members(folder, members, lies):
    data = bytearray(zip_of(members))
    entry = data.find(b'PK\1\2')
    for place, number in lies if entry >= 0 else ():
        # A number in the directory's first entry.
        wide = 4 if place in (16, 20, 24, 38, 42) else 2
        at = entry + place
        data[at : at + wide] = (number % (1 << 8 * wide)).to_bytes(
            wide, 'little'
        )
    with only_ours('archives'):
        unpacked(bytes(data), folder)


@fuzz()
@given(
    packer=st.sampled_from(sorted(PACKERS)),
    form=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    members=st.lists(
        st.tuples(
            names,
            contents,
            st.sampled_from(KINDS),
            st.sampled_from([0, 90, 300_000, 2**33, 2**60, -1, -512]),
            st.dictionaries(
                st.sampled_from(
                    ['path', 'size', 'linkpath', 'mtime', 'GNU.sparse.map',
                     'GNU.sparse.major', 'GNU.sparse.minor', 'hdrcharset',
                     'GNU.sparse.size', 'GNU.sparse.name', 'comment']
                ),
                st.sampled_from(
                    ['1', '0', '-1', '9' * 400, 'BINARY', '1,2,3', '..', '/x']
                ),
                max_size=2,
            ),
        ),
        max_size=4,
    ),
)  # fmt: skip
def test_tar_of_odd_members(folder, packer, form, members):
    if form == tarfile.GNU_FORMAT:
        members = [(*m[:4], {}) for m in members]
    else:
        members = [(*m[:3], max(m[3], 0), m[4]) for m in members]
    with only_ours('archives'):
        unpacked(PACKERS[packer](tar_of(members, form)), folder)
