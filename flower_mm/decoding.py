"""Decode the bytes of a photo to upright pixels of 8 bits.

Preparation, training, validation, test, inference and export decode here, so
that a photo has the same pixels everywhere. Ordinary JPEG is decoded by
OpenCV, which is faster, and everything else by Pillow.

`predict_onnx.py` contains a copy of this module for machines with numpy and
Pillow only: it imports OpenCV where it is used, and nothing of flower_mm.
"""

import re
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

MIN_SIDE = 32  # pixels, too few for a network of 224 px
MAX_PIXELS = 200_000_000  # decoded, 600 MB
MAX_BYTES = 512 * 1024**2
# Long side divided by short side. Resizing the short side to 256 pixels makes
# 6 GB of 32 x 1,000,000 pixels.
MAX_RATIO = 200
# A JPEG can have several scans over all pixels: cameras write one, programs
# ten. A scan of 300 bytes takes 0.1 s, and a megabyte has 3000 of them.
MAX_SCANS = 100
# An allow-list, since formats such as PostScript start other programs. MPO,
# two JPEGs in one file, is opened as JPEG.
PILLOW_FORMATS = (
    'JPEG', 'PNG', 'BMP', 'DIB', 'WEBP', 'TIFF', 'GIF', 'AVIF',
    'JPEG2000', 'PPM',
)  # fmt: skip
HEIF = 'HEIF'  # opened by pi-heif, which Pillow does not know of
FORMATS = (*PILLOW_FORMATS, HEIF)
# Common spellings that differ from those of Pillow.
SPELLED = {'WEBP': 'WebP', 'JPEG2000': 'JPEG 2000', HEIF: 'HEIC'}
HEIF_BRANDS = frozenset((
    b'heic', b'heix', b'heim', b'heis', b'hevc', b'hevx', b'hevm', b'hevs',
    b'mif1', b'msf1',
))  # fmt: skip
NO_HEIF = 'HEIC needs the package pi-heif: pip install pi-heif'
ORIENTATION = 0x0112  # EXIF
BITS_PER_SAMPLE, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0  # TIFF
# The start of a segment of a JPEG; in a scan, 0xff is followed by zero.
_MARKER = re.compile(rb'\xff[^\x00\xff\xd0-\xd7]')
# The transposition that rotates a photo of this orientation upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# The same for OpenCV: transpose from 5 on, then flip by this code.
_FLIPS = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}
Image.init()  # loads all formats, not only the five most common
Image.MAX_IMAGE_PIXELS = MAX_PIXELS


class BadPhotoError(Exception):
    """The reason why a photo cannot be decoded."""


def read_bytes(file: str) -> bytes:
    """Read a photo file; refuse folders, devices and huge files."""
    try:
        info = Path(file).stat()
        if stat.S_ISDIR(info.st_mode):
            raise BadPhotoError('a folder')
        if not stat.S_ISREG(info.st_mode):
            # Reading a pipe would block.
            raise BadPhotoError('a pipe or a device')
        if info.st_size > MAX_BYTES:
            raise BadPhotoError(f'larger than {MAX_BYTES // 1024**2} MB')
        data = Path(file).read_bytes()
    except OSError as error:
        raise BadPhotoError(f'cannot be opened ({error.strerror})') from error
    except ValueError as error:  # an invalid file name
        raise BadPhotoError(f'cannot be opened ({error})') from error
    if not data:
        raise BadPhotoError('empty file')
    return data


def decode(
    data: bytes,
    color_type: str = 'color',
    backend: str = 'cv2',
    formats: Collection[str] = FORMATS,
) -> np.ndarray:
    """Decode a photo as in training and inference.

    Args:
        data: The bytes of the file.
        color_type: As for MMCV's LoadImageFromFile. `unchanged` and
            `..._ignore_orientation` leave a JPEG as it is stored; all other
            formats are rotated upright.
        backend: 'pillow' decodes ordinary JPEG with Pillow, too.
        formats: Pillow's names of the accepted formats.

    Returns:
        uint8, (height, width, 3) in the order blue, green, red; (height,
        width) for a `color_type` that begins with `grayscale`.
    """
    with refusing(data, formats), open_photo(data, formats) as image:
        pixels = None
        if backend != 'pillow' and is_ordinary_jpeg(image):
            pixels = _decode_jpeg(data, color_type, orientation(image))
        if pixels is None:
            pixels = to_array(to_plain(image), color_type)
        return pixels


def decode_rgb(data: bytes, formats: Collection[str] = FORMATS) -> np.ndarray:
    """Return the pixels in the order red, green, blue, by Pillow alone.

    Ordinary JPEG has the pixels of `decode` if OpenCV and Pillow use the same
    JPEG library.
    """
    with refusing(data, formats), open_photo(data, formats) as image:
        return np.asarray(to_plain(image).convert('RGB'))


def read_rgb(file: str) -> np.ndarray:
    """Read a photo file with `decode_rgb`; refuse unusable sizes."""
    data = read_bytes(file)
    with refusing(data), open_photo(data) as image:
        require_usable_size(image.size)
    return decode_rgb(data)


@contextmanager
def refusing(
    data: bytes, formats: Collection[str] = FORMATS
) -> Iterator[None]:
    """Turn the exceptions of decoders into a BadPhotoError."""
    try:
        yield
    except (BadPhotoError, MemoryError):
        raise
    except Exception as error:
        raise BadPhotoError(error_text(error, data, formats)) from error


def open_photo(data: bytes, formats: Collection[str] = FORMATS) -> Image.Image:
    """Open a photo without decoding it; refuse ambiguous formats."""
    own = tuple(name for name in formats if name != HEIF)
    image: Image.Image
    try:
        image = Image.open(BytesIO(data), formats=own)
    except Image.UnidentifiedImageError:
        if HEIF not in formats or not is_heif(data):
            raise
        image = _open_heif(data)
    require_decodable(image, data)
    if image.format == 'PNG':
        require_checksums(data)
    return image


def is_heif(data: bytes) -> bool:
    """Return whether the file starts like HEIF, or AVIF in this container."""
    return data[4:8] == b'ftyp' and data[8:12] in HEIF_BRANDS


def _open_heif(data: bytes) -> Image.Image:
    """Open without registering the format, which would change Pillow."""
    try:
        from pi_heif import HeifImageFile
    except ImportError as error:
        raise BadPhotoError(NO_HEIF) from error
    _require_texts(data)
    return HeifImageFile(BytesIO(data))


def _require_texts(heif: bytes) -> None:
    """Refuse texts that are not UTF-8, which crash pi-heif 1.4."""
    start = 0
    while start + 8 <= len(heif):
        size = int.from_bytes(heif[start : start + 4], 'big') or len(heif)
        if size == 1:
            size = int.from_bytes(heif[start + 8 : start + 16], 'big')
        if heif[start + 4 : start + 8] == b'meta':
            # Each entry about an item: its size is before its name.
            box = heif[start : start + size]
            for entry in re.finditer(b'(?s)(....)infe(.)', box):
                end = entry.start() + int.from_bytes(entry[1], 'big')
                if end < entry.end():
                    raise BadPhotoError('damaged (invalid item)')
                # 32-bit numbers of items since version 3.
                texts = entry.end() + (9 if entry[2] > b'\2' else 7)
                box[texts:end].decode()
        start += max(size, 8)


def require_decodable(image: Image.Image, data: bytes = b'') -> None:
    """Refuse photos that decode too slowly or ambiguously."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise BadPhotoError(f'more than {MAX_PIXELS // 10**6} million pixels')
    if image.format in ('JPEG', 'MPO') and _scans(data) > MAX_SCANS:
        raise BadPhotoError(f'more than {MAX_SCANS} scans')
    if image.mode == 'F' or (image.mode == 'I' and image.format != 'PPM'):
        raise BadPhotoError('32-bit grey, whose white is undefined')
    if image.mode in ('LAB', 'HSV'):
        raise BadPhotoError(f'unsupported colour space {image.mode}')


def require_large_enough(size: tuple[int, int]) -> None:
    width, height = size
    if min(size) < MIN_SIDE:
        raise BadPhotoError(
            f'too small: expected at least {MIN_SIDE} pixels, got '
            f'{width} x {height}'
        )


def require_usable_size(size: tuple[int, int]) -> None:
    """Refuse a width and height that inference cannot use."""
    require_large_enough(size)
    width, height = size
    if max(size) > MAX_RATIO * min(size):
        raise BadPhotoError(f'too narrow: {width} x {height} pixels')


def require_whole(image: Image.Image) -> None:
    """Refuse a truncated JPEG, which OpenCV fills with grey.

    Decoding it at a fraction of its size is quick.
    """
    if is_ordinary_jpeg(image):
        image.draft('RGB', (256, 256))
        image.load()


def require_checksums(png: bytes) -> None:
    """Refuse a PNG with a wrong checksum, which Pillow ignores."""
    with Image.open(BytesIO(png), formats=('PNG',)) as image:
        image.verify()


def _scans(jpeg: bytes) -> int:
    """Count the scans of the first image if there may be too many."""
    count = jpeg.count(b'\xff\xda')
    if count <= MAX_SCANS:
        return count
    # Previews, and the video of a motion photo, contain these bytes as well.
    count, at = 0, 2
    while (marker := _MARKER.search(jpeg, at)) and marker[0] != b'\xff\xd9':
        count += marker[0] == b'\xff\xda'
        at = marker.end()
        at += int.from_bytes(jpeg[at : at + 2], 'big')
    return count


def error_text(
    error: Exception, data: bytes, formats: Collection[str] = FORMATS
) -> str:
    """Return the text for an exception of a decoder."""
    if isinstance(error, Image.DecompressionBombError):
        return f'more than {MAX_PIXELS // 10**6} million pixels'
    if isinstance(error, Image.UnidentifiedImageError):
        return _refused_format(data, formats) or 'not a photo by its content'
    # Decoders raise OSError, SyntaxError, struct.error, ValueError,
    # IndexError and others on damaged bytes.
    if 'truncated' in str(error).lower() or 'end of file' in str(error):
        return 'truncated: its end is missing'
    text = ' '.join(str(error).split())  # on one line
    return f'damaged ({text or type(error).__name__})'


def _refused_format(data: bytes, formats: Collection[str]) -> str:
    """Return the text for an excluded format of Pillow, or ''.

    The first bytes decide, so that its decoder is not started.
    """
    if len(data) < 16:
        return ''
    names = [
        name
        for name, (_, accepts) in Image.OPEN.items()
        # It returns a text if Pillow was built without this format.
        if accepts and accepts(data[:16]) is True
    ]
    if is_heif(data):
        names = [HEIF]
    if not names or set(names) & set(formats):
        return ''
    *others, last = (SPELLED.get(name, name) for name in formats)
    return (
        f'{SPELLED.get(names[0], names[0])} is not accepted: expected '
        f'{", ".join(others)} or {last}'
    )


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 (upright) if missing or invalid.

    Pillow rotates TIFF while loading, after which it is 1.
    """
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:
        return 1
    return value if value in range(2, 9) else 1


def is_ordinary_jpeg(image: Image.Image) -> bool:
    """Return whether all versions of OpenCV decode it like Pillow."""
    return image.format in ('JPEG', 'MPO') and image.mode in ('L', 'RGB')


def _decode_jpeg(data: bytes, color_type: str, turn: int) -> np.ndarray | None:
    """Decode with OpenCV; None if it fails, for Pillow to report why."""
    import cv2

    flag = cv2.IMREAD_COLOR
    if color_type.startswith('grayscale'):
        flag = cv2.IMREAD_GRAYSCALE
    pixels = None
    with suppress(cv2.error):
        pixels = cv2.imdecode(
            np.frombuffer(data, np.uint8), flag | cv2.IMREAD_IGNORE_ORIENTATION
        )
    if pixels is None or color_type not in ('color', 'grayscale'):
        return pixels
    # Rotated here, since OpenCV ignores an orientation in XMP.
    if turn >= 5:
        pixels = cv2.transpose(pixels)
    return cv2.flip(pixels, _FLIPS[turn]) if turn in _FLIPS else pixels


def to_array(plain: Image.Image, color_type: str = 'color') -> np.ndarray:
    """Convert the result of `to_plain` to the layout of OpenCV."""
    import cv2

    pixels = np.asarray(plain.convert('RGB'))
    if color_type.startswith('grayscale'):
        return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)


def to_plain(image: Image.Image) -> Image.Image:
    """Return the first frame upright, with 8 bits, on white."""
    image.load()
    turn = orientation(image)
    if image.mode.startswith('I'):
        image = _to_8_bit(image)
    elif image.has_transparency_data:
        image = _on_white(image)
    if image.mode != 'L':
        image = image.convert('RGB')
    return image.transpose(_TURNS[turn]) if turn in _TURNS else image


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Scale grey of 12 or 16 bits, which Pillow would clip."""
    deep = np.asarray(image)
    tags = getattr(image, 'tag_v2', {})  # of a TIFF
    bits = 12 if tags.get(BITS_PER_SAMPLE) == (12,) else 16
    grey = (deep >> (bits - 8)).astype(np.uint8)
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        grey = ~grey
    hidden = image.info.get('transparency')
    if isinstance(hidden, int):
        grey[deep == hidden] = 255
    return Image.fromarray(grey)


def _on_white(image: Image.Image) -> Image.Image:
    image = _to_rgba(image)
    white = Image.new('RGBA', image.size, 'white')
    return Image.alpha_composite(white, image)


def is_transparent(image: Image.Image) -> bool:
    """Return whether any pixel is; an alpha channel can be opaque."""
    if not image.has_transparency_data:
        return False
    if image.mode.startswith('I'):
        return bool((np.asarray(image) == image.info['transparency']).any())
    # One band: two numbers. Pillow's stubs allow a pair for each of several.
    lowest: Any = _to_rgba(image).getchannel('A').getextrema()[0]
    return lowest < 255


def _to_rgba(image: Image.Image) -> Image.Image:
    if image.mode in ('La', 'RGBa'):  # premultiplied
        image = image.convert(image.mode[:-1] + 'A')
    hidden = image.info.get('transparency')
    if isinstance(hidden, tuple) and max(hidden) > 255:
        # A PNG with 16 bits, of which Pillow has decoded the upper 8.
        image.info['transparency'] = tuple(value >> 8 for value in hidden)
    return image.convert('RGBA')
