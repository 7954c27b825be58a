"""Write the photos of a dataset into shards: tars that WebDataset reads.

A sample is NUMBER.jpg, or another suffix, with its class index in NUMBER.cls.
The photos of a split are in the order of their sha256, which is as good as
shuffled for programs that read tars from start to end.
"""

import hashlib
import json
import re
import sqlite3
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path, PurePath
from typing import NamedTuple

import numpy as np

from flower_mm import console
from flower_mm.files import replacing
from flower_mm.layout import DatasetDir
from flower_mm.photo_bytes import read_bytes, sha256_of
from flower_mm.prepare import dataset_json
from flower_mm.prepare.photo import Photo
from flower_mm.prepare.stored_photos import StoredPhotos
from flower_mm.prepare.write_dataset import changed, rewritten
from flower_mm.shard_index import TABLES

END = 2 * tarfile.BLOCKSIZE  # of a tar
# The headers of a photo and its class index, and what rounds up their sizes.
OVERHEAD = 4 * tarfile.BLOCKSIZE


class _Placed(NamedTuple):
    """A row of the index."""

    path: str
    shard: int
    offset: int
    length: int
    label: int
    sha256: bytes


def write_shards(
    photos: StoredPhotos,
    splits: list[str],
    record: dict,
    size: int,
    folder: Path,
) -> None:
    """Write shards of about `size` bytes, and their index, into `folder`.

    `record` gets the sha256 of rewritten photos.
    """
    (folder / DatasetDir.SHARDS).mkdir(parents=True)
    place = {split: i for i, split in enumerate(DatasetDir.SPLITS)}
    numbers_of_splits = np.array([place[split] for split in splits])
    order = np.lexsort((photos.shas(), numbers_of_splits))
    numbers = console.track(order.tolist(), len(order), 'writing photos')
    contents = ((photos[i], splits[i]) for i in numbers)
    with closing(sqlite3.connect(folder / DatasetDir.INDEX)) as db:
        db.execute('PRAGMA journal_mode = OFF')
        for table in TABLES:
            db.execute(table)
        db.execute('CREATE TEMP TABLE placed AS SELECT * FROM photos')
        shards = _Shards(folder / DatasetDir.SHARDS, size)
        rows = shards.add_all(contents, record)
        db.executemany('INSERT INTO placed VALUES (?, ?, ?, ?, ?, ?)', rows)
        # In order, so that SQLite writes each page once.
        db.execute('INSERT INTO photos SELECT * FROM placed ORDER BY path')
        db.executemany(
            'INSERT INTO shards VALUES (?, ?, ?)',
            [
                (i, path.name, path.stat().st_size)
                for i, path in enumerate(shards.paths)
            ],
        )
        db.commit()
    if record['rewritten']:
        record['sha256'] = dataset_json.digest(record['files'])


class _Shards:
    """The shards that are written."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder, self.size = folder, size
        self.paths: list[Path] = []

    def add_all(
        self, contents: Iterable[tuple[Photo, str]], record: dict
    ) -> Iterator[_Placed]:
        """Write photos that are ordered by split; yield where each is."""
        tar, before, number = None, '', 0
        try:
            for photo, split in contents:
                data = _content(photo, split, record)
                needed = len(data) + OVERHEAD + END
                if split != before:
                    number = 0
                if (
                    not tar
                    or split != before
                    or (tar.offset and tar.offset + needed > self.size)
                ):
                    if tar:
                        tar.close()
                    tar = self._next(split, number)
                    before, number = split, number + 1
                yield self._add(tar, photo, split, data, record['classes'])
        finally:
            if tar:
                tar.close()

    def _next(self, split: str, number: int) -> tarfile.TarFile:
        path = self.folder / f'{split}-{number:05}.tar'
        self.paths.append(path)
        self.samples = 0
        return tarfile.open(path, 'x', format=tarfile.USTAR_FORMAT)

    def _add(
        self,
        tar: tarfile.TarFile,
        photo: Photo,
        split: str,
        data: bytes,
        classes: list[str],
    ) -> _Placed:
        key = f'{len(self.paths) - 1:05}{self.samples:07}'
        self.samples += 1
        offset = tar.offset + tarfile.BLOCKSIZE
        _write(tar, key + _suffix(photo.name), data)
        _write(tar, f'{key}.cls', str(photo.label).encode())
        return _Placed(
            f'{split}/{classes[photo.label]}/{photo.name}',
            len(self.paths) - 1,
            offset,
            len(data),
            photo.label,
            hashlib.sha256(data).digest(),
        )


def _write(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)  # without time and owner
    info.size = len(data)
    tar.addfile(info, BytesIO(data))


def _suffix(name: str) -> str:
    """Return the suffix by which WebDataset chooses a decoder."""
    suffix = PurePath(name).suffix.lower()
    return suffix if re.fullmatch(r'\.[a-z0-9]{2,5}', suffix) else '.jpg'


def _content(photo: Photo, split: str, record: dict) -> bytes:
    if photo.rewrite_reason:
        data = rewritten(photo)
        sha256 = hashlib.sha256(data).digest()
        dataset_json.note_rewritten(record, photo, split, sha256)
        return data
    data = read_bytes(photo.file)
    if hashlib.sha256(data).digest() != photo.sha256:
        raise changed(photo)
    return data


def write_manifest(folder: Path) -> None:
    """Write the sizes and hashes of the other files of a complete dataset.

    A training on another machine downloads and verifies them.
    """
    names = (
        DatasetDir.CLASSES,
        DatasetDir.RECORD,
        DatasetDir.SUMMARY,
        DatasetDir.INDEX,
        *map(DatasetDir.list_of, DatasetDir.SPLITS),
    )
    paths = {name: folder / name for name in names}
    files = {
        name: {'bytes': path.stat().st_size, 'sha256': sha256_of(str(path))}
        for name, path in paths.items()
        if path.is_file()
    }
    with replacing(folder / DatasetDir.MANIFEST, 'w') as file:
        json.dump({'format': 1, 'files': files}, file, indent=1)
