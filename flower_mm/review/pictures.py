"""Photos of a dataset as JPEGs for a page."""

from functools import lru_cache
from io import BytesIO

from flower_mm.decoding import open_photo, read_bytes, refusing, to_plain

QUALITY = 85
SIDES = {'small': 240, 'large': 1200}  # pixels of the longer side


@lru_cache(maxsize=1000)
def picture(file: str, size: str) -> bytes:
    """Return an upright JPEG; raise BadPhotoError if it is unreadable."""
    side = SIDES[size]
    data = read_bytes(file)
    with refusing(data), open_photo(data) as image:
        # A JPEG is decoded at a fraction of its size.
        image.draft('RGB', (side, side))
        upright = to_plain(image).convert('RGB')
    upright.thumbnail((side, side))
    jpeg = BytesIO()
    upright.save(jpeg, 'JPEG', quality=QUALITY)
    return jpeg.getvalue()
