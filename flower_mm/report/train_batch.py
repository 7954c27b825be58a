"""train_batch.jpg: the first training photos after augmentation."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from flower_mm.files import write_whole
from flower_mm.layout import RunDir

COLUMNS, ROWS, SIDE = 8, 2, 112
PHOTOS = COLUMNS * ROWS
MAX_BYTES = 2_000_000


def write_train_batch(photos: list[np.ndarray], out: Path) -> None:
    """Write the first photos side by side, as `draw_sheet`."""
    write_whole(out, draw_sheet(photos))


def draw_sheet(photos: list[np.ndarray]) -> bytes:
    """Return a JPEG of the first photos side by side.

    Args:
        photos: (height, width, 3) in RGB, uint8 or normalised.
    """
    photos = photos[:PHOTOS]
    rows = -(-len(photos) // COLUMNS)
    columns = min(len(photos), COLUMNS)
    sheet = Image.new('RGB', (columns * SIDE, rows * SIDE), 'white')
    for number, photo in enumerate(photos):
        row, column = divmod(number, COLUMNS)
        image = Image.fromarray(as_uint8(photo))
        image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        sheet.paste(image, (column * SIDE, row * SIDE))
    content = io.BytesIO()
    sheet.save(content, 'JPEG', quality=85)
    return content.getvalue()


def as_uint8(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    low, high = float(pixels.min()), float(pixels.max())
    scaled = (pixels - low) / max(high - low, 1e-6)
    return np.ascontiguousarray((255 * scaled).astype(np.uint8))


def read_train_batch(folder: Path) -> bytes | None:
    """The picture, encoded again: the file may come from a stranger."""
    path = folder / RunDir.TRAIN_BATCH
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            return None
        with Image.open(path, formats=['JPEG']) as image:
            if image.width > COLUMNS * SIDE or image.height > ROWS * SIDE:
                return None
            content = io.BytesIO()
            image.convert('RGB').save(content, 'JPEG', quality=85)
    except (OSError, ValueError, SyntaxError):
        return None
    return content.getvalue()
