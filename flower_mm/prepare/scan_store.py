"""The photos of a run of `prepare`, in SQLite beside its dataset.

A million photos with their thumbnails take 1.5 GB, so that they stay on the
disk. `scans.sqlite` outlives a killed run: the next one reads again only the
photos with another size or date. `run.sqlite` has what depends on the run.

The file may come from a stranger. It is used only if its tables are exactly
those below and all of its rows pass their checks.
"""

import errno
import os
import shutil
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import PIL

import flower_mm
from flower_mm import console, photo_bytes
from flower_mm.errors import UserError
from flower_mm.lock import only_run_in
from flower_mm.prepare.photo import Photo, names_of
from flower_mm.prepare.scan_photos import THUMB_BYTES, PhotoInfo, inspect_all
from flower_mm.prepare.sources.listing import ListedPhotos
from flower_mm.prepare.stored_photos import (
    StoredNames,
    StoredPhotos,
    StoredSplits,
    rows_after,
)

SCANS, RUN = 'scans.sqlite', 'run.sqlite'
# Errors that say nothing about the content of a file.
NOT_ITS_FAULT = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
)
SUPER_JOURNAL = bytes.fromhex('d9d505f920a163d7')
COMMITTED = 1000  # photos that a killed run may have read in vain
# Of photos that could not be read, thumb and sha256 are empty.
SCHEMA = {
    'scans': f"""CREATE TABLE scans (
 id INTEGER PRIMARY KEY,
 key BLOB NOT NULL CHECK (typeof(key) = 'blob'),
 bytes INTEGER NOT NULL CHECK (typeof(bytes) = 'integer'),
 mtime INTEGER NOT NULL CHECK (typeof(mtime) = 'integer'),
 sha256 BLOB NOT NULL
  CHECK (typeof(sha256) = 'blob' AND length(sha256) IN (0, 32)),
 size INTEGER NOT NULL CHECK (typeof(size) = 'integer' AND size >= 0),
 thumb BLOB NOT NULL
  CHECK (typeof(thumb) = 'blob' AND length(thumb) IN (0, {THUMB_BYTES})),
 error TEXT NOT NULL CHECK (typeof(error) = 'text'
  AND (error <> '' OR length(sha256) = 32 AND length(thumb) > 0)),
 note TEXT NOT NULL CHECK (typeof(note) = 'text'),
 rewrite_reason TEXT NOT NULL CHECK (typeof(rewrite_reason) = 'text'),
 rewrite_suffix TEXT NOT NULL CHECK (rewrite_suffix IN ('.png', '.jpg')))""",
    'scans_by_key': 'CREATE INDEX scans_by_key ON scans (key)',
    'made_by': """CREATE TABLE made_by (
 program TEXT NOT NULL CHECK (typeof(program) = 'text'))""",
}
RUN_SCHEMA = """
CREATE TABLE run.photos (
 number INTEGER PRIMARY KEY, path, file, label, split, inside,
 key, bytes, mtime, scan, name, placed, place, sha256);
CREATE TABLE run.names (label, name, PRIMARY KEY (label, name)) WITHOUT ROWID;
"""
# The key of a photo and the file whose size and date say whether it changed.
KeyOf = Callable[[Photo], tuple[str, str]]


def by_file(photo: Photo) -> tuple[str, str]:
    file = os.path.abspath(photo.file)  # noqa: PTH100, a million times
    return file, file


@contextmanager
def scan_store(out: Path) -> Iterator['ScanStore']:
    """Yield the store of `out`; it is deleted unless the run is interrupted.

    That of a long run stays after an error, too: most often a few photos are
    unusable.
    """
    folder = out.with_name(f'.{out.name}.scan')
    if folder.is_symlink():
        folder.unlink()
    with only_run_in(folder, '--out'):
        store = None
        is_kept = False
        try:
            with _explained(folder):
                store = ScanStore(folder)
                yield store
        except BaseException:
            is_kept = store is not None and store.is_worth_keeping
            raise
        finally:
            if store:
                store.close()
            if not is_kept:
                shutil.rmtree(folder, ignore_errors=True)
    if os.name == 'nt' and not is_kept:
        # The lock was open.
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        code = _code(error)
        if code is None:
            raise
        if code == sqlite3.SQLITE_FULL:
            number = errno.ENOSPC
            raise OSError(number, os.strerror(number), folder) from error
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            _delete(folder, SCANS, RUN)
            raise UserError(
                f'{folder} was damaged and has been deleted.\n'
                'Run this command again'
            ) from error
        raise OSError(errno.EIO, str(error), folder) from error


def _code(error: sqlite3.Error) -> int | None:
    """Return the error code of SQLite, None for errors of other kinds."""
    code = getattr(error, 'sqlite_errorcode', None)
    return None if code is None else code & 0xFF


def _delete(folder: Path, *names: str) -> None:
    for name in names:
        for suffix in ('', '-wal', '-shm', '-journal'):
            (folder / f'{name}{suffix}').unlink(missing_ok=True)


class ScanStore:
    """The photos that were read, and those of this run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        _delete(folder, RUN)
        self.db = self._opened() or self._new()
        self.db.execute('ATTACH ? AS run', (str(folder / RUN),))
        self.db.execute('PRAGMA run.journal_mode = OFF')
        self.db.executescript(RUN_SCHEMA)
        self.is_worth_keeping = self._has_scans()

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self.db.close()
        _delete(self.folder, RUN)

    def _opened(self) -> sqlite3.Connection | None:
        """Open the file of an earlier run; None if it cannot be trusted."""
        path = self.folder / SCANS
        if path.is_symlink() or not path.is_file():
            return None
        if _names_another_file(path.with_name(f'{SCANS}-journal')):
            return None
        db = None
        try:
            db = _connect(path)
            schema = dict(db.execute('SELECT name, sql FROM sqlite_master'))
            if schema == SCHEMA and _is_intact(db):
                return db
        except sqlite3.Error as error:
            if _code(error) in NOT_ITS_FAULT:
                raise
        if db:
            db.close()
        return None

    def _new(self) -> sqlite3.Connection:
        _delete(self.folder, SCANS)
        db = _connect(self.folder / SCANS)
        for statement in SCHEMA.values():
            db.execute(statement)
        db.execute('INSERT INTO made_by VALUES (?)', (_program(),))
        return db

    def _has_scans(self) -> bool:
        return bool(self.db.execute('SELECT 1 FROM scans LIMIT 1').fetchone())

    # --- reading photos ------------------------------------------------------

    def scan(self, photos: ListedPhotos, key_of: KeyOf) -> StoredPhotos:
        """Read the photos that an earlier run did not read."""
        self._list(photos, key_of)
        waiting = 'FROM run.photos WHERE scan IS NULL'
        (count,) = self.db.execute(f'SELECT count(*) {waiting}').fetchone()
        total = len(photos)
        if count < total:
            print(f'{total - count} photos were read by an earlier run')
        query = (
            'SELECT number, file, key, bytes, mtime FROM run.photos '
            'WHERE scan IS NULL AND number > ? ORDER BY number LIMIT ?'
        )
        rows: deque[tuple] = deque()  # of the photos that are being read

        def files() -> Iterator[str]:
            for row in rows_after(self.db, query, first=-1):
                rows.append(row)
                yield os.fsdecode(row[1])

        infos = console.track(
            inspect_all(files(), count),
            total,
            'reading photos',
            start=total - count,
        )
        self.db.execute('BEGIN')
        for done, info in enumerate(infos, 1):
            number, _, *state = rows.popleft()
            self._add(number, state, info)
            if done % COMMITTED == 0:
                self.db.execute('COMMIT')
                self.db.execute('BEGIN')
                self.is_worth_keeping = True
        self.db.execute('COMMIT')
        return StoredPhotos(self.db, np.arange(total, dtype=np.int32))

    def _list(self, photos: ListedPhotos, key_of: KeyOf) -> None:
        resumes = self._has_scans()
        self.db.execute('BEGIN')
        for number, photo in enumerate(photos):
            key, file = key_of(photo)
            state = os.fsencode(key), *_state(file)
            known = None
            if resumes:
                # Faults are looked for again: a decoder may be new.
                known = self.db.execute(
                    'SELECT id FROM scans WHERE key = ? AND bytes = ? '
                    "AND mtime = ? AND error = ''",
                    state,
                ).fetchone()
            self.db.execute(
                'INSERT INTO run.photos '
                '(number, path, file, label, split, inside, key, bytes, '
                'mtime, scan) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
                (
                    number,
                    os.fsencode(photo.path),
                    os.fsencode(photo.file),
                    photo.label,
                    photo.split,
                    os.fsencode(photo.inside),
                    *state,
                    known and known[0],
                ),
            )
        self.db.execute('COMMIT')

    def _add(self, number: int, state: list, info: PhotoInfo) -> None:
        cursor = self.db.execute(
            'INSERT INTO scans (key, bytes, mtime, sha256, size, thumb, '
            'error, note, rewrite_reason, rewrite_suffix) '
            'VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
            (*state, *info._replace(error=_encodable(info.error))),
        )
        self.db.execute(
            'UPDATE run.photos SET scan = ? WHERE number = ?',
            (cursor.lastrowid, number),
        )

    # --- the photos of this run ----------------------------------------------

    def place(
        self,
        photos: StoredPhotos,
        splits: list[str],
        classes: list[str],
        in_place: bool,
    ) -> None:
        """Give each photo its name in the dataset, and its split."""
        self.db.execute('BEGIN')
        names = names_of(photos, in_place, StoredNames(self.db))
        numbers = photos.numbers.tolist()
        for number, (photo, name), split in zip(
            numbers, names, splits, strict=True
        ):
            self.db.execute(
                'UPDATE run.photos SET name = ?, placed = ?, place = ?, '
                'sha256 = ? WHERE number = ?',
                (
                    name,
                    split,
                    f'{classes[photo.label]}/{name}',
                    photo.sha256,
                    number,
                ),
            )
        self.db.execute('COMMIT')
        self.db.execute('CREATE INDEX run.by_place ON photos (placed, place)')

    def files(self, splits: list[str]) -> StoredSplits:
        """Return the placed photos by their split and path."""
        return StoredSplits(self.db, splits)


def _encodable(text: str) -> str:
    return text.encode('utf-8', 'backslashreplace').decode()


def _connect(path: Path) -> sqlite3.Connection:
    # Transactions begin where the code says so.
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute('PRAGMA trusted_schema = OFF')
        db.execute('PRAGMA cell_size_check = ON')
        db.execute('PRAGMA locking_mode = EXCLUSIVE')
        # Half as long as with a write-ahead log, for rows that are added.
        db.execute('PRAGMA journal_mode = TRUNCATE')
    except sqlite3.Error:
        db.close()
        raise
    return db


def _names_another_file(journal: Path) -> bool:
    """Return whether SQLite would open, and delete, a file that it names.

    That of a transaction in several files, which we never write, ends so.
    """
    if not journal.is_file():
        return False
    return journal.is_symlink() or journal.read_bytes()[-8:] == SUPER_JOURNAL


def _is_intact(db: sqlite3.Connection) -> bool:
    made_by = db.execute('SELECT program FROM made_by').fetchall()
    if made_by != [(_program(),)]:
        return False
    return db.execute('PRAGMA quick_check(1)').fetchall() == [('ok',)]


def _program() -> str:
    """Return the programs on which the result of a scan depends."""
    has_opencv = find_spec('cv2') is not None
    return (
        f'flower_mm {flower_mm.__version__}, Pillow {PIL.__version__}'
        + ', OpenCV' * has_opencv
    )


def _state(file: str) -> tuple[int, int]:
    try:
        size, mtime, _ = photo_bytes.stat(file)
    except OSError:
        return -1, -1  # the error is reported when it is read
    return size, mtime
