"""Shards on a server, read in blocks that are kept on the local disk.

A block holds a photo and those that follow it, which makes one request of
many. Each photo is verified by its sha256 whenever it is read.
"""

import hashlib
import os
import shutil
from contextlib import suppress
from functools import cached_property
from itertools import accumulate
from pathlib import Path

from flower_mm.dataset_mirror import BLOCKS
from flower_mm.errors import UserError
from flower_mm.files import replacing
from flower_mm.remote_files import RemoteFolder
from flower_mm.shard_index import Entry, ShardError, ShardIndex

BLOCK = 4 * 1024**2  # bytes
# The number of gigabytes that all blocks of this user may take.
LIMIT = 'FLOWER_MM_CACHE_GB'
DEFAULT_LIMIT = 20.0
# By which each process may exceed it: looking at all blocks takes time.
SLACK = 128 * 1024**2  # bytes
FREE_BYTES = 2e9  # that stay free on the disk


class RemoteShards:
    """The shards of a dataset at an address."""

    def __init__(self, root: Path, address: str, index: ShardIndex) -> None:
        self.address, self.index = address, index
        self.folder = root / BLOCKS
        self.limit = _limit()
        sizes = index.sizes
        starts = accumulate(sizes.values(), initial=0)
        self._starts = dict(zip(sizes, starts, strict=False))
        self._written = SLACK  # bytes since old blocks were deleted
        self._touched: set[Path] = set()

    def require_complete(self) -> None:
        """Leave it to reading: a request for each shard takes long."""

    def read(self, entry: Entry) -> bytes:
        for _ in range(2):
            data = self._bytes_of(entry)
            if hashlib.sha256(data).digest() == entry.sha256:
                return data
            for number in _blocks_of(entry):
                self._path(entry.shard, number).unlink(missing_ok=True)
        raise ShardError(
            f'{self.address}/shards/{entry.shard} differs from its index: a '
            f'photo at byte {entry.offset} has another sha256. It is damaged, '
            'or was replaced.\n'
            'Upload the dataset again, then run this command again'
        )

    @cached_property
    def _remote(self) -> RemoteFolder:
        return RemoteFolder(self.address)

    def _bytes_of(self, entry: Entry) -> bytes:
        end = entry.offset + entry.length
        if self._starts[entry.shard] + end > self.limit:
            # What does not fit is not kept, or blocks would replace each
            # other all the time.
            return self._fetch(entry.shard, entry.offset, end)
        pieces = []
        for number in _blocks_of(entry):
            first = number * BLOCK
            piece = slice(max(entry.offset - first, 0), end - first)
            pieces.append(self._of_block(entry.shard, number, piece))
        return b''.join(pieces)

    def _fetch(self, shard: str, start: int, end: int) -> bytes:
        return self._remote.read(f'shards/{shard}', start, end)

    def _of_block(self, shard: str, number: int, piece: slice) -> bytes:
        path = self._path(shard, number)
        end = min(piece.stop, BLOCK)
        with suppress(OSError), path.open('rb', buffering=0) as file:
            file.seek(piece.start)
            data = file.read(end - piece.start)
            if len(data) == end - piece.start:
                if path not in self._touched:
                    self._touched.add(path)
                    os.utime(path)
                return data
        first = number * BLOCK
        last = min(first + BLOCK, self.index.sizes[shard])
        block = self._fetch(shard, first, last)
        self._keep(path, block)
        return block[piece.start : end]

    def _keep(self, path: Path, block: bytes) -> None:
        try:
            path.parent.mkdir(exist_ok=True)
            if shutil.disk_usage(path.parent).free < FREE_BYTES:
                return
            with replacing(path) as file:
                file.write(block)
            self._written += len(block)
            if self._written > SLACK:
                _make_space(self.folder.parents[1], self.limit)
                self._written = 0
        except OSError:
            self.limit = 0  # photos are fetched without keeping them

    def _path(self, shard: str, number: int) -> Path:
        return self.folder / f'{shard}.{number}'


def _blocks_of(entry: Entry) -> range:
    last = entry.offset + entry.length - 1
    return range(entry.offset // BLOCK, last // BLOCK + 1)


def _limit() -> float:
    text = os.environ.get(LIMIT, '') or str(DEFAULT_LIMIT)
    try:
        limit = float(text)
        if limit >= 0:
            return limit * 1e9
    except ValueError:
        pass
    raise UserError(f'invalid {LIMIT}: expected gigabytes, got {text!r}')


def _make_space(folder: Path, limit: float) -> None:
    """Delete the blocks that were not used for longest, of all datasets."""
    blocks = []
    for path in folder.glob(f'*/{BLOCKS}/*.tar.*'):
        with suppress(OSError):  # another process deletes as well
            info = path.stat()
            blocks.append((info.st_mtime_ns, info.st_size, path))
    over = sum(size for _, size, _ in blocks) - limit
    for _, size, path in sorted(blocks):
        if over <= 0:
            break
        with suppress(OSError):
            path.unlink()
        over -= size
