"""The bytes of a photo, in a file of its own or in a shard.

Photos of datasets are opened here and nowhere else.
"""

import hashlib
import os
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import NamedTuple

from flower_mm import decoding, shards


class PhotoStat(NamedTuple):
    """What changes with a photo."""

    size: int  # bytes
    mtime_ns: int
    ctime_ns: int


def read_bytes(file: str) -> bytes:
    """Read a photo; raise BadPhotoError for one that cannot be read.

    A shard that cannot be read raises ShardError, which is no fault of this
    photo.
    """
    data = shards.read(file)
    return decoding.read_bytes(file) if data is None else data


def stat(file: str) -> PhotoStat:
    """Return the state of a photo; raise OSError for a missing one."""
    if place := shards.find(file):
        # The start of its sha256 stands for the times, which it lacks.
        version = int.from_bytes(place[1].sha256[:7])
        return PhotoStat(place[1].length, version, version)
    info = os.stat(file)  # noqa: PTH116, thousands of them
    return PhotoStat(info.st_size, info.st_mtime_ns, info.st_ctime_ns)


def is_file(file: str) -> bool:
    return shards.find(file) is not None or Path(file).is_file()


def sha256_of(file: str) -> str:
    """Return the hash of a photo as it is; raise OSError if it is missing."""
    with opened(file) as photo:
        return hashlib.file_digest(photo, 'sha256').hexdigest()


def opened(file: str) -> BufferedReader | BytesIO:
    """Open a photo to read it; raise OSError if it is missing."""
    data = shards.read(file)
    return Path(file).open('rb') if data is None else BytesIO(data)
