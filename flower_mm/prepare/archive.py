"""Unpack the photos of an untrusted zip or tar file.

Photos are written under running numbers: a name in the archive never becomes
a path on the disk. Sizes in headers may be wrong, so bytes are counted as they
are unpacked.
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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Protocol

from flower_mm import console
from flower_mm.decoding import MAX_BYTES
from flower_mm.errors import UserError
from flower_mm.plain_text import shorten
from flower_mm.prepare.file_tree import (
    FileTree,
    is_clutter,
    is_photo_name,
)
from flower_mm.prepare.sources.listing import (
    CLASS_FOLDERS,
    PARQUET,
    TABLE,
    refusal,
)

MAX_MEMBERS = 2_000_000
SPARE = 256 * 1024**2  # bytes left free on the disk
# Photos are compressed already; even BMP seldom shrinks to a tenth. Any ratio
# is allowed up to ALLOWED_BYTES: a small white PNG is harmless.
MAX_RATIO = 100
ALLOWED_BYTES = 16 * 1024**2
CHUNK = 1024**2
# Characters of all names, each with those of all folders above it. A million
# photos four folders down have a fifth of that; one name of a megabyte of
# slashes would have a million times its length.
MAX_NAMES = 1_000_000_000
# Reads behind the end of the archive. tarfile would read on to the end of a
# member that claims 2^60 bytes.
MAX_READS_AT_END = 100
# The first bytes of compressed files, and what opens them.
DECOMPRESSORS: dict[bytes, Callable[..., Any]] = {
    b'\x1f\x8b': gzip.open,
    b'BZh': bz2.open,
    b'\xfd7zXZ': lzma.open,
}

_DAMAGED = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError,
    EOFError, OSError, NotImplementedError, RuntimeError, ValueError,
)  # fmt: skip


def unpack(
    archive: Path,
    into: Path,
    is_wanted: Callable[[str], bool] = is_photo_name,
) -> FileTree:
    """Write the photos of `archive`, or the files wanted, into `into`.

    Raises UserError if the archive is damaged or looks like an attack.
    """
    files: dict[str, str] = {}
    tree = FileTree(files)
    read_members, limits = _reader_of(archive), UnpackLimits(archive, into)
    members = names = 0
    try:
        for name, is_folder, content in read_members(archive, limits):
            members += 1
            if members > MAX_MEMBERS:
                raise _refused(archive, f'more than {MAX_MEMBERS} members')
            path = _relative_path(name, archive)
            names += len(path) * (1 + path.count('/'))
            if names > MAX_NAMES:
                raise _refused(archive, 'names of absurd length')
            if not path or any(map(is_clutter, path.split('/'))):
                continue
            tree.add_folders_of(path)
            if is_folder:
                tree.folders.add(path)
                continue
            if path in files:
                raise _refused(archive, f'{shorten(path)} twice')
            file = into / f'{len(files):07}'
            files[path] = str(file)
            if is_wanted(path):
                with file.open('xb') as target:
                    limits.copy(content, target, path)
    except UserError:
        raise
    except MemoryError as error:
        # LZMA allocates what the archive asks for, up to 4 GB.
        raise _refused(archive, 'data that needs too much memory') from error
    except _DAMAGED as error:
        # EINVAL is Python's error for an offset below 0.
        if getattr(error, 'errno', None) not in (None, errno.EINVAL):
            raise  # the disk, not the archive
        raise UserError(
            f'{archive} is damaged ({shorten(str(error))}).\n'
            'Download or pack it again'
        ) from error
    return tree


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class UnpackLimits:
    """Counts unpacked bytes and raises where there are too many."""

    def __init__(self, archive: Path, into: Path) -> None:
        self.archive = archive
        self.total = 0
        self.most = max(MAX_RATIO * archive.stat().st_size, ALLOWED_BYTES)
        self.free = shutil.disk_usage(into).free - SPARE

    def count(self, size: int) -> None:
        self.total += size
        if self.total > self.free:
            raise UserError(
                f'the photos of {self.archive} do not fit on the disk.\n'
                'Free some space first'
            )
        if self.total > self.most:
            raise _refused(
                self.archive, f'more than {MAX_RATIO} times its size'
            )

    def copy(self, content: _Readable, target: IO[bytes], path: str) -> None:
        written = 0
        while chunk := content.read(CHUNK):
            written += len(chunk)
            if written > MAX_BYTES:
                raise _refused(
                    self.archive,
                    f'{shorten(path)} of more than {MAX_BYTES // 1024**2} MB',
                )
            target.write(chunk)


class _CountedStream:
    """A stream whose bytes are counted before they are used.

    For a tar it is the whole stream, so that headers and skipped members
    count as well.
    """

    def __init__(self, stream: IO[bytes], limits: UnpackLimits) -> None:
        self.stream, self.limits = stream, limits
        self.reads_at_end = 0

    def read(self, size: int) -> bytes:
        chunk = self.stream.read(size)
        self.limits.count(len(chunk))
        self.reads_at_end += not chunk
        if self.reads_at_end > MAX_READS_AT_END:
            raise EOFError('its end is missing')
        return chunk


def _refused(archive: Path, content: str) -> UserError:
    return UserError(
        f'{archive} refused: it contains {content}.\n'
        'If you trust it, unpack it yourself and pass the folder'
    )


def _relative_path(name: str, archive: Path) -> str:
    """Return '' for the root; refuse a name that points outside."""
    # Some packers on Windows write backslashes.
    path = name.replace('\\', '/')
    parts = path.split('/')
    if path.startswith('/') or '..' in parts or re.match('[a-zA-Z]:', path):
        raise _refused(archive, f'{shorten(name)}, which points outside')
    return '/'.join(p for p in parts if p not in ('', '.'))


# (name, whether it is a folder, content) of each member
Members = Iterator[tuple[str, bool, _Readable]]


def _reader_of(archive: Path) -> Callable[[Path, UnpackLimits], Members]:
    with archive.open('rb') as file:
        start = file.read(512)
    if start[:4] in (b'PK\3\4', b'PK\5\6'):
        return _zip_members
    if start.startswith(tuple(DECOMPRESSORS)) or start[257:262] == b'ustar':
        return _tar_members
    raise refusal(
        f'{archive} is neither a folder nor a zip or tar file: expected one '
        'folder per class, or a .zip or .tar.gz of such folders',
        CLASS_FOLDERS,
        TABLE,
        PARQUET,
    )


def _zip_members(archive: Path, limits: UnpackLimits) -> Members:
    with zipfile.ZipFile(archive) as packed:
        infos = packed.infolist()
        if len(infos) > MAX_MEMBERS:
            raise _refused(archive, f'more than {MAX_MEMBERS} members')
        if any(info.flag_bits & 1 for info in infos):
            raise UserError(
                f'{archive} is encrypted.\nUnpack it yourself and pass the '
                'folder'
            )
        for info in console.track(infos, len(infos), 'unpacking'):
            name = _zip_name(info)
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(archive, f'{shorten(name)}, a link or a device')
            # Unlike info.is_dir(), this accepts an empty name.
            is_folder = name.endswith(('/', '\\'))
            packed_size = max(info.compress_size, 1)
            if info.file_size > max(MAX_RATIO * packed_size, ALLOWED_BYTES):
                raise _refused(
                    archive,
                    f'{shorten(name)}, which unpacks to '
                    f'{info.file_size // packed_size} times its size',
                )
            with packed.open(info) as content:
                yield name, is_folder, _CountedStream(content, limits)


def _zip_name(info: zipfile.ZipInfo) -> str:
    """Read a name without the UTF-8 flag as UTF-8 where that is possible.

    The standard says code page 437, but most packers on Linux and macOS
    write UTF-8 without setting the flag.
    """
    # info.filename is cut at a null byte and changed on Windows.
    if info.flag_bits & 0x800 or info.orig_filename.isascii():
        return info.orig_filename
    try:
        return info.orig_filename.encode('cp437').decode('utf-8')
    except UnicodeError:
        return info.orig_filename


def _tar_members(archive: Path, limits: UnpackLimits) -> Members:
    with (
        _decompressed(archive) as stream,
        # As a stream, members come in the order of the file. Of its methods
        # tarfile calls `read` alone; typeshed requires those of a file.
        tarfile.open(  # type: ignore[call-overload]
            fileobj=_CountedStream(stream, limits), mode='r|'
        ) as tar,
        console.progress(0, 'unpacking') as advance,
    ):
        for info in tar:
            # A few bytes of a sparse member can stand for any size.
            if not (info.isreg() or info.isdir()) or info.issparse():
                raise _refused(
                    archive, f'{shorten(info.name)}, a link or a device'
                )
            content = tar.extractfile(info) if info.isreg() else None
            yield info.name, info.isdir(), content or io.BytesIO()
            advance(1)
            tar.members.clear()  # tarfile keeps them all


def _decompressed(archive: Path) -> IO[bytes]:
    with archive.open('rb') as file:
        start = file.read(6)
    for signature, opener in DECOMPRESSORS.items():
        if start.startswith(signature):
            return opener(archive)
    return archive.open('rb')
