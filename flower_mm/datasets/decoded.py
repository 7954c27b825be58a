"""A split's photos decoded and shrunk once, in one file that runs share.

The file holds the pixels of one photo behind the other, then a table of where
each begins and how large it is, then where that table begins. It is mapped,
so that all workers of all runs share its pages.
"""

import hashlib
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from flower_mm import console
from flower_mm.files import replacing
from flower_mm.prepare.dataset import DECODED

VERSION = 1  # of the file; another one is written anew
MOST_BYTES = 20e9  # of one file
LEFT_FREE = 2e9  # bytes that stay free on the disk
COLUMNS = 3  # of the table: first byte, height, width

Load = Callable[[int], np.ndarray | None]


class DecodedPhotos:
    """The pixels of each photo, read from the file."""

    def __init__(self, path: Path) -> None:
        # Not 'r': torch warns of each array that cannot be written. What is
        # written stays in this process.
        whole = np.memmap(path, np.uint8, 'c')
        begin = int(whole[-8:].view(np.int64)[0])
        self.pixels = whole[:begin]
        self.table = whole[begin:-8].view(np.int64).reshape(-1, COLUMNS)

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, idx: int) -> np.ndarray | None:
        """A copy of a photo as BGR; None where it could not be decoded."""
        begin, height, width = self.table[idx].tolist()
        if not height:
            return None
        size = height * width * 3
        pixels = np.array(self.pixels[begin : begin + size])
        return pixels.reshape(height, width, 3)


def decoded(
    folder: Path, split: str, photos: list[str], side: int, load: Load
) -> DecodedPhotos | None:
    """Open the file of these photos; write it first where there is none.

    Args:
        folder: The dataset's, in which `decoded/` lies.
        photos: Their paths. One that changes makes another file.
        side: The shorter side that larger photos are shrunk to.
        load: Decodes a photo, by its number.

    Returns:
        None where it would be too large for the disk; the photos are then
        decoded each time, as ever.
    """
    path = folder / DECODED / f'{split}-{side}-{_key(photos, side)}.photos'
    with suppress(OSError, ValueError, IndexError):
        found = DecodedPhotos(path)
        if len(found) == len(photos):
            return found
    try:
        _write(path, len(photos), side, load, f'decoding {split}')
    except (OSError, _TooLargeError) as error:
        print(
            f'{path.parent} cannot be used, photos are decoded each time: '
            f'{error}',
            flush=True,
        )
        return None
    for old in path.parent.glob(f'{split}-{side}-*.photos'):
        if old != path:
            with suppress(OSError):
                old.unlink()
    return DecodedPhotos(path)


class _TooLargeError(Exception):
    """There would be no room."""


def _key(photos: list[str], side: int) -> str:
    """Of names, sizes and dates: reading all bytes would take as long."""
    digest = hashlib.sha256(f'{VERSION} {side}'.encode())
    for photo in photos:
        with suppress(OSError):
            stat = os.stat(photo)  # noqa: PTH116, thousands of them
            name = os.path.basename(photo)  # noqa: PTH119
            line = f'\n{name} {stat.st_size} {stat.st_mtime_ns}'
            digest.update(line.encode(errors='surrogatepass'))
    return digest.hexdigest()[:16]


def _write(path: Path, count: int, side: int, load: Load, what: str) -> None:
    table = np.zeros((count, COLUMNS), np.int64)
    begin = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        shrunk = _in_threads(lambda idx: _shrink(load(idx), side), count)
        for idx, photo in enumerate(console.track(shrunk, count, what)):
            if photo is None:
                continue
            table[idx] = begin, *photo.shape[:2]
            file.write(np.ascontiguousarray(photo).data)
            begin += photo.size
            if idx % 256 == 0:
                _require_room(path.parent, begin, count / (idx + 1))
        # The table is mapped as numbers of eight bytes.
        file.write(bytes(-begin % 8))
        begin += -begin % 8
        file.write(table.tobytes())
        file.write(np.int64(begin).tobytes())


def _require_room(folder: Path, written: int, times: float) -> None:
    """Stop early: all photos are taken for as large as those so far."""
    whole = written * times
    free = shutil.disk_usage(folder).free
    if whole > MOST_BYTES or whole - written > free - LEFT_FREE:
        raise _TooLargeError(
            f'the file would have {whole / 1e9:.1f} GB, of '
            f'{MOST_BYTES / 1e9:.0f} that it may have; {free / 1e9:.1f} GB '
            'are free'
        )


def _shrink(photo: np.ndarray | None, side: int) -> np.ndarray | None:
    """At most `side` on the shorter side; smaller ones stay as they are."""
    if photo is None:
        return None
    height, width = photo.shape[:2]
    scale = side / min(height, width)
    if scale >= 1:
        return photo
    size = max(side, round(width * scale)), max(side, round(height * scale))
    return cv2.resize(photo, size, interpolation=cv2.INTER_AREA)


def _in_threads(
    work: Callable[[int], np.ndarray | None], count: int
) -> Iterator[np.ndarray | None]:
    """In order. Decoding and shrinking let other threads run meanwhile."""
    numbers = iter(range(count))
    with ThreadPoolExecutor() as pool:
        # Few are under way: what waits for its turn takes memory.
        waiting = deque(pool.submit(work, idx) for idx in islice(numbers, 64))
        while waiting:
            yield waiting.popleft().result()
            for idx in islice(numbers, 1):
                waiting.append(pool.submit(work, idx))
