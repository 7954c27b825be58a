"""The index of the shards of a dataset: where the bytes of each photo are.

It is an SQLite file that never changes, and may come from a stranger.
"""

import re
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from flower_mm.commands import command
from flower_mm.decoding import MAX_BYTES
from flower_mm.errors import UserError, printable

# A tar of one split in the folder of the index, never another path.
SHARD_NAME = re.compile(r'(train|val|test)-[0-9]{5,9}\.tar')
TABLES = (
    'CREATE TABLE shards '
    '(number INTEGER PRIMARY KEY, name TEXT, bytes INTEGER)',
    # `path` is split/class/name, as in dataset.json.
    'CREATE TABLE photos (path TEXT PRIMARY KEY, shard INTEGER, '
    '"offset" INTEGER, length INTEGER, label INTEGER, sha256 BLOB) '
    'WITHOUT ROWID',
)
LARGEST = 1 << 62  # bytes of a shard; sums of offsets and lengths fit SQLite


class ShardError(UserError):
    """Shards that cannot be read: no fault of a single photo."""


class Entry(NamedTuple):
    """Where the bytes of a photo are."""

    shard: str
    offset: int
    length: int
    sha256: bytes


class ShardIndex:
    """The index in a file. Threads can share it, processes cannot."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        address = f'file:{quote(str(path.absolute()))}'
        # Immutable: without locks, which network disks may lack.
        self._db = sqlite3.connect(
            f'{address}?mode=ro&immutable=1',
            uri=True,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            self._db.execute('PRAGMA trusted_schema = OFF')
            self._db.execute('PRAGMA cell_size_check = ON')
            rows = self._db.execute('SELECT sql FROM sqlite_master').fetchall()
            if {row[0] for row in rows} != set(TABLES):
                raise self._error('unknown tables')
            shards = self._db.execute('SELECT * FROM shards').fetchall()
        except sqlite3.Error as error:
            self._db.close()
            raise self._error(str(error)) from error
        for number, name, size in shards:
            if not (
                isinstance(name, str)
                and SHARD_NAME.fullmatch(name)
                and isinstance(size, int)
                and 0 < size < LARGEST
            ):
                raise self._error(f'shard {number} {printable(repr(name))}')
        self.sizes: dict[str, int] = {name: size for _, name, size in shards}
        self._names = {number: name for number, name, _ in shards}

    def find(self, path: str) -> Entry | None:
        """Return the place of a photo, None for one that is not listed."""
        try:
            with self._lock:
                row = self._db.execute(
                    'SELECT shard, "offset", length, sha256 FROM photos '
                    'WHERE path = ?',
                    (path,),
                ).fetchone()
        except UnicodeEncodeError:  # a file name that is not UTF-8
            return None
        except sqlite3.Error as error:
            raise self._error(str(error)) from error
        if row is None:
            return None
        shard, offset, length, sha256 = row
        name = self._names.get(shard, '')
        if not (
            isinstance(offset, int)
            and isinstance(length, int)
            and 0 <= offset < LARGEST
            and 0 < length <= MAX_BYTES
            and offset + length <= self.sizes.get(name, 0)
            and isinstance(sha256, bytes)
            and len(sha256) == 32
        ):
            raise self._error(f'the entry of {printable(path)}')
        return Entry(name, offset, length, sha256)

    def names(self, split: str) -> Iterator[str]:
        """Yield the photos of a split as its list names them."""
        query = 'SELECT path FROM photos WHERE path >= ? AND path < ?'
        ends = f'{split}/', f'{split}0'  # 0 is the character behind /
        cursor = self._db.cursor()
        try:
            rows = cursor.execute(query, ends)
            while True:
                with self._lock:
                    paths = rows.fetchmany(1000)
                if not paths:
                    return
                for (path,) in paths:
                    yield str(path)[len(split) + 1 :]
        except sqlite3.Error as error:
            raise self._error(str(error)) from error

    def _error(self, fault: str) -> ShardError:
        root = self.path.parents[1]
        return ShardError(
            f'{self.path} is damaged or was made by another program: '
            f'{fault}.\nCopy the dataset again, or prepare it again: '
            + command('prepare', 'PHOTOS', '--out', root, '--shards', '512MB')
        )
