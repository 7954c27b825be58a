"""The photos of a large prediction, in SQLite beside its results.

Names are sorted and unique there, so that the parts of the list are the same
after each interruption, and memory is bounded for any number of photos.
"""

import csv
import os
import sqlite3
import tarfile
from collections.abc import Container, Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from flower_mm import console
from flower_mm.commands import install_command
from flower_mm.csv_files import read_rows
from flower_mm.errors import UserError
from flower_mm.files import PART, no_room, sync_folder
from flower_mm.plain_text import shorten
from flower_mm.prepare.file_tree import is_clutter, is_photo_name
from flower_mm.prepare.sources.table_files import PATH_COLUMNS, SHOWN, plain

TAR, CSV, PARQUET = '.tar', '.csv', '.parquet'
COLUMNS = (*PATH_COLUMNS, 'url', 'imageurl', 'uri')
URLS = ('https://', 'http://', 's3://')
LISTED = 10_000  # rows of Parquet that are in memory
SCHEMA = """CREATE TABLE photos (
 name BLOB PRIMARY KEY, file BLOB, offset INTEGER, size INTEGER, error TEXT
) WITHOUT ROWID"""


class Photo(NamedTuple):
    """A photo of the list."""

    name: str  # as the results show it
    file: str  # an absolute path or a URL
    offset: int | None = None  # in a tar file
    size: int = 0
    error: str | None = None  # why it is not read


def write_list(
    file: Path, sources: Iterable[str], prefix: str, column: str
) -> None:
    """List the photos of folders, tar files, tables and files.

    Args:
        file: The list.
        sources: What the user has named.
        prefix: The folder or URL above all paths and URLs of the tables.
        column: The column of the paths, or ''.
    """
    rows = (
        (os.fsencode(photo.name), os.fsencode(photo.file), *photo[2:])
        for source in sources
        for photo in _photos_of(source, prefix, column)
    )
    # `sweep` deletes what a killed process has left.
    part = file.with_name(f'.{file.name}.building{PART}')
    with closing(_open(part, 'nolock=1')) as table:
        table.execute('PRAGMA journal_mode = OFF')
        table.execute('PRAGMA synchronous = OFF')
        table.execute(SCHEMA)
        table.execute('BEGIN')
        try:
            table.executemany(
                'INSERT OR IGNORE INTO photos VALUES (?, ?, ?, ?, ?)',
                console.track(rows, 0, 'listing'),
            )
            table.execute('COMMIT')
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise
            full = OSError(0, 'the list of photos')
            raise UserError(no_room(full, file)) from error
    with part.open('rb') as written:
        os.fsync(written.fileno())
    part.replace(file)
    sync_folder(file.parent)


def count_photos(file: Path) -> int:
    with closing(_open(file, 'immutable=1')) as table:
        return table.execute('SELECT count(*) FROM photos').fetchone()[0]


def parts_of(
    file: Path, size: int, done: Container[int]
) -> Iterator[tuple[int, list[Photo]]]:
    """Yield the parts of `size` photos that are not done, with their number.

    The number of photos before a part is its number times `size`.
    """
    with closing(_open(file, 'immutable=1')) as table:
        last, number = b'', 0
        while True:
            if number in done:
                rows = table.execute(
                    'SELECT name FROM photos WHERE name > ? ORDER BY name '
                    'LIMIT 1 OFFSET ?',
                    (last, size - 1),
                ).fetchall()
            else:
                rows = table.execute(
                    'SELECT * FROM photos WHERE name > ? ORDER BY name '
                    'LIMIT ?',
                    (last, size),
                ).fetchall()
            if not rows:
                return
            if number not in done:
                yield (
                    number,
                    [
                        Photo(
                            os.fsdecode(row[0]), os.fsdecode(row[1]), *row[2:]
                        )
                        for row in rows
                    ],
                )
            last, number = rows[-1][0], number + 1


def _open(file: Path, options: str) -> sqlite3.Connection:
    """Open without locks, which some network file systems lack."""
    uri = f'{file.absolute().as_uri()}?{options}'
    return sqlite3.connect(uri, uri=True, isolation_level=None)


def _photos_of(source: str, prefix: str, column: str) -> Iterator[Photo]:
    suffix = os.path.splitext(source)[1].casefold()  # noqa: PTH122
    if os.path.isdir(source):  # noqa: PTH112  Path raises for some names
        yield from _in_folder(source)
    elif not os.path.isfile(source):  # noqa: PTH113
        raise UserError(
            f'{shorten(source)} does not exist: expected a folder, a tar '
            'file, or a CSV or Parquet list of paths or URLs'
        )
    elif suffix == TAR:
        yield from _in_tar(source)
    elif suffix in (CSV, PARQUET):
        if not prefix:
            raise UserError(
                f'{shorten(source)} is a list: expected the folder or the URL '
                'above all of its photos.\nName it: --prefix PREFIX'
            )
        cells = _parquet_cells if suffix == PARQUET else _csv_cells
        for number, name in enumerate(cells(source, column), 1):
            yield _listed(name, f'{source} row {number}', prefix)
    elif is_photo_name(source):
        yield Photo(source, os.path.abspath(source))  # noqa: PTH100
    else:
        raise UserError(
            f'{shorten(source)}: expected a folder, a photo, an uncompressed '
            'tar file, or a CSV or Parquet list.\n'
            'Unpack other archives, and name the folder'
        )


def _in_folder(source: str) -> Iterator[Photo]:
    """Yield photos and those of tar files; follow links, not in circles."""
    todo: list[tuple[str, tuple[str, ...]]]
    todo = [(source, (os.path.realpath(source),))]
    while todo:
        folder, above = todo.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if is_clutter(entry.name):
                        continue
                    if entry.is_dir():
                        real = os.path.realpath(entry.path)
                        if real not in above:
                            todo.append((entry.path, (*above, real)))
                    elif is_photo_name(entry.name):
                        file = os.path.abspath(entry.path)  # noqa: PTH100
                        yield Photo(entry.path, file)
                    elif entry.name.casefold().endswith(TAR):
                        yield from _in_tar(entry.path)
        except OSError as error:
            raise UserError(
                f'{shorten(folder)} cannot be read: {error.strerror}'
            ) from error


def _in_tar(source: str) -> Iterator[Photo]:
    """Yield the photos of a tar file, with their places in it."""
    file = os.path.abspath(source)  # noqa: PTH100
    try:
        with tarfile.open(file, 'r:') as tar:
            for info in tar:
                # tarfile keeps them all. typeshed lacks the attribute.
                tar.members.clear()  # type: ignore[attr-defined]
                if not is_photo_name(info.name) or info.isdir():
                    continue
                name = f'{source}/{info.name}'
                if info.isreg() and not info.issparse():
                    yield Photo(name, file, info.offset_data, info.size)
                else:
                    yield Photo(name, file, error='a link or a device')
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise UserError(
            f'{shorten(source)} is damaged or compressed: expected a tar '
            f'file without compression ({shorten(str(error))}).\n'
            'Download or pack it again'
        ) from error


def _listed(name: str, where: str, prefix: str) -> Photo:
    """Return the photo of a row, whose place must be below the prefix."""
    if not name:
        return Photo(where, '', error='without a path')
    base = prefix if prefix.endswith('/') else f'{prefix}/'
    is_local = not base.startswith(URLS)
    path = name if is_local else unquote(name)
    if '..' in path.replace('\\', '/').split('/'):
        return Photo(name, '', error='refused: a path with ".."')
    if is_local:
        base = os.path.join(os.path.abspath(base), '')  # noqa: PTH100, PTH118
        file = os.path.normpath(os.path.join(base, name))  # noqa: PTH118
    else:
        is_whole = '://' in name or name.startswith('/')
        file = name if is_whole else base + name
    if not file.startswith(base):
        return Photo(name, '', error='refused: outside of the prefix')
    return Photo(name, file)


def _csv_cells(source: str, column: str) -> Iterator[str]:
    try:
        with Path(source).open(
            encoding='utf-8-sig', errors='surrogateescape', newline=''
        ) as file:
            rows = (cells for _, cells in read_rows(file) if cells)
            names = next(rows, [])
            place = names.index(_column(names, column, source))
            for cells in rows:
                yield cells[place] if place < len(cells) else ''
    except csv.Error as error:
        raise UserError(f'{shorten(source)} is damaged: {error}') from error


def _parquet_cells(source: str, column: str) -> Iterator[str]:
    pyarrow = import_pyarrow()
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(source) as table:
            name = _column(table.schema_arrow.names, column, source)
            for batch in table.iter_batches(LISTED, columns=[name]):
                for cell in batch.column(0).to_pylist():
                    yield os.fsdecode(cell) if cell else ''
    except (pyarrow.ArrowException, OSError, TypeError) as error:
        raise UserError(
            f'{shorten(source)} cannot be read: {shorten(str(error))}'
        ) from error


def _column(names: list[str], chosen: str, source: str) -> str:
    by_name = {plain(name): name for name in reversed(names)}
    likely = (by_name[name] for name in COLUMNS if name in by_name)
    column = chosen or next(likely, '')
    if column not in names:
        shown = ', '.join(map(shorten, islice(names, SHOWN)))
        raise UserError(
            f'{shorten(source)} has no column {shorten(chosen or "path")!r}: '
            f'got {shown}.\nName the column of the paths: --path-column NAME'
        )
    return column


def import_pyarrow():
    """Return the module; a UserError names the command that installs it."""
    try:
        import pyarrow
    except ImportError as error:
        raise UserError(
            'predict --out needs the package pyarrow.\n'
            f'Install it: {install_command("parquet")}'
        ) from error
    return pyarrow
