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
from flower_mm.files import replacing, sweep
from flower_mm.lock import one_at_a_time_in
from flower_mm.prepare.dataset import DECODED

VERSION = 1  # of the file; another one is written anew
MOST_BYTES = 20e9  # of one file
LEFT_FREE = 2e9  # bytes that stay free on the disk
COLUMNS = 3  # of the table: first byte, height, width

Load = Callable[[int], np.ndarray | None]


class DecodedPhotos:
    """The pixels of each photo, read from the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        whole = np.memmap(path, np.uint8, 'r')
        begin = int(whole[-8:].view(np.int64)[0])
        self.pixels = whole[:begin]
        self.table = whole[begin:-8].view(np.int64).reshape(-1, COLUMNS)

    def __reduce__(self) -> tuple:
        """A worker that is started anew maps the file, too."""
        return type(self), (self.path,)

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
    folder: Path,
    split: str,
    photos: list[str],
    side: int,
    load: Load,
    how: str = '',
) -> DecodedPhotos | None:
    """Open the file of these photos; write it first where there is none.

    Args:
        folder: The dataset's, in which `decoded/` lies.
        photos: Their paths. One that changes makes another file.
        side: The shorter side that larger photos are shrunk to.
        load: Decodes a photo, by its number.
        how: It does so. Another way makes another file.

    Returns:
        None where it would be too large for the disk, or cannot hold these
        photos; they are then decoded each time, as ever.
    """
    key = _key(folder, photos, f'{VERSION} {side} {how}')
    path = folder / DECODED / f'{split}-{side}-{key}.photos'
    found = _open(path, len(photos))
    if found:
        return found
    work = f'decoding {split}'
    try:
        with one_at_a_time_in(path.parent, work):
            found = _open(path, len(photos))
            if not found:
                sweep(path.parent)
                _write(path, len(photos), side, load, work)
                found = DecodedPhotos(path)
    except (OSError, _CannotHoldError) as error:
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
    return found


def _open(path: Path, count: int) -> DecodedPhotos | None:
    """None where there is no whole file of so many photos."""
    with suppress(OSError, ValueError, IndexError):
        found = DecodedPhotos(path)
        if len(found) == count:
            return found
    return None


class _CannotHoldError(Exception):
    """There would be no room, or photos are of another kind."""


def _key(folder: Path, photos: list[str], how: str) -> str:
    """Of names, sizes and dates: reading all bytes would take as long."""
    digest = hashlib.sha256(how.encode())
    start = len(str(folder.absolute()))  # the dataset may be moved
    for photo in photos:
        line = f'\n{photo[start:]}'
        with suppress(OSError):
            stat = os.stat(photo)  # noqa: PTH116, thousands of them
            line += f' {stat.st_size} {stat.st_mtime_ns}'
        digest.update(line.encode(errors='surrogatepass'))
    return digest.hexdigest()[:16]


def _write(path: Path, count: int, side: int, load: Load, what: str) -> None:
    table = np.zeros((count, COLUMNS), np.int64)
    begin = 0
    with replacing(path) as file:
        shrunk = _in_threads(lambda idx: _shrink(load(idx), side), count)
        for idx, photo in enumerate(console.track(shrunk, count, what)):
            if photo is None:
                continue
            if photo.dtype != np.uint8 or photo.shape[2:] != (3,):
                raise _CannotHoldError(
                    'it holds photos of three colours of 8 bits'
                )
            table[idx] = begin, *photo.shape[:2]
            file.write(np.ascontiguousarray(photo).data)
            begin += photo.size
            if idx % 256 == 255 or idx == count - 1:
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
        raise _CannotHoldError(
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
