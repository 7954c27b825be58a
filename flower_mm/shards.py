"""The photos of a dataset whose bytes are in shards.

A photo in a shard has the path that it would have as a file of its own:
DATASET/train/rose/1.jpg. Everything that handles paths of photos works
unchanged; `photo_bytes` looks their bytes up here.
"""

import os
import stat
import threading
from array import array
from bisect import bisect_left
from collections import OrderedDict
from pathlib import Path
from typing import Protocol

from flower_mm.commands import command
from flower_mm.dataset_mirror import address_of
from flower_mm.layout import DatasetDir
from flower_mm.links import is_inside
from flower_mm.remote_shards import RemoteShards
from flower_mm.shard_index import Entry, ShardError, ShardIndex
from flower_mm.trust import require_trust

MOST_OPEN = 32  # files of a process


class ShardFiles(Protocol):
    """Where shards are: on a disk or on a server."""

    def read(self, entry: Entry) -> bytes: ...

    def require_complete(self) -> None: ...


class Shards:
    """The shards of a dataset, as one process reads them."""

    def __init__(self, root: Path) -> None:
        self.index = ShardIndex(root / DatasetDir.INDEX)
        address = address_of(root)
        self.files: ShardFiles = (
            RemoteShards(root, address, self.index)
            if address
            else LocalShards(root, self.index)
        )


class LocalShards:
    """Shards in the folder of the dataset."""

    def __init__(self, root: Path, index: ShardIndex) -> None:
        self.root, self.index = root, index
        self._lock = threading.Lock()
        self._open: OrderedDict[str, _Handle] = OrderedDict()

    def read(self, entry: Entry) -> bytes:
        data = self._handle(entry.shard).read(entry.offset, entry.length)
        if len(data) != entry.length:
            raise self._error(entry.shard, 'was cut short')
        return data

    def require_complete(self) -> None:
        """Raise ShardError if a shard is missing or has another size."""
        for name, expected in self.index.sizes.items():
            path = self._path(name)
            try:
                size = path.stat().st_size
            except OSError as error:
                raise self._error(name, f'{error.strerror}') from error
            if size != expected:
                raise self._error(
                    name, f'expected {expected} bytes, got {size}'
                )

    def _handle(self, name: str) -> '_Handle':
        with self._lock:
            handle = self._open.pop(name, None)
            if handle is None:
                try:
                    handle = _Handle(self._path(name))
                except OSError as error:
                    raise self._error(name, f'{error.strerror}') from error
            self._open[name] = handle
            if len(self._open) > MOST_OPEN:
                # Closed as soon as no thread reads it any more.
                self._open.popitem(last=False)
        return handle

    def _path(self, name: str) -> Path:
        path = self.root / DatasetDir.SHARDS / name
        if not is_inside(path, self.root):
            require_trust(self.root, os.path.realpath(path))
        return path

    def _error(self, name: str, fault: str) -> ShardError:
        path = self.root / DatasetDir.SHARDS / name
        return ShardError(
            f'the shard {path} cannot be read: {fault}.\n'
            'Copy it again, or prepare the dataset again: '
            + command(
                'prepare', 'PHOTOS', '--out', self.root, '--shards', '512MB'
            )
        )


class _Handle:
    """An open file that is read at offsets."""

    def __init__(self, path: Path) -> None:
        self.number = -1
        # A pipe of that name would block without O_NONBLOCK.
        flags = os.O_RDONLY | getattr(os, 'O_NONBLOCK', 0)
        self.number = os.open(path, flags | getattr(os, 'O_BINARY', 0))
        if not stat.S_ISREG(os.fstat(self.number).st_mode):
            raise OSError(0, 'not a file', str(path))
        self._lock = threading.Lock()

    def __del__(self) -> None:
        if self.number >= 0:
            os.close(self.number)

    def read(self, offset: int, length: int) -> bytes:
        pieces = []
        while length:
            piece = self._piece(offset, length)
            if not piece:
                break
            pieces.append(piece)
            offset, length = offset + len(piece), length - len(piece)
        return pieces[0] if len(pieces) == 1 else b''.join(pieces)

    def _piece(self, offset: int, length: int) -> bytes:
        if hasattr(os, 'pread'):
            return os.pread(self.number, length, offset)
        with self._lock:  # Windows
            os.lseek(self.number, offset, os.SEEK_SET)
            return os.read(self.number, length)


class NamesInShards:
    """The photos of a split, as `annotations` looks for files."""

    def __init__(self, shards: Shards, split: str) -> None:
        shards.files.require_complete()
        names = shards.index.names(split)
        # Names would take 200 bytes each in a set.
        self._hashes = array('q', sorted(hash(name) for name in names))

    def __contains__(self, name: str) -> bool:
        wanted = hash(name)
        place = bisect_left(self._hashes, wanted)
        return place < len(self._hashes) and self._hashes[place] == wanted

    def leads_out(self, name: str) -> bool:
        return False


class _OpenShards:
    """What this process has opened, by the folders of datasets."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.lock = threading.RLock()
        self.of_root: dict[str, Shards | None] = {}


_opened = _OpenShards()
# A forked process must not close the connections of its parent.
_inherited: list[_OpenShards] = []


def shards_in(root: str | Path) -> Shards | None:
    """Return the shards of the dataset `root`, None for one of loose files."""
    global _opened
    if _opened.process != os.getpid():
        _inherited.append(_opened)
        _opened = _OpenShards()
    of_root, key = _opened.of_root, os.fspath(root)
    try:
        return of_root[key]
    except KeyError:
        pass
    with _opened.lock:
        if key not in of_root:
            path = Path(key).absolute()
            has_index = (path / DatasetDir.INDEX).is_file()
            of_root[key] = Shards(path) if has_index else None
        return of_root[key]


def forget_shards() -> None:
    """Look at the disk again, where a dataset has been replaced."""
    _opened.of_root.clear()


def find(file: str) -> tuple[Shards, Entry] | None:
    """Return where the bytes of a photo are; None for a file of its own."""
    path = file.replace(os.sep, '/')
    if not os.path.isabs(path):  # noqa: PTH117, a million times
        path = f'{Path.cwd().as_posix()}/{path}'
    root, *names = path.rsplit('/', 3)
    shards = shards_in(root or '/')
    entry = shards and shards.index.find('/'.join(names))
    return (shards, entry) if shards and entry else None


def read(file: str) -> bytes | None:
    """Return the bytes of a photo in a shard; None for other photos."""
    place = find(file)
    return place[0].files.read(place[1]) if place else None
