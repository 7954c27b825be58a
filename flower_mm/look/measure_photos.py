"""Size, brightness and sharpness of photos."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
from PIL import Image

from flower_mm import console
from flower_mm.decoding import (
    BadPhotoError,
    open_photo,
    orientation,
    refusing,
    require_usable_size,
    to_plain,
)
from flower_mm.photo_bytes import read_bytes
from flower_mm.prepare.scan_photos import thumbnail
from flower_mm.process_resources import cores

SIDE = 256  # pixels, for sharpness as a network sees it
READERS = 4  # threads; each may hold a photo of 600 MB
T = TypeVar('T')
R = TypeVar('R')


@dataclass(slots=True)
class Measures:
    """What is measured on a photo; `error` says why nothing is."""

    width: int = 0  # upright
    height: int = 0
    kind: str = ''  # format and mode, such as 'JPEG, grey'
    brightness: float = 0.0  # mean of the grey levels, 0 to 255
    # Variance of the Laplacian of the grey levels at 256 pixels.
    sharpness: float = 0.0
    sha256: bytes = b''
    thumb: bytes = b''  # of `scan_photos.thumbnail`
    error: str = ''


def measure_photos(files: list[str]) -> Iterator[Measures]:
    """Yield the measures of photos, in their order, and show the progress."""
    measured = in_threads(measure_photo, files)
    return console.track(measured, len(files), 'reading photos')


def in_threads(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Map in threads, a few items ahead: decoders release the lock."""
    items = iter(items)
    with ThreadPoolExecutor(min(READERS, cores())) as pool:
        ahead = [pool.submit(work, item) for item in islice(items, 16)]
        try:
            while ahead:
                yield ahead.pop(0).result()
                ahead += [pool.submit(work, item) for item in islice(items, 1)]
        finally:
            pool.shutdown(cancel_futures=True)


def measure_photo(file: str) -> Measures:
    """Measure one photo; a problem becomes its `error`."""
    try:
        data = read_bytes(file)
        with refusing(data), open_photo(data) as image:
            require_usable_size(image.size)
            width, height = image.size
            kind = f'{image.format}, {_mode(image)}'
            # Before loading, during which Pillow rotates TIFF.
            if orientation(image) >= 5:
                width, height = height, width
            plain = reduced(image, SIDE)
            thumb = thumbnail(plain.convert('RGB'))
            grey = np.asarray(plain.convert('L'), np.float32)
    except BadPhotoError as error:
        return Measures(error=str(error))
    except MemoryError:
        return Measures(error='not enough memory to decode it')
    return Measures(
        width,
        height,
        kind,
        float(grey.mean()),
        _sharpness(grey),
        hashlib.sha256(data).digest(),
        thumb,
    )


def reduced(image: Image.Image, side: int) -> Image.Image:
    """Return an opened photo upright, its longer side at most `side`."""
    # A JPEG is decoded at 1/2, 1/4 or 1/8 of its size.
    image.draft('RGB', (side, side))
    plain = to_plain(image)
    plain.thumbnail((side, side), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return plain


def _mode(image: Image.Image) -> str:
    if image.has_transparency_data:
        return 'with transparency'
    if image.mode.startswith('I'):
        return '16-bit grey'
    names = {'L': 'grey', '1': 'black and white', 'P': 'palette'}
    return names.get(
        image.mode, 'colour' if image.mode == 'RGB' else image.mode
    )


def _sharpness(grey: np.ndarray) -> float:
    inner = grey[1:-1, 1:-1]
    if not inner.size:
        return 0.0
    around = (
        grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    )
    return float((around - 4 * inner).var())
