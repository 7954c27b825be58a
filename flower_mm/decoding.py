"""From the bytes of a photo to upright pixels of 8 bits: one set of rules.

Training, validation, test, inference, export and tools/prepare_dataset.py
decode here, so that a photo has the same pixels everywhere. Ordinary JPEG is
decoded by OpenCV, for speed; everything else by Pillow.

`predict_onnx.py` carries a copy of this module to machines that have numpy and
Pillow only: OpenCV is imported where it is used, and flower_mm nowhere.
"""

import re
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

# Pillow warns about damaged EXIF and large photos; neither matters.

MIN_SIDE = 32  # pixels; a 224 px network sees nothing in less
MAX_PIXELS = 200_000_000  # decoded, 600 MB
MAX_BYTES = 512 * 1024**2
# Long side by short side. The short one is brought to 256 pixels or so, and
# the long one with it: of 32 x 1,000,000 pixels that would make 6 GB.
MAX_RATIO = 200
# A JPEG may go through its pixels in several scans; cameras make one, programs
# ten. A scan of 300 bytes takes 0.1 s, and a megabyte holds 3000 of them.
MAX_SCANS = 100
# PostScript and the like would start other programs: name what is allowed.
# (MPO, two JPEGs in one file, is opened as JPEG.)
FORMATS = (
    'JPEG', 'PNG', 'BMP', 'DIB', 'WEBP', 'TIFF', 'GIF', 'AVIF',
    'JPEG2000', 'PPM',
)  # fmt: skip
# As people spell those that they do not spell as Pillow does.
SPELLED = {'WEBP': 'WebP', 'JPEG2000': 'JPEG 2000'}
ORIENTATION = 0x0112  # EXIF
BITS_PER_SAMPLE, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0  # TIFF
# Where a part of a JPEG begins; within a scan there are stuffed zeros only.
_MARKER = re.compile(rb'\xff[^\x00\xff\xd0-\xd7]')
# What brings a photo upright that has this orientation.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# The same for OpenCV: transposed from 5 on, then flipped by this code.
_FLIPS = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}
Image.init()  # else only the five most common formats are known
Image.MAX_IMAGE_PIXELS = MAX_PIXELS


class BadPhotoError(Exception):
    """Why a photo cannot be used."""


def read_bytes(file: str) -> bytes:
    """Read a photo file; refuse what is not one file of a sane size."""
    try:
        info = Path(file).stat()
        if stat.S_ISDIR(info.st_mode):
            raise BadPhotoError('a folder')
        if not stat.S_ISREG(info.st_mode):
            # Reading a pipe would wait for ever.
            raise BadPhotoError('not a file but a pipe or a device')
        if info.st_size > MAX_BYTES:
            raise BadPhotoError(f'larger than {MAX_BYTES // 1024**2} MB')
        data = Path(file).read_bytes()
    except OSError as error:
        raise BadPhotoError(f'cannot be opened ({error.strerror})') from error
    except ValueError as error:  # a name that no file can have
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
    """Decode a photo as training and inference see it.

    Args:
        data: The bytes of its file.
        color_type: As of MMCV's LoadImageFromFile. `unchanged` and
            `..._ignore_orientation` leave a JPEG as it is stored; all other
            formats are brought upright in any case.
        backend: 'pillow' decodes ordinary JPEG by Pillow, too.
        formats: Pillow's names of those that are accepted.

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
    """The pixels of `decode` in the order red, green, blue, by Pillow alone.

    Ordinary JPEG has the same pixels where OpenCV and Pillow are built on
    the same JPEG library.
    """
    with refusing(data, formats), open_photo(data, formats) as image:
        return np.asarray(to_plain(image).convert('RGB'))


def read_rgb(file: str) -> np.ndarray:
    """The pixels of a photo file to classify, as of `decode_rgb`."""
    data = read_bytes(file)
    with refusing(data), open_photo(data) as image:
        require_usable_size(image.size)
    return decode_rgb(data)


@contextmanager
def refusing(
    data: bytes, formats: Collection[str] = FORMATS
) -> Iterator[None]:
    """Say in a BadPhotoError what a decoder raises on these bytes."""
    try:
        yield
    except (BadPhotoError, MemoryError):
        raise
    except Exception as error:
        raise BadPhotoError(what_broke(error, data, formats)) from error


def open_photo(data: bytes, formats: Collection[str] = FORMATS) -> Image.Image:
    """Open a photo without decoding it; refuse what has no agreed pixels."""
    image = Image.open(BytesIO(data), formats=tuple(formats))
    require_decodable(image, data)
    if image.format == 'PNG':
        check_sums(data)
    return image


def require_decodable(image: Image.Image, data: bytes = b'') -> None:
    """Refuse what takes too long to decode or has no agreed pixels."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise BadPhotoError(f'more than {MAX_PIXELS // 10**6} million pixels')
    if image.format in ('JPEG', 'MPO') and _scans(data) > MAX_SCANS:
        raise BadPhotoError(f'made to take time: over {MAX_SCANS} scans')
    if image.mode == 'F' or (image.mode == 'I' and image.format != 'PPM'):
        raise BadPhotoError('32-bit brightness, which has no agreed white')
    if image.mode in ('LAB', 'HSV'):
        raise BadPhotoError(
            f'colours in {image.mode}, which training cannot read'
        )


def require_large_enough(size: tuple[int, int]) -> None:
    width, height = size
    if min(size) < MIN_SIDE:
        raise BadPhotoError(
            f'far too small ({width} x {height}, at least {MIN_SIDE})'
        )


def require_usable_size(size: tuple[int, int]) -> None:
    """Refuse a width and height that inference cannot use."""
    require_large_enough(size)
    width, height = size
    if max(size) > MAX_RATIO * min(size):
        raise BadPhotoError(f'far too long and narrow ({width} x {height})')


def require_whole(image: Image.Image) -> None:
    """Refuse a damaged JPEG, which OpenCV fills up with grey.

    It is decoded at a fraction of its size, which takes little time.
    """
    if is_ordinary_jpeg(image):
        image.draft('RGB', (256, 256))
        image.load()


def check_sums(png: bytes) -> None:
    """Refuse a PNG with a wrong check sum; Pillow decodes it all the same."""
    with Image.open(BytesIO(png), formats=('PNG',)) as image:
        image.verify()


def _scans(jpeg: bytes) -> int:
    """How many scans its first image has, where there may be too many."""
    count = jpeg.count(b'\xff\xda')
    if count <= MAX_SCANS:
        return count
    # Previews, and the film behind a photo that moves, have these bytes too.
    count, at = 0, 2
    while (marker := _MARKER.search(jpeg, at)) and marker[0] != b'\xff\xd9':
        count += marker[0] == b'\xff\xda'
        at = marker.end()
        at += int.from_bytes(jpeg[at : at + 2], 'big')
    return count


def what_broke(
    error: Exception, data: bytes, formats: Collection[str] = FORMATS
) -> str:
    """In words, what a decoder raised on a photo."""
    if isinstance(error, Image.DecompressionBombError):
        return f'more than {MAX_PIXELS // 10**6} million pixels'
    if isinstance(error, Image.UnidentifiedImageError):
        if data[4:12] in (b'ftypheic', b'ftypheix', b'ftypmif1'):
            return 'HEIC, which Pillow cannot read; export JPEG'
        return _refused_format(data, formats) or 'not a photo by its content'
    # Decoders raise almost anything on damaged bytes: OSError,
    # SyntaxError, struct.error, ValueError, IndexError...
    if 'truncated' in str(error).lower() or 'end of file' in str(error):
        return 'truncated: its end is missing'
    return f'damaged ({str(error) or type(error).__name__})'


def _refused_format(data: bytes, formats: Collection[str]) -> str:
    """Name a format that is not accepted; '' where it is none of Pillow's.

    By the first bytes alone: no decoder of such a format is started.
    """
    if len(data) < 16:
        return ''
    names = [
        name
        for name, (_, accepts) in Image.OPEN.items()
        # It returns a text where Pillow was built without this format.
        if accepts and accepts(data[:16]) is True
    ]
    if not names or set(names) & set(formats):
        return ''
    *others, last = (SPELLED.get(name, name) for name in formats)
    return (
        f'{SPELLED.get(names[0], names[0])} is not accepted: expected '
        f'{", ".join(others)} or {last}'
    )


def orientation(image: Image.Image) -> int:
    """The EXIF orientation; 1, upright, when it is missing or broken.

    Ask it after loading: Pillow turns TIFF itself, and then says 1.
    """
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:
        return 1
    return value if value in range(2, 9) else 1


def is_ordinary_jpeg(image: Image.Image) -> bool:
    """Whether every OpenCV decodes it as Pillow does."""
    return image.format in ('JPEG', 'MPO') and image.mode in ('L', 'RGB')


def _decode_jpeg(data: bytes, color_type: str, turn: int) -> np.ndarray | None:
    """None where OpenCV cannot; Pillow then says what is wrong."""
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
    # Turned here: OpenCV does not see an orientation in XMP, Pillow does.
    if turn >= 5:
        pixels = cv2.transpose(pixels)
    return cv2.flip(pixels, _FLIPS[turn]) if turn in _FLIPS else pixels


def to_array(plain: Image.Image, color_type: str = 'color') -> np.ndarray:
    """Lay out as OpenCV does what comes from `to_plain`."""
    import cv2

    pixels = np.asarray(plain.convert('RGB'))
    if color_type.startswith('grayscale'):
        return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)


def to_plain(image: Image.Image) -> Image.Image:
    """The first frame upright, 8 bit, on white where it is transparent."""
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
    """Grey of 12 or 16 bits, which Pillow would clip instead of scale."""
    deep = np.asarray(image)
    tags = image.tag_v2 if image.format == 'TIFF' else {}
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
    """Whether a pixel is; an alpha channel may be opaque everywhere."""
    if not image.has_transparency_data:
        return False
    if image.mode.startswith('I'):
        return bool((np.asarray(image) == image.info['transparency']).any())
    return _to_rgba(image).getchannel('A').getextrema()[0] < 255


def _to_rgba(image: Image.Image) -> Image.Image:
    if image.mode in ('La', 'RGBa'):  # premultiplied
        image = image.convert(image.mode[:-1] + 'A')
    hidden = image.info.get('transparency')
    if isinstance(hidden, tuple) and max(hidden) > 255:
        # Of a PNG with 16 bits, of which Pillow has decoded the upper 8.
        image.info['transparency'] = tuple(value >> 8 for value in hidden)
    return image.convert('RGBA')
