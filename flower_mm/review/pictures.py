"""Photos of a dataset as JPEGs for a page."""

from functools import lru_cache
from io import BytesIO

from flower_mm.decoding import BadPhotoError, open_photo, refusing, to_plain
from flower_mm.photo_bytes import read_bytes, stat

QUALITY = 85
SIDES = {'small': 240, 'large': 1200}  # pixels of the longer side
KEPT = 4000  # small pictures of about 10 kB


def picture(file: str, size: str) -> bytes:
    """Return an upright JPEG; raise BadPhotoError if it is unreadable."""
    if size != 'small':
        return _encoded(file, SIDES[size])
    try:
        changed = stat(file).mtime_ns
    except OSError as error:
        raise BadPhotoError(str(error.strerror)) from error
    return _small(file, changed)


@lru_cache(KEPT)
def _small(file: str, changed: int) -> bytes:
    """Keep a picture until its file changes."""
    return _encoded(file, SIDES['small'])


def _encoded(file: str, side: int) -> bytes:
    data = read_bytes(file)
    with refusing(data), open_photo(data) as image:
        # A JPEG is decoded at a fraction of its size.
        image.draft('RGB', (side, side))
        upright = to_plain(image).convert('RGB')
    upright.thumbnail((side, side))
    jpeg = BytesIO()
    upright.save(jpeg, 'JPEG', quality=QUALITY)
    return jpeg.getvalue()
