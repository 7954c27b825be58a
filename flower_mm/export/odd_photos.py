"""Photos in memory that programs decode differently, for the export check."""

from collections.abc import Iterator
from io import BytesIO

import numpy as np
from PIL import Image

from flower_mm.decoding import ORIENTATION

SIDES = (300, 260)


def odd_photos() -> Iterator[tuple[str, bytes]]:
    """Yield what each is and the bytes of its file."""
    turned = Image.Exif()
    turned[ORIENTATION] = 6
    ramp = Image.linear_gradient('L').resize(SIDES)
    disc = Image.radial_gradient('L').resize(SIDES)
    colour = Image.merge('RGB', (ramp, disc, ramp.transpose(_MIRROR)))
    glass = Image.merge('RGBA', (*colour.split(), disc))
    deep = Image.fromarray(np.asarray(ramp).astype(np.uint16) * 257)
    yield 'a turned JPEG', _encoded(colour, 'JPEG', exif=turned)
    yield 'a CMYK JPEG', _encoded(colour.convert('CMYK'), 'JPEG')
    yield 'a grey JPEG', _encoded(ramp, 'JPEG')
    yield 'a turned PNG', _encoded(colour, 'PNG', exif=turned)
    yield 'a turned TIFF', _encoded(colour, 'TIFF', exif=turned)
    yield 'a transparent PNG', _encoded(glass, 'PNG')
    yield 'a transparent TIFF', _encoded(glass, 'TIFF')
    yield 'a transparent grey PNG', _encoded(glass.convert('LA'), 'PNG')
    palette = colour.quantize(16)
    yield 'a palette with a hole', _encoded(palette, 'PNG', transparency=3)
    yield 'a PNG of 16-bit grey', _encoded(deep, 'PNG')
    yield 'a TIFF of 16-bit grey', _encoded(deep, 'TIFF')
    frames = {'save_all': True, 'append_images': [colour.transpose(_MIRROR)]}
    yield 'an animated GIF', _encoded(palette, 'GIF', **frames)


_MIRROR = Image.Transpose.FLIP_LEFT_RIGHT


def _encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
