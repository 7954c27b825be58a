"""Unpack the photos of a zip or tar that nobody vouches for.

No name in the archive becomes a path on the disk: the photos are written
under running numbers, and their names are only looked at. Sizes in headers
are not believed either; bytes are counted as they come.
"""

import bz2
import errno
import gzip
import io
import lzma
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from flower_mm import console
from flower_mm.decoding import MAX_BYTES
from flower_mm.errors import UserError
from flower_mm.prepare.class_folders import (
    Tree,
    is_clutter,
    is_photo_name,
    shown,
)

MAX_MEMBERS = 2_000_000
SPARE = 256 * 1024**2  # bytes left free on the disk
# Photos are compressed already; even BMP seldom shrinks to a tenth. What is
# below FREE may be of any ratio: a small white PNG is no attack.
MAX_RATIO = 100
FREE = 16 * 1024**2
PIECE = 1024**2
# Characters of all names, each with those of all folders above it. A million
# photos four folders down have a fifth of that; one name of a megabyte that
# is all slashes would have a million times itself.
MAX_NAMES = 1_000_000_000
MAX_SHOWN = 200  # characters of a name in an error
# How often one may read on behind the end. In a tar that claims 2^60 bytes
# Python would read to there.
MAX_READS = 100

_DAMAGED = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError,
    EOFError, OSError, NotImplementedError, RuntimeError, ValueError,
)  # fmt: skip


def unpack(archive: Path, into: Path) -> Tree:
    """Write the photos of `archive` into `into`; refuse what smells."""
    tree, seen = Tree(), set()
    opener = _opener(archive)
    limit = _Limit(archive, into)
    try:
        for name, is_folder, content in opener(archive, limit):
            limit.members += 1
            if limit.members > MAX_MEMBERS:
                raise _refused(archive, f'has more than {MAX_MEMBERS} members')
            path = _checked(name, archive)
            limit.names += len(path) * (1 + path.count('/'))
            if limit.names > MAX_NAMES:
                raise _refused(archive, 'has names of absurd length')
            if not path or any(map(is_clutter, path.split('/'))):
                continue
            tree.add_folders_of(path)
            if is_folder:
                tree.folders.add(path)
                continue
            if path in seen:
                raise _refused(archive, f'holds {_short(path)} twice')
            seen.add(path)
            file = into / f'{len(tree.files):07}'
            tree.files[path] = str(file)
            if is_photo_name(path):
                with file.open('xb') as target:
                    limit.copy(content, target, path)
    except UserError:
        raise
    except MemoryError as error:
        # LZMA sets aside what the archive asks for, up to 4 GB.
        raise _refused(archive, 'takes more memory than there is') from error
    except _DAMAGED as error:
        # Invalid is what Python calls an offset below 0.
        if getattr(error, 'errno', None) not in (None, errno.EINVAL):
            raise  # the disk, not the archive
        raise UserError(
            f'{archive} is damaged ({_short(str(error))}); download or pack '
            'it again'
        ) from error
    return tree


class _Limit:
    """Counts what comes out of an archive and stops what is too much."""

    def __init__(self, archive: Path, into: Path):
        self.archive = archive
        self.members = self.names = self.total = 0
        self.most = max(MAX_RATIO * archive.stat().st_size, FREE)
        self.room = shutil.disk_usage(into).free - SPARE

    def count(self, size: int) -> None:
        self.total += size
        if self.total > self.room:
            raise UserError(
                f'the photos of {self.archive} do not fit on the disk; '
                'nothing was changed.\nFree some space there first.'
            )
        if self.total > self.most:
            raise _refused(
                self.archive,
                f'unpacks to more than {MAX_RATIO} times its size',
            )

    def copy(self, content: IO[bytes], target: IO[bytes], path: str) -> None:
        written = 0
        while piece := content.read(PIECE):
            written += len(piece)
            if written > MAX_BYTES:
                raise _refused(
                    self.archive,
                    f'holds {_short(path)} of more than '
                    f'{MAX_BYTES // 1024**2} MB',
                )
            target.write(piece)


def _refused(archive: Path, why: str) -> UserError:
    return UserError(
        f'{archive} {why}: refused.\nIf you trust it, unpack it yourself and '
        'give the folder.'
    )


def _short(name: str) -> str:
    """As much of a name or an error as people can read."""
    return shown(name[:MAX_SHOWN]) + '…' * (len(name) > MAX_SHOWN)


def _checked(name: str, archive: Path) -> str:
    """Refuse a name that points outside; '' for the root itself."""
    # Some packers on Windows write backslashes.
    path = name.replace('\\', '/')
    parts = path.split('/')
    if path.startswith('/') or '..' in parts or re.match('[a-zA-Z]:', path):
        raise _refused(archive, f'holds {_short(name)}, which points outside')
    return '/'.join(p for p in parts if p not in ('', '.'))


def _opener(archive: Path):
    with archive.open('rb') as file:
        start = file.read(512)
    if start[:4] in (b'PK\3\4', b'PK\5\6'):
        return _zip_members
    packed = (b'\x1f\x8b', b'BZh', b'\xfd7zXZ')
    if start.startswith(packed) or start[257:262] == b'ustar':
        return _tar_members
    raise UserError(
        f'{archive} is neither a folder nor a zip or tar of one.\nGive a '
        'folder with one folder per class, or pack it as .zip or .tar.gz'
    )


Members = Iterator[tuple[str, bool, IO[bytes]]]


def _zip_members(archive: Path, limit: _Limit) -> Members:
    with zipfile.ZipFile(archive) as packed:
        infos = packed.infolist()
        if len(infos) > MAX_MEMBERS:
            raise _refused(archive, f'has more than {MAX_MEMBERS} members')
        if any(info.flag_bits & 1 for info in infos):
            raise UserError(
                f'{archive} is encrypted; unpack it yourself and give the '
                'folder'
            )
        for info in console.track(infos, len(infos), 'unpacking'):
            name = _zip_name(info)
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(
                    archive, f'holds {_short(name)}, a link or a device'
                )
            # Not info.is_dir(): it wants a name of one character at least.
            is_folder = name.endswith(('/', '\\'))
            packed_size = max(info.compress_size, 1)
            if info.file_size > max(MAX_RATIO * packed_size, FREE):
                raise _refused(
                    archive,
                    f'holds {_short(name)}, which unpacks to '
                    f'{info.file_size // packed_size} times its size',
                )
            with packed.open(info) as content:
                yield name, is_folder, _Counted(content, limit)


def _zip_name(info: zipfile.ZipInfo) -> str:
    """Take names without the UTF-8 flag for UTF-8 where they can be.

    The standard says code page 437, but most packers on Linux and macOS
    write UTF-8 without saying so.
    """
    # Not info.filename: that is cut at a null byte and changed on Windows.
    if info.flag_bits & 0x800 or info.orig_filename.isascii():
        return info.orig_filename
    try:
        return info.orig_filename.encode('cp437').decode('utf-8')
    except UnicodeError:
        return info.orig_filename


def _tar_members(archive: Path, limit: _Limit) -> Members:
    with (
        _unpacked(archive) as stream,
        # As a stream: members come in the order of the file, none is sought.
        tarfile.open(fileobj=_Counted(stream, limit), mode='r|') as packed,
        console.progress(0, 'unpacking') as advance,
    ):
        for info in packed:
            # A sparse member is a few bytes that stand for any number.
            if not (info.isreg() or info.isdir()) or info.issparse():
                raise _refused(
                    archive, f'holds {_short(info.name)}, a link or a device'
                )
            content = packed.extractfile(info) if info.isreg() else None
            yield info.name, info.isdir(), content or io.BytesIO()
            advance(1)
            packed.members.clear()  # they would pile up


def _unpacked(archive: Path) -> IO[bytes]:
    with archive.open('rb') as file:
        start = file.read(6)
    if start.startswith(b'\x1f\x8b'):
        return gzip.open(archive)
    if start.startswith(b'BZh'):
        return bz2.open(archive)
    if start.startswith(b'\xfd7zXZ'):
        return lzma.open(archive)
    return archive.open('rb')


class _Counted:
    """Unpacked bytes, counted before anybody looks at them.

    Of a tar it is the whole stream, so that what tarfile skips or takes for
    headers counts as well.
    """

    def __init__(self, stream: IO[bytes], limit: _Limit):
        self.stream, self.limit = stream, limit
        self.behind = 0

    def read(self, size: int) -> bytes:
        piece = self.stream.read(size)
        self.limit.count(len(piece))
        self.behind += not piece
        if self.behind > MAX_READS:
            raise EOFError('its end is missing')
        return piece
