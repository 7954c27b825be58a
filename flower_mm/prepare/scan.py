"""Read every photo once: its sha256, whether it can be used, how it looks."""

import hashlib
import multiprocessing
import os
import re
import signal
import stat
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from io import BytesIO
from itertools import islice
from multiprocessing.connection import wait
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from flower_mm import console
from flower_mm.cores import cores
from flower_mm.errors import UserError
from flower_mm.prepare.find import Photo

MIN_SIDE = 32  # pixels; a 224 px network has nothing to see in less
MAX_PIXELS = 200_000_000  # decoded, 600 MB
MAX_BYTES = 512 * 1024**2
# A JPEG may go through its pixels in several scans; cameras make one, programs
# ten. A scan of 300 bytes takes 0.1 s, and in a megabyte there are 3000.
MAX_SCANS = 100

CHUNK = 32  # photos that a process gets at a time
# A process takes about half a second to start: not worth it for fewer.
PHOTOS_PER_PROCESS = 400

# PostScript and the like would start other programs: name what is allowed.
# (MPO, two JPEGs in one file, is opened as JPEG.)
FORMATS = (
    'JPEG', 'PNG', 'BMP', 'DIB', 'WEBP', 'TIFF', 'GIF', 'AVIF',
    'JPEG2000', 'PPM',
)  # fmt: skip
# What OpenCV reads depends on its version and build for all others.
PLAIN_FORMATS = frozenset(('JPEG', 'MPO', 'PNG', 'BMP', 'WEBP', 'TIFF'))
ORIENTATION = 0x0112
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
Image.init()  # else only the five most common formats are known
Image.MAX_IMAGE_PIXELS = MAX_PIXELS

# Rows of the cosine transform that give the perceptual hash.
_SIZE, _ROWS = 32, 11
_COSINES = np.cos(
    np.pi * np.outer(np.arange(_ROWS), 2 * np.arange(_SIZE) + 1) / (2 * _SIZE)
)
# The 64 lowest frequencies in the order of their wave number, less the mean.
_LOWEST = sorted(
    ((i, j) for i in range(_ROWS) for j in range(_ROWS)),
    key=lambda ij: (sum(ij), ij),
)[1:65]
_PICK = tuple(np.array(_LOWEST).T)


class Look(NamedTuple):
    """What reading a photo tells; the fields are those of `Photo`."""

    sha256: bytes = b''
    size: int = 0
    bits: int = 0
    thumb: bytes = b''
    bad: str = ''
    note: str = ''
    fix: str = ''


def scan(photos: list[Photo], what: str = 'reading photos') -> None:
    """Fill in what `look` says about each photo, on all cores."""
    for photo, seen in zip(
        console.track(photos, len(photos), what),
        _looks([photo.file for photo in photos]),
        strict=True,
    ):
        for field, value in zip(seen._fields, seen, strict=True):
            setattr(photo, field, value)


def _looks(files: list[str]) -> Iterator[Look]:
    processes = min(cores(), len(files) // PHOTOS_PER_PROCESS)
    if processes < 2:
        yield from map(look, files)
        return
    # spawn on every system: forking a process that has threads may hang.
    pool = ProcessPoolExecutor(
        processes,
        multiprocessing.get_context('spawn'),
        initializer=_end_with_parent,
    )
    chunks = (files[i : i + CHUNK] for i in range(0, len(files), CHUNK))
    # Few chunks under way: what waits for its turn takes no memory.
    waiting = [
        pool.submit(_look_at_all, c) for c in islice(chunks, 4 * processes)
    ]
    try:
        while waiting:
            yield from waiting.pop(0).result()
            for chunk in islice(chunks, 1):
                waiting.append(pool.submit(_look_at_all, chunk))
    except BrokenProcessPool as error:
        raise UserError(
            'a process that reads photos was killed, most often because the '
            'memory ran out.\nClose other programs and run this again.'
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Let Ctrl-C to the parent, and die with it, even when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _look_at_all(files: list[str]) -> list[Look]:
    return [look(file) for file in files]


class BadPhotoError(Exception):
    """Why a photo cannot be used."""


def read_bytes(file: str) -> bytes:
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
    if not data:
        raise BadPhotoError('empty file')
    return data


def look(file: str) -> Look:
    """Read one photo; whatever is wrong with it becomes `bad`."""
    try:
        data = read_bytes(file)
    except BadPhotoError as error:
        return Look(bad=str(error))
    sha256 = hashlib.sha256(data).digest()
    with warnings.catch_warnings():
        # Pillow warns about damaged EXIF and large photos; neither matters.
        warnings.simplefilter('ignore')
        bad, note, fix, bits, thumb = _decode(data)
    return Look(sha256, len(data), bits, thumb, bad, note, fix)


def _decode(data: bytes) -> tuple[str, str, str, int, bytes]:
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            bad = unusable(image, data)
            if bad:
                return bad, '', '', 0, b''
            turned = orientation(image) != 1
            fix = why_rewrite(image, turned)
            note = _note(image, data, turned)
            # A JPEG can be decoded at 1/2, 1/4 or 1/8 of its size; the whole
            # file is read all the same, so a missing end shows.
            image.draft('RGB', (256, 256))
            grey = plain(image).convert('L')
            if image.format == 'PNG':
                check_sums(data)
    except Exception as error:
        return what_broke(error, data), *_NOTHING
    return '', note, fix, *fingerprint(grey)


_NOTHING = '', '', 0, b''


def what_broke(error: Exception, data: bytes) -> str:
    """In words, what Pillow raised while it opened or decoded a photo."""
    if isinstance(error, Image.DecompressionBombError):
        return f'more than {MAX_PIXELS // 10**6} million pixels'
    if isinstance(error, Image.UnidentifiedImageError):
        if data[4:12] in (b'ftypheic', b'ftypheix', b'ftypmif1'):
            return 'HEIC, which Pillow cannot read; export JPEG'
        return 'not a photo by its content'
    # Decoders raise almost anything on damaged bytes: OSError,
    # SyntaxError, struct.error, ValueError, IndexError...
    if 'truncated' in str(error).lower() or 'end of file' in str(error):
        return 'truncated: its end is missing'
    return f'damaged ({error})'


def check_sums(data: bytes) -> None:
    """Refuse what OpenCV, which training reads with, refuses.

    Pillow decodes a PNG without looking at its check sums.
    """
    with Image.open(BytesIO(data), formats=('PNG',)) as image:
        image.verify()


def unusable(image: Image.Image, data: bytes) -> str:
    width, height = image.size
    if width * height > MAX_PIXELS:
        return f'more than {MAX_PIXELS // 10**6} million pixels'
    if min(width, height) < MIN_SIDE:
        return f'far too small ({width} x {height}, at least {MIN_SIDE})'
    if image.format in ('JPEG', 'MPO') and _scans(data) > MAX_SCANS:
        return f'made to take time: over {MAX_SCANS} scans'
    if image.mode in ('I', 'F'):
        return '32-bit brightness, which has no agreed white'
    if image.mode in ('LAB', 'HSV'):
        return f'colours in {image.mode}, which training cannot read'
    return ''


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


def orientation(image: Image.Image) -> int:
    """The EXIF orientation; 1, upright, when there is none or it is broken."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:
        return 1
    return value if value in range(2, 9) else 1


def why_rewrite(image: Image.Image, turned: bool) -> str:
    """Say why training would read this photo wrongly, '' if it would not.

    Training reads with OpenCV as colour: it drops alpha, so that whatever
    colour hides below it shows; what it makes of CMYK, of moving pictures
    and of rarer formats depends on its version.
    """
    # MPO is a JPEG with a second view or a depth map behind the photo.
    if getattr(image, 'is_animated', False) and image.format != 'MPO':
        return 'moving or several pages; the first is used'
    if image.format not in PLAIN_FORMATS:
        return f'{image.format}, which not every OpenCV reads'
    if image.mode == 'CMYK':
        return 'CMYK'
    if _see_through(image):
        return 'transparent; laid on white'
    if turned and image.format not in ('JPEG', 'MPO'):
        return f'turned by EXIF inside {image.format}'
    return ''


def _see_through(image: Image.Image) -> bool:
    if not _has_alpha(image):
        return False
    return image.convert('RGBA').getchannel('A').getextrema()[0] < 255


def _has_alpha(image: Image.Image) -> bool:
    modes = ('RGBA', 'LA', 'PA', 'RGBa', 'La')
    return image.mode in modes or 'transparency' in image.info


def _note(image: Image.Image, data: bytes, turned: bool) -> str:
    notes = []
    # Pillow shows 16-bit colour PNG as 8-bit; the header has the truth.
    if image.mode.startswith('I;16') or (
        image.format == 'PNG' and data[24:25] == b'\x10'
    ):
        notes.append('16 bit, of which training sees the upper 8')
    if turned:
        notes.append('turned by EXIF, which training heeds')
    return '; '.join(notes)


def plain(image: Image.Image) -> Image.Image:
    """The photo upright, 8 bit, on white where it is transparent."""
    turn = orientation(image)
    if image.mode.startswith('I;16'):
        # Pillow would clip instead of scale.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif _has_alpha(image):
        image = image.convert('RGBA')
        white = Image.new('RGBA', image.size, 'white')
        image = Image.alpha_composite(white, image)
    if image.mode != 'L':
        image = image.convert('RGB')
    return image.transpose(_TURNS[turn]) if turn in _TURNS else image


def fingerprint(grey: Image.Image) -> tuple[int, bytes]:
    """A hash that survives re-encoding and resizing, and a small thumbnail.

    A bit is the sign of one of the 64 lowest frequencies of the photo.
    """
    small = grey.resize(
        (_SIZE, _SIZE), Image.Resampling.BILINEAR, reducing_gap=2.0
    )
    waves = _COSINES @ np.asarray(small, np.float64) @ _COSINES.T
    bits = np.packbits(waves[_PICK] > 0)
    thumb = small.resize((16, 16), Image.Resampling.BOX)
    return int.from_bytes(bits.tobytes(), 'big'), thumb.tobytes()
