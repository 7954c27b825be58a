"""The child process that decodes uploads, with limited means.

A decoder may be made to take minutes or gigabytes, and may have a security
hole. It runs where it can be killed, opens and writes no files, and has no
environment variables. This module imports no torch, so that a process starts
quickly.
"""

import contextlib
import os
import signal
import struct
import threading
from collections.abc import Iterator
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import NamedTuple

import cv2  # noqa: F401  later, no file can be opened to import it
import numpy as np

from flower_mm import decoding

# Status, height, width, channels; 0 channels for (height, width).
HEADER = struct.Struct('<cIII')
PIXELS, BAD = b'P', b'B'
ERROR_BYTES = 300
BLOCK = 2**20  # bytes of pixels in a message


class Settings(NamedTuple):
    color_type: str  # these two as of MMCV's LoadImageFromFile
    backend: str
    formats: tuple[str, ...]
    pixels: int
    seconds: int  # for one photo; the parent kills sooner than this
    memory: int  # bytes beyond those of an idle process


def main(connection: Connection, settings: Settings) -> None:
    """Answer each photo with a header and pixels, or why it is bad."""
    _limit(settings)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError):
        while True:
            data = connection.recv_bytes()
            with _alarm(settings.seconds):
                header, body = _answer(data, settings)
            connection.send_bytes(header)
            for start in range(0, len(body), BLOCK):
                connection.send_bytes(body[start : start + BLOCK])


def _answer(
    data: bytes, settings: Settings
) -> tuple[bytes, bytes | np.ndarray]:
    try:
        pixels = _decode(data, settings)
    except decoding.BadPhotoError as error:
        return _bad(str(error))
    except MemoryError:
        return _bad('too large for the memory')
    height, width, *channels = pixels.shape
    header = HEADER.pack(PIXELS, height, width, *(channels or [0]))
    return header, np.ascontiguousarray(pixels).reshape(-1)


def _decode(data: bytes, settings: Settings) -> np.ndarray:
    """As inference.photo_reader.PhotoReader does, which imports torch."""
    with (
        decoding.refusing(data, settings.formats),
        decoding.open_photo(data, settings.formats) as image,
    ):
        decoding.require_usable_size(image.size)
        decoding.require_whole(image)
    return decoding.decode(
        data, settings.color_type, settings.backend, settings.formats
    )


def _bad(why: str) -> tuple[bytes, bytes]:
    text = why.encode('utf-8', 'replace')[:ERROR_BYTES]
    return HEADER.pack(BAD, 0, 0, 0), text or b'damaged'


def _limit(settings: Settings) -> None:
    """Give up what decoding does not need; Windows has no such limits."""
    decoding.MAX_PIXELS = settings.pixels
    os.environ.clear()
    # The parent ends this process: after the photos that are under way.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.name != 'posix':
        return
    import resource

    with Path(os.devnull).open('r+b') as null:
        for stream in (1, 2):  # libraries print what a photo makes them
            os.dup2(null.fileno(), stream)
    limits = {'CORE': 0, 'FSIZE': 0, 'NOFILE': 1}  # poll() takes one file
    with contextlib.suppress(OSError):  # Linux only
        pages = int(Path('/proc/self/statm').read_text().split()[0])
        limits['AS'] = pages * resource.getpagesize() + settings.memory
    for name, most in limits.items():
        resource.setrlimit(getattr(resource, f'RLIMIT_{name}'), (most, most))


@contextlib.contextmanager
def _alarm(seconds: int) -> Iterator[None]:
    """Let the system kill this process, should the parent not be there."""
    if os.name == 'posix':
        signal.alarm(seconds)
    yield
    if os.name == 'posix':
        signal.alarm(0)


def _end_with_parent() -> None:
    wait([parent_process().sentinel])
    os._exit(1)
