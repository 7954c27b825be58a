"""The photos of a split, decoded and reduced once, in a file for all runs.

The file has the pixels of all photos, a table of their offsets and sizes, a
checksum of each, and the offset of the table. It is memory-mapped, so that all
workers of all runs share its pages.

A photo with a wrong checksum is decoded from its own file.

A file is deleted when its photos have changed, or as the least recently used
one when the space is needed.
"""

import hashlib
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

from flower_mm import console, photo_bytes
from flower_mm.datasets.cache_space import (
    CannotHoldError,
    delete,
    make_space,
    touch,
)
from flower_mm.errors import UserError
from flower_mm.files import replacing, sweep
from flower_mm.layout import DatasetDir
from flower_mm.links import refuse_links_out
from flower_mm.lock import one_at_a_time_in

VERSION = 2  # of the file format; others are written again
COLUMNS = 3  # of the table: offset, height, width

Load = Callable[[int], np.ndarray | None]


class DecodedPhotos:
    """The pixels of the photos in a file."""

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
        self._has_warned = False
        _in_use.add(self)

    def __reduce__(self) -> tuple:
        """Map the file again in a spawned worker.

        If another run has deleted the file, the worker decodes the photos.
        """
        return _open, (self.path, len(self))

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, idx: int) -> np.ndarray | None:
        """Return a copy of a photo as BGR, or None.

        None stands for a photo that could not be decoded, or with a wrong
        checksum.
        """
        begin, height, width = self.table[idx].tolist()
        if not height:
            return None
        size = height * width * 3
        # Checked after copying, since another process may change the file.
        pixels = np.array(self.pixels[begin : begin + size])
        pixels = pixels.reshape(height, width, 3)
        if _checksum(idx, pixels) != self._sums[idx]:
            self._warn()
            return None
        return pixels

    def damaged(self) -> list[int]:
        """Return the indices of photos with a wrong checksum."""
        return [
            idx
            for idx in np.flatnonzero(self.table[:, 1]).tolist()
            if self[idx] is None
        ]

    def _warn(self) -> None:
        """Print a warning, once in each process."""
        if not self._has_warned:
            self._has_warned = True
            print(
                f'warning: {self.path} is damaged. Photos with a wrong '
                'checksum are decoded from their own files.\n'
                'Delete it to write it again',
                flush=True,
            )


def _checksum(idx: int, photo: np.ndarray) -> int:
    """Return the checksum of index, size and pixels."""
    start = zlib.crc32(f'{idx} {photo.shape}'.encode())
    return zlib.crc32(photo.data, start)


# A run that opens two files must not delete one for the other.
_in_use: WeakSet[DecodedPhotos] = WeakSet()


def require_side(side: object) -> int:
    """Return a valid shorter side in pixels, 0 for off."""
    if side in (None, 0):
        return 0
    if not isinstance(side, int) or isinstance(side, bool) or side < 0:
        raise UserError(
            'invalid decode_once of a dataset: expected a number of pixels '
            f'such as 320, or 0 for off, got {side!r}'
        )
    return side


def open_cache(
    folder: Path,
    split: str,
    photos: list[str],
    side: int,
    load: Load,
    how: str = '',
) -> DecodedPhotos | None:
    """Open the file of these photos, and write it first if necessary.

    Args:
        folder: The folder of the dataset.
        split: The name of the split.
        photos: The paths of the photos; a changed photo needs a new file.
        side: The shorter side to which larger photos are reduced.
        load: Decodes the photo of an index.
        how: How `load` decodes; another way needs a new file.

    Returns:
        None if the disk has too little space, or the file cannot hold these
        photos. They are then decoded in each epoch.
    """
    names, state = _key(folder, photos, how)
    # The split may have a longer path, which is in all names.
    prefix = f'{Path(split).name}-{side}-{names}-'
    path = folder / DatasetDir.DECODED / f'{prefix}{state}.photos'
    # Files are deleted there, and the dataset may come from a stranger.
    refuse_links_out(path.parent, folder, '--data')
    cache = _open(path, len(photos))
    if cache:
        return cache
    work = f'decoding {split}'
    try:
        with one_at_a_time_in(path.parent, work):
            cache = _open(path, len(photos))
            if not cache:
                sweep(path.parent)
                # Damaged ones, and those of photos that have changed.
                for old in path.parent.iterdir():
                    if old.name.startswith(prefix):
                        delete(old)
                _write(path, len(photos), side, load, work)
                cache = DecodedPhotos(path)
    except (OSError, CannotHoldError) as error:
        print(
            f'warning: photos are decoded in each epoch, since '
            f'{path.parent} cannot hold them: {error}.\n'
            f'To turn this off, set decode_once=0 in the dataset of {split}',
            flush=True,
        )
        return None
    return cache


def _open(path: Path, count: int) -> DecodedPhotos | None:
    """Return the photos of a valid file with this number of them."""
    with suppress(OSError, ValueError, IndexError):
        cache = DecodedPhotos(path)
        if len(cache) == count:
            touch(path)
            return cache
    return None


def _fits(table: np.ndarray, end: int) -> bool:
    """Return whether the photos are contiguous and fill the file."""
    if np.any(table < 0) or np.any(table > end):
        return False
    # Floats are exact up to 9 PB, and products of damaged rows stay positive.
    first, height, width = table.T.astype(float)
    sizes = height * width * 3
    ends = np.cumsum(sizes)
    last = ends[-1] if len(ends) else 0
    # Rows of photos that could not be decoded are all zeros.
    return np.array_equal(first, np.where(sizes > 0, ends - sizes, 0)) and (
        end - 8 < last <= end and np.array_equal(height > 0, width > 0)
    )


def _key(folder: Path, photos: list[str], how: str) -> tuple[str, str]:
    """Return digests of the names, and of the sizes and dates.

    Reading the contents would take as long as decoding.
    """
    names = hashlib.sha256(how.encode())
    state = hashlib.sha256(f'{VERSION}'.encode())
    root = str(folder.absolute())  # the dataset may be moved
    for photo in photos:
        name = f'\n{photo.removeprefix(root)}'
        names.update(name.encode(errors='surrogatepass'))
        line = '\n'
        with suppress(OSError):
            size, mtime, _ = photo_bytes.stat(photo)
            line += f'{size} {mtime}'
        state.update(line.encode())
    return names.hexdigest()[:16], state.hexdigest()[:16]


def _write(path: Path, count: int, side: int, load: Load, task: str) -> None:
    table = np.zeros((count, COLUMNS), np.int64)
    sums = np.zeros(count, np.int64)
    begin = 0

    def load_shrunk(idx: int) -> np.ndarray | None:
        photo = load(idx)
        return None if photo is None else shrink(photo, side)

    with replacing(path) as file:
        shrunk = _in_threads(load_shrunk, count)
        for idx, photo in enumerate(console.track(shrunk, count, task)):
            if photo is None:
                continue
            if photo.dtype != np.uint8 or photo.shape[2:] != (3,):
                raise CannotHoldError(
                    'expected photos of three colours with 8 bits'
                )
            photo = np.ascontiguousarray(photo)
            table[idx] = begin, *photo.shape[:2]
            sums[idx] = _checksum(idx, photo)
            file.write(photo.data)
            begin += photo.size
            if idx % 256 == 255 or idx == count - 1:
                # Assuming that the others have the same mean size.
                size = begin * count / (idx + 1)
                used = {photos.path for photos in _in_use}
                make_space(path.parent, begin, size, used)
        # Aligned, since the table is mapped as numbers of eight bytes.
        file.write(bytes(-begin % 8))
        begin += -begin % 8
        file.write(table.tobytes())
        file.write(sums.tobytes())
        file.write(np.int64(begin).tobytes())


def shrink(photo: np.ndarray, side: int) -> np.ndarray:
    """Reduce a photo whose shorter side is larger than `side`."""
    height, width = photo.shape[:2]
    scale = side / min(height, width)
    if scale >= 1:
        return photo
    size = max(side, round(width * scale)), max(side, round(height * scale))
    return cv2.resize(photo, size, interpolation=cv2.INTER_AREA)


def _in_threads(
    work: Callable[[int], np.ndarray | None], count: int
) -> Iterator[np.ndarray | None]:
    """Yield the results in order; decoding releases the GIL."""
    numbers = iter(range(count))
    with ThreadPoolExecutor() as pool:
        # A few at a time, since waiting photos take memory.
        waiting = deque(pool.submit(work, idx) for idx in islice(numbers, 64))
        while waiting:
            yield waiting.popleft().result()
            for idx in islice(numbers, 1):
                waiting.append(pool.submit(work, idx))
