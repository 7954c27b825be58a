"""Read every photo once: its sha256, whether it can be used, how it looks."""

import hashlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from itertools import islice
from multiprocessing.connection import wait
from typing import NamedTuple

import numpy as np
from PIL import Image

from flower_mm import console
from flower_mm.cores import cores
from flower_mm.decoding import (
    BadPhotoError,
    is_ordinary_jpeg,
    is_transparent,
    open_photo,
    orientation,
    read_bytes,
    require_large_enough,
    to_array,
    to_plain,
    what_broke,
)
from flower_mm.errors import UserError
from flower_mm.prepare.class_folders import Photo

CHUNK = 32  # photos that a process gets at a time
# A process takes about half a second to start: not worth it for fewer.
PHOTOS_PER_PROCESS = 400

# What OpenCV reads depends on its version and build for all others.
PLAIN_FORMATS = frozenset(('JPEG', 'MPO', 'PNG', 'BMP', 'WEBP', 'TIFF'))

THUMB = 32  # pixels
COLOURS = 8 * 8 * 3  # bytes of a thumbnail before the grey pixels


class Look(NamedTuple):
    """What reading a photo tells; the fields are those of `Photo`."""

    sha256: bytes = b''
    size: int = 0
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
    console.hide_library_warnings()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _look_at_all(files: list[str]) -> list[Look]:
    return [look(file) for file in files]


def look(file: str) -> Look:
    """Read one photo; whatever is wrong with it becomes `bad`."""
    try:
        data = read_bytes(file)
    except BadPhotoError as error:
        return Look(bad=str(error))
    sha256 = hashlib.sha256(data).digest()
    bad, note, fix, thumb = _decode(data)
    return Look(sha256, len(data), thumb, bad, note, fix)


def _decode(data: bytes) -> tuple[str, str, str, bytes]:
    try:
        with open_photo(data) as image:
            require_large_enough(image.size)
            # Before loading, which turns TIFF.
            turned = orientation(image) != 1
            # A JPEG can be decoded at 1/2, 1/4 or 1/8 of its size; the whole
            # file is read all the same, so a missing end shows.
            image.draft('RGB', (256, 256))
            upright = to_plain(image)
            fix = why_rewrite(image, turned)
            if not (fix or is_ordinary_jpeg(image) or _agrees(upright, data)):
                fix = 'OpenCV reads it otherwise, or not at all'
            note = _note(image, data, turned)
            upright = upright.convert('RGB')
    except BadPhotoError as error:
        return str(error), *_NOTHING
    except Exception as error:
        return what_broke(error, data), *_NOTHING
    return '', note, fix, thumbnail(upright)


_NOTHING = '', '', b''


def why_rewrite(image: Image.Image, turned: bool) -> str:
    """Say why stock MMPretrain would read this photo otherwise than we do.

    It reads with OpenCV as colour, which drops alpha, so that whatever
    colour hides below it shows. What that makes of CMYK, of animations and
    of rarer formats depends on its version.

    Returns:
        '' where it reads the same.
    """
    # MPO is a JPEG with a second view or a depth map behind the photo.
    if getattr(image, 'is_animated', False) and image.format != 'MPO':
        return 'moving or several pages; the first is used'
    if image.format not in PLAIN_FORMATS:
        return f'{image.format}, which not every OpenCV reads'
    if image.mode == 'CMYK':
        return 'CMYK'
    if is_transparent(image):
        return 'transparent; laid on white'
    if turned and image.format not in ('JPEG', 'MPO'):
        return f'turned by EXIF inside {image.format}'
    return ''


def _agrees(plain: Image.Image, data: bytes) -> bool:
    """Whether OpenCV alone decodes the file to the same pixels.

    Taken for granted on a machine without OpenCV: flower_mm itself decodes
    these kinds by Pillow.
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
    # Pillow shows 16-bit colour PNG as 8-bit; the header has the truth.
    if image.mode.startswith('I') or (
        image.format == 'PNG' and data[24:25] == b'\x10'
    ):
        notes.append('16 bit, of which training sees the upper 8')
    if turned:
        notes.append('turned by EXIF, which training heeds')
    return '; '.join(notes)


def thumbnail(photo: Image.Image) -> bytes:
    """8 x 8 pixels in colour, then 32 x 32 in grey, of the whole photo."""
    small = photo.resize(
        (THUMB, THUMB), Image.Resampling.BILINEAR, reducing_gap=2.0
    )
    colours = small.resize((8, 8), Image.Resampling.BOX)
    return colours.tobytes() + small.convert('L').tobytes()
