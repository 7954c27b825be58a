"""A split's photos decoded and shrunk once, in one file that runs share.

The file holds the pixels of one photo behind the other, then a table of where
each begins and how large it is, then a check sum of each, then where the table
begins. It is mapped, so that all workers of all runs share its pages.

A photo whose check sum is wrong is decoded from its own file.

A file goes when its photos have changed, or when another one needs its room
and no other was unused for so long.
"""

import hashlib
import os
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path
from weakref import WeakSet

import cv2
import numpy as np

from flower_mm import console
from flower_mm.datasets.cache_space import (
    CannotHoldError,
    delete,
    make_room,
    touch,
)
from flower_mm.errors import UserError
from flower_mm.files import replacing, sweep
from flower_mm.layout import DatasetDir
from flower_mm.links import refuse_links_out
from flower_mm.lock import one_at_a_time_in

VERSION = 2  # of the file; another one is written anew
COLUMNS = 3  # of the table: first byte, height, width

Load = Callable[[int], np.ndarray | None]


class DecodedPhotos:
    """The pixels of each photo, read from the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        whole = np.memmap(path, np.uint8, 'r')
        begin = int(whole[-8:].view(np.int64)[0])
        self.pixels = whole[:begin]
        numbers = whole[begin:-8].view(np.int64)
        count, rest = divmod(len(numbers), COLUMNS + 1)
        self.table = numbers[: count * COLUMNS].reshape(-1, COLUMNS)
        self._sums = numbers[count * COLUMNS :]
        if rest or not _fits(self.table, len(self.pixels)):
            raise ValueError(f'{path} is damaged')
        self._noted = False
        _in_use.add(self)

    def __reduce__(self) -> tuple:
        """A worker that is started anew maps the file, too.

        It decodes the photos where another run has deleted the file since.
        """
        return _open, (self.path, len(self))

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, idx: int) -> np.ndarray | None:
        """A copy of a photo as BGR; None where the file does not have it.

        That is one that could not be decoded, or whose bytes have changed.
        """
        begin, height, width = self.table[idx].tolist()
        if not height:
            return None
        size = height * width * 3
        # Checked after copying: another process may be writing there.
        pixels = np.array(self.pixels[begin : begin + size])
        pixels = pixels.reshape(height, width, 3)
        if _check_sum(idx, pixels) != self._sums[idx]:
            self._note()
            return None
        return pixels

    def damaged(self) -> list[int]:
        """Photos whose bytes have changed."""
        return [
            idx
            for idx in np.flatnonzero(self.table[:, 1]).tolist()
            if self[idx] is None
        ]

    def _note(self) -> None:
        """Once in each process."""
        if not self._noted:
            self._noted = True
            print(
                f'note: {self.path} is damaged; photos whose check sum is '
                'wrong are decoded from their own files. To write it anew, '
                'delete it and start again',
                flush=True,
            )


def _check_sum(idx: int, photo: np.ndarray) -> int:
    """Of its number, its size and its pixels."""
    start = zlib.crc32(f'{idx} {photo.shape}'.encode())
    return zlib.crc32(photo.data, start)


# A run that opens two files shall not delete one for the other.
_in_use: WeakSet[DecodedPhotos] = WeakSet()


def require_side(side: object) -> int:
    """The shorter side in pixels, 0 for none; all else is refused."""
    if side in (None, 0):
        return 0
    if not isinstance(side, int) or isinstance(side, bool) or side < 0:
        raise UserError(
            "a dataset's `decode_once` is a whole number of pixels, such as "
            f'320, or 0 to decode photos each time, not {side!r}'
        )
    return side


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
    names, state = _key(folder, photos, how)
    # The split may lie deeper; its path is in all names.
    mine = f'{Path(split).name}-{side}-{names}-'
    path = folder / DatasetDir.DECODED / f'{mine}{state}.photos'
    # Files there are deleted, whoever made the dataset.
    refuse_links_out(path.parent, folder, '--data-root')
    found = _open(path, len(photos))
    if found:
        return found
    work = f'decoding {split}'
    try:
        with one_at_a_time_in(path.parent, work):
            found = _open(path, len(photos))
            if not found:
                sweep(path.parent)
                # Damaged, or of photos that have changed since.
                for old in path.parent.iterdir():
                    if old.name.startswith(mine):
                        delete(old)
                _write(path, len(photos), side, load, work)
                found = DecodedPhotos(path)
    except (OSError, CannotHoldError) as error:
        print(
            f'{path.parent} cannot be used, photos are decoded each time: '
            f'{error}.\nNot to try it again: decode_once=0 in the dataset '
            f'of {split}',
            flush=True,
        )
        return None
    return found


def _open(path: Path, count: int) -> DecodedPhotos | None:
    """None where there is no whole file of so many photos."""
    with suppress(OSError, ValueError, IndexError):
        found = DecodedPhotos(path)
        if len(found) == count:
            touch(path)
            return found
    return None


def _fits(table: np.ndarray, end: int) -> bool:
    """Whether the photos lie one behind the other and fill the file."""
    if np.any(table < 0) or np.any(table > end):
        return False
    # As floats, exact up to 9 PB: products of damaged rows do not wrap.
    first, height, width = table.T.astype(float)
    sizes = height * width * 3
    ends = np.cumsum(sizes)
    last = ends[-1] if len(ends) else 0
    # Rows of photos that could not be decoded are all zeros.
    return np.array_equal(first, np.where(sizes > 0, ends - sizes, 0)) and (
        end - 8 < last <= end and np.array_equal(height > 0, width > 0)
    )


def _key(folder: Path, photos: list[str], how: str) -> tuple[str, str]:
    """Of the names, and of sizes and dates: to read all takes as long."""
    names = hashlib.sha256(how.encode())
    state = hashlib.sha256(f'{VERSION}'.encode())
    root = str(folder.absolute())  # the dataset may be moved
    for photo in photos:
        name = f'\n{photo.removeprefix(root)}'
        names.update(name.encode(errors='surrogatepass'))
        line = '\n'
        with suppress(OSError):
            stat = os.stat(photo)  # noqa: PTH116, thousands of them
            line += f'{stat.st_size} {stat.st_mtime_ns}'
        state.update(line.encode())
    return names.hexdigest()[:16], state.hexdigest()[:16]


def _write(path: Path, count: int, side: int, load: Load, what: str) -> None:
    table = np.zeros((count, COLUMNS), np.int64)
    sums = np.zeros(count, np.int64)
    begin = 0
    with replacing(path) as file:
        shrunk = _in_threads(lambda idx: shrink(load(idx), side), count)
        for idx, photo in enumerate(console.track(shrunk, count, what)):
            if photo is None:
                continue
            if photo.dtype != np.uint8 or photo.shape[2:] != (3,):
                raise CannotHoldError(
                    'it holds photos of three colours of 8 bits'
                )
            photo = np.ascontiguousarray(photo)
            table[idx] = begin, *photo.shape[:2]
            sums[idx] = _check_sum(idx, photo)
            file.write(photo.data)
            begin += photo.size
            if idx % 256 == 255 or idx == count - 1:
                # The others are taken for as large as those so far.
                whole = begin * count / (idx + 1)
                used = {photos.path for photos in _in_use}
                make_room(path.parent, begin, whole, used)
        # The table is mapped as numbers of eight bytes.
        file.write(bytes(-begin % 8))
        begin += -begin % 8
        file.write(table.tobytes())
        file.write(sums.tobytes())
        file.write(np.int64(begin).tobytes())


def shrink(photo: np.ndarray | None, side: int) -> np.ndarray | None:
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
