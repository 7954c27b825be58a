"""Read each photo once: its sha256, whether it is usable, a thumbnail."""

import hashlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from itertools import islice
from multiprocessing.connection import wait
from typing import NamedTuple

import numpy as np
from PIL import Image

from flower_mm import console
from flower_mm.decoding import (
    HEIF,
    BadPhotoError,
    is_ordinary_jpeg,
    is_transparent,
    open_photo,
    orientation,
    refusing,
    require_large_enough,
    to_array,
    to_plain,
)
from flower_mm.errors import UserError
from flower_mm.photo_bytes import read_bytes
from flower_mm.prepare.photo import Photo
from flower_mm.process_resources import cores

CHUNK = 32  # photos that a process gets at a time
# Starting a process takes about as long as reading this many photos.
PHOTOS_PER_PROCESS = 400

# OpenCV reads other formats depending on its version and build.
OPENCV_FORMATS = frozenset(('JPEG', 'MPO', 'PNG', 'BMP', 'WEBP', 'TIFF'))

THUMB = 32  # pixels
COLOURS = 8 * 8 * 3  # bytes of a thumbnail before the grey pixels
THUMB_BYTES = COLOURS + THUMB**2


class PhotoInfo(NamedTuple):
    """The fields of `Photo` that come from reading the file."""

    sha256: bytes = b''
    size: int = 0
    thumb: bytes = b''
    error: str = ''
    note: str = ''
    rewrite_reason: str = ''
    rewrite_suffix: str = '.png'


def scan(photos: list[Photo], task: str = 'reading photos') -> None:
    """Read all photos in several processes and set their fields."""
    for photo, info in zip(
        console.track(photos, len(photos), task),
        inspect_all((photo.file for photo in photos), len(photos)),
        strict=True,
    ):
        for field, value in info._asdict().items():
            setattr(photo, field, value)


def inspect_all(files: Iterable[str], count: int) -> Iterator[PhotoInfo]:
    """Read photos in several processes; yield the results in order."""
    processes = min(cores(), count // PHOTOS_PER_PROCESS)
    if processes < 2:
        yield from map(inspect_photo, files)
        return
    # spawn on each system: forking a process with threads may hang.
    pool = ProcessPoolExecutor(
        processes,
        multiprocessing.get_context('spawn'),
        initializer=_end_with_parent,
    )
    rest = iter(files)
    chunks = iter(lambda: list(islice(rest, CHUNK)), [])
    # A few chunks at a time, so that waiting results take little memory.
    waiting = [
        pool.submit(_inspect_chunk, c) for c in islice(chunks, 4 * processes)
    ]
    try:
        while waiting:
            yield from waiting.pop(0).result()
            for chunk in islice(chunks, 1):
                waiting.append(pool.submit(_inspect_chunk, chunk))
    except BrokenProcessPool as error:
        raise UserError(
            'a process that reads photos was killed, most often for lack of '
            'memory.\nClose other programs and run this command again'
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Leave Ctrl-C to the parent, and end when the parent is killed."""
    console.hide_library_warnings()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _inspect_chunk(files: list[str]) -> list[PhotoInfo]:
    return [inspect_photo(file) for file in files]


def inspect_photo(file: str) -> PhotoInfo:
    """Read one photo; a problem becomes its `error`."""
    try:
        data = read_bytes(file)
    except BadPhotoError as error:
        return PhotoInfo(error=str(error))
    info = PhotoInfo(hashlib.sha256(data).digest(), len(data))
    try:
        with refusing(data), open_photo(data) as image:
            require_large_enough(image.size)
            # Before loading, during which Pillow rotates TIFF.
            turned = orientation(image) != 1
            # A JPEG is decoded at 1/2, 1/4 or 1/8 of its size. The whole file
            # is read, so that a missing end raises an error.
            image.draft('RGB', (256, 256))
            upright = to_plain(image)
            reason = rewrite_reason(image, turned)
            if not (reason or is_ordinary_jpeg(image)) and not _opencv_agrees(
                upright, data
            ):
                reason = 'OpenCV decodes it differently'
            note = _note(image, data, turned)
            thumb = thumbnail(upright.convert('RGB'))
    except (BadPhotoError, MemoryError) as error:
        return info._replace(
            error=str(error) or 'not enough memory to decode it'
        )
    if image.format == HEIF:
        info = info._replace(rewrite_suffix='.jpg')
    return info._replace(thumb=thumb, note=note, rewrite_reason=reason)


def rewrite_reason(image: Image.Image, turned: bool) -> str:
    """Return why stock MMPretrain would read other pixels, or ''.

    It reads with OpenCV in colour, which drops the alpha channel and shows
    the colours below. The result for CMYK, animations and rare formats depends
    on the version of OpenCV.
    """
    # MPO is a JPEG followed by a second view or a depth map.
    if getattr(image, 'is_animated', False) and image.format != 'MPO':
        return 'animation or several pages: the first frame is used'
    if image.format not in OPENCV_FORMATS:
        return f'{image.format}: support in OpenCV varies'
    if image.mode == 'CMYK':
        return 'CMYK'
    if is_transparent(image):
        return 'transparent: placed on white'
    if turned and image.format not in ('JPEG', 'MPO'):
        return f'EXIF orientation in {image.format}'
    return ''


def _opencv_agrees(plain: Image.Image, data: bytes) -> bool:
    """Return whether OpenCV decodes the file to the same pixels.

    True on a machine without OpenCV: flower_mm decodes these formats with
    Pillow.
    """
    try:
        import cv2
    except ImportError:
        return True
    pixels = None
    with suppress(cv2.error):
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return pixels is not None and np.array_equal(pixels, to_array(plain))


def _note(image: Image.Image, data: bytes, turned: bool) -> str:
    notes = []
    # Pillow opens PNG of 16-bit colour as 8-bit; the header has the depth.
    if image.mode.startswith('I') or (
        image.format == 'PNG' and data[24:25] == b'\x10'
    ):
        notes.append('16 bits per channel: training uses the upper 8')
    if turned:
        notes.append('EXIF orientation: training rotates it upright')
    return '; '.join(notes)


def thumbnail(photo: Image.Image) -> bytes:
    """Return 8 x 8 pixels in colour, then 32 x 32 in grey."""
    small = photo.resize(
        (THUMB, THUMB), Image.Resampling.BILINEAR, reducing_gap=2.0
    )
    colours = small.resize((8, 8), Image.Resampling.BOX)
    return colours.tobytes() + small.convert('L').tobytes()
