"""Thumbnails with a limit of their bytes, so that a page stays small."""

import io
from collections.abc import Iterator
from typing import NamedTuple

from PIL import Image

from flower_mm.decoding import BadPhotoError, open_photo, refusing
from flower_mm.look.measure_photos import in_threads, reduced
from flower_mm.photo_bytes import read_bytes

QUALITIES = (82, 70, 55, 40, 25, 10)


class Size(NamedTuple):
    """Of a thumbnail."""

    side: int  # pixels of the longer side
    most_bytes: int


def thumbnails(files: list[str], size: Size) -> Iterator[bytes | None]:
    """Yield JPEGs, None for a photo that cannot be read."""
    return in_threads(lambda file: thumbnail_of(file, size), files)


def thumbnail_of(file: str, size: Size) -> bytes | None:
    try:
        data = read_bytes(file)
        with refusing(data), open_photo(data) as image:
            return encode(reduced(image, size.side), size.most_bytes)
    except (BadPhotoError, MemoryError):
        return None


def encode(image: Image.Image, most_bytes: int) -> bytes:
    """Return the best JPEG that is not larger, or the smallest possible."""
    content = b''
    for quality in QUALITIES:
        file = io.BytesIO()
        image.save(file, 'JPEG', quality=quality, optimize=True)
        content = file.getvalue()
        if len(content) <= most_bytes:
            break
    return content
