"""Photos and files of a dataset that stay in SQLite until they are needed."""

import os
import sqlite3
import sys
from collections.abc import ItemsView, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np

from flower_mm.prepare.photo import Photo

ROWS = 500  # in memory at a time
COLUMNS = (
    'p.number, p.path, p.file, p.label, p.split, p.inside, s.sha256, s.size, '
    's.thumb, s.error, s.note, s.rewrite_reason, s.rewrite_suffix, p.name'
)
PHOTOS = 'run.photos AS p JOIN scans AS s ON s.id = p.scan'


def rows_after(
    db: sqlite3.Connection, query: str, *args: Any, first: Any
) -> Iterator[tuple]:
    """Yield the rows of a query that begin with what they are ordered by.

    The last arguments of the query are the value that they come after and
    a number of rows. Other statements can write between two rows.
    """
    while rows := db.execute(query, (*args, first, ROWS)).fetchall():
        yield from rows
        first = rows[-1][0]


def _photo(row: tuple) -> Photo:
    _, path, file, label, split, inside, *scan, name = row
    photo = Photo(
        os.fsdecode(path),
        os.fsdecode(file),
        label,
        sys.intern(split),
        os.fsdecode(inside),
        *scan,
    )
    photo.name = name or ''
    return photo


class StoredPhotos:
    """Photos of a store, in memory only while they are looked at."""

    def __init__(self, db: sqlite3.Connection, numbers: np.ndarray) -> None:
        self.db, self.numbers = db, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> Photo:
        query = f'SELECT {COLUMNS} FROM {PHOTOS} WHERE p.number = ?'
        number = int(self.numbers[index])
        return _photo(self.db.execute(query, (number,)).fetchone())

    def __iter__(self) -> Iterator[Photo]:
        numbers = iter(self.numbers.tolist())
        wanted = next(numbers, None)
        if wanted is None:
            return
        query = (
            f'SELECT {COLUMNS} FROM {PHOTOS} '
            'WHERE p.number > ? ORDER BY p.number LIMIT ?'
        )
        for row in rows_after(self.db, query, first=wanted - 1):
            if row[0] == wanted:
                yield _photo(row)
                wanted = next(numbers, None)
                if wanted is None:
                    return

    def where(self, is_kept: np.ndarray) -> 'StoredPhotos':
        return StoredPhotos(self.db, self.numbers[is_kept])

    def labels(self) -> np.ndarray:
        return self._column('p.label', np.int32)

    def shas(self) -> np.ndarray:
        return self._column('s.sha256', 'S32')

    def _column(self, name: str, dtype: Any) -> np.ndarray:
        query = f'SELECT {name} FROM {PHOTOS} ORDER BY p.number'
        rows = self.db.execute(query)
        count = int(self.numbers[-1]) + 1 if len(self) else 0
        values = (value for (value,) in islice(rows, count))
        return np.fromiter(values, dtype, count)[self.numbers]


class StoredSplits(dict[str, 'StoredFiles']):
    """The files of each split."""

    def __init__(self, db: sqlite3.Connection, splits: list[str]) -> None:
        super().__init__((split, StoredFiles(db, split)) for split in splits)
        self.db = db

    def lines(self) -> Iterator[str]:
        """Yield the sorted lines of `dataset_json.digest`."""
        query = (
            "SELECT sha256, placed || '/' || place FROM run.photos "
            'WHERE placed IS NOT NULL ORDER BY 1, 2'
        )
        for sha256, place in self.db.execute(query):
            yield f'{sha256.hex()}  {place}\n'


class StoredFiles(Mapping[str, str]):
    """The sha256 of the photos of a split, by their sorted paths."""

    def __init__(self, db: sqlite3.Connection, split: str) -> None:
        self.db, self.split = db, split

    def __len__(self) -> int:
        query = 'SELECT count(*) FROM run.photos WHERE placed = ?'
        return self.db.execute(query, (self.split,)).fetchone()[0]

    def __iter__(self) -> Iterator[str]:
        return (path for path, _ in self.rows())

    def __getitem__(self, path: str) -> str:
        row = self.db.execute(
            'SELECT sha256 FROM run.photos WHERE placed = ? AND place = ?',
            (self.split, path),
        ).fetchone()
        if not row:
            raise KeyError(path)
        return row[0].hex()

    def __setitem__(self, path: str, sha256: str) -> None:
        self.db.execute(
            'UPDATE run.photos SET sha256 = ? WHERE placed = ? AND place = ?',
            (bytes.fromhex(sha256), self.split, path),
        )

    def items(self) -> ItemsView[str, str]:
        return _Items(self)

    def rows(self) -> Iterator[tuple[str, str]]:
        query = (
            'SELECT place, sha256 FROM run.photos '
            'WHERE placed = ? AND place > ? ORDER BY place LIMIT ?'
        )
        for path, sha256 in rows_after(self.db, query, self.split, first=''):
            yield path, sha256.hex()


class _Items(ItemsView[str, str]):
    _mapping: StoredFiles

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return self._mapping.rows()


class StoredNames:
    """The names that are taken, as pairs of class and name."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db

    def __contains__(self, name: tuple[int, str]) -> bool:
        query = 'SELECT 1 FROM run.names WHERE label = ? AND name = ?'
        return self.db.execute(query, name).fetchone() is not None

    def add(self, name: tuple[int, str]) -> None:
        self.db.execute('INSERT INTO run.names VALUES (?, ?)', name)
