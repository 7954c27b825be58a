"""Features in the user's cache folder.

A file has those of one network on one machine: of any photos, or of the first
photos of an order. It is read as numbers; what is damaged is computed again.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flower_mm.errors import UserError
from flower_mm.files import replacing, user_cache

VERSION = 1  # of the format and of what computes the features
MOST_BYTES = 2e9  # of all files
# What numpy raises for files that it did not write.
DAMAGED = (OSError, ValueError, TypeError, KeyError, EOFError, MemoryError,
           NotImplementedError, zipfile.BadZipFile)  # fmt: skip

Hashes = Callable[[int], list[bytes]]  # of so many photos, or of all


@dataclass
class Features:
    """The features of the first photos, and the time that they took."""

    rows: np.ndarray  # (photos, features) float32
    photos_per_second: float = 0.0  # of the network alone
    seconds_per_photo: float = 0.0  # with loading


def cache_path(key: object) -> Path:
    """Return the file of everything that determines features."""
    text = json.dumps([VERSION, key], sort_keys=True, default=repr)
    digest = hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()
    return user_cache() / 'features' / f'{digest[:32]}.npz'


def load(path: Path, hashes: Hashes) -> Features:
    """Read the features of the first photos, up to one that has changed."""
    features, before = _read(path)
    now = hashes(len(before))
    same = [old == new for old, new in zip(before, now, strict=False)]
    features.rows = features.rows[: [*same, False].index(False)]
    return features


def load_by_hash(path: Path) -> dict[bytes, np.ndarray]:
    """Read all features of a file by the hashes of their photos."""
    features, photos = _read(path)
    return dict(zip(photos, features.rows, strict=False))


def _read(path: Path) -> tuple[Features, list[bytes]]:
    """Return all features in a file with the hashes of their photos."""
    try:
        with np.load(path, allow_pickle=False) as file:
            rows, photos, times = (
                file[k] for k in ('rows', 'photos', 'times')
            )
        if rows.ndim != 2 or rows.dtype != np.float32 or times.shape != (2,):
            raise ValueError('another kind of table')
        if not (np.isfinite(rows).all() and np.isfinite(times).all()):
            raise ValueError('NaN or Inf')
        hashes = [photo.tobytes() for photo in photos[: len(rows)]]
        os.utime(path)
    except DAMAGED:
        return Features(np.zeros((0, 0), np.float32)), []
    return Features(rows, *map(float, times)), hashes


def save(path: Path, features: Features, hashes: Hashes) -> None:
    """Write the features; what cannot be written is computed again."""
    count = len(features.rows)
    photos = np.frombuffer(b''.join(hashes(count)), np.uint8)
    times = [features.photos_per_second, features.seconds_per_photo]
    with suppress(OSError, UserError):
        with replacing(path) as file:
            np.savez(
                file,
                rows=features.rows,
                photos=photos.reshape(count, -1),
                times=np.array(times),
            )
        # Those that were used least recently are deleted.
        total = 0
        for other in sorted(
            path.parent.glob('*.npz'), key=lambda other: -other.stat().st_mtime
        ):
            total += other.stat().st_size
            if total > MOST_BYTES:
                other.unlink()


def save_by_hash(path: Path, rows: dict[bytes, np.ndarray]) -> None:
    """Write features by the hashes of their photos, of many the last ones."""
    most = int(MOST_BYTES / 2 / next(iter(rows.values())).nbytes)
    hashes = list(rows)[-most:]
    table = np.stack([rows[digest] for digest in hashes])
    save(path, Features(table), lambda count: hashes[:count])
