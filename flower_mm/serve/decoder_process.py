"""The child process that decodes uploads, with limited resources.

A crafted photo can make a decoder take minutes or gigabytes, or use a security
hole. The process can be killed, cannot open files, and has no environment
variables. This module imports no torch, so that a process starts quickly.
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

import cv2  # noqa: F401  the limits forbid to import it later
import numpy as np

from flower_mm import decoding

with contextlib.suppress(ImportError):
    import pi_heif  # noqa: F401  likewise, where it is installed

# Status, height, width, channels; 0 channels for (height, width).
HEADER = struct.Struct('<cIII')
PIXELS, ERROR = b'P', b'E'
ERROR_BYTES = 300
BLOCK = 2**20  # bytes of pixels in a message


class Settings(NamedTuple):
    """How the process decodes, and its limits."""

    color_type: str  # as for MMCV's LoadImageFromFile
    backend: str  # likewise
    formats: tuple[str, ...]
    pixels: int
    seconds: int  # for a photo; the parent kills the process earlier
    memory: int  # bytes beyond those of an idle process


def main(connection: Connection, settings: Settings) -> None:
    """Send a header and the pixels, or an error, for each photo."""
    _limit(settings)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError):
        while True:
            data = connection.recv_bytes()
            with _alarm(settings.seconds):
                header, body = _reply(data, settings)
            connection.send_bytes(header)
            for start in range(0, len(body), BLOCK):
                connection.send_bytes(body[start : start + BLOCK])


def _reply(
    data: bytes, settings: Settings
) -> tuple[bytes, bytes | memoryview]:
    try:
        pixels = _decode(data, settings)
    except decoding.BadPhotoError as error:
        return _error(str(error))
    except MemoryError:
        return _error('too large for the memory')
    height, width, *channels = pixels.shape
    header = HEADER.pack(PIXELS, height, width, *(channels or [0]))
    return header, np.ascontiguousarray(pixels).reshape(-1).data


def _decode(data: bytes, settings: Settings) -> np.ndarray:
    """Decode like inference.photo_reader.PhotoReader, which imports torch."""
    with (
        decoding.refusing(data, settings.formats),
        decoding.open_photo(data, settings.formats) as image,
    ):
        decoding.require_usable_size(image.size)
        decoding.require_whole(image)
    return decoding.decode(
        data, settings.color_type, settings.backend, settings.formats
    )


def _error(reason: str) -> tuple[bytes, bytes]:
    text = reason.encode('utf-8', 'replace')[:ERROR_BYTES]
    return HEADER.pack(ERROR, 0, 0, 0), text or b'damaged'


def _limit(settings: Settings) -> None:
    """Drop what decoding does not need; Windows lacks these limits."""
    decoding.MAX_PIXELS = settings.pixels
    os.environ.clear()
    # The parent ends this process, after the current photos.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.name != 'posix':
        return
    import resource

    with Path(os.devnull).open('r+b') as null:
        for stream in (1, 2):  # photos can make libraries print
            os.dup2(null.fileno(), stream)
    limits = {'CORE': 0, 'FSIZE': 0, 'NOFILE': 1}  # poll() takes one file
    with contextlib.suppress(OSError):  # Linux only
        pages = int(Path('/proc/self/statm').read_text().split()[0])
        limits['AS'] = pages * resource.getpagesize() + settings.memory
    for name, most in limits.items():
        resource.setrlimit(getattr(resource, f'RLIMIT_{name}'), (most, most))


@contextlib.contextmanager
def _alarm(seconds: int) -> Iterator[None]:
    """Let the system kill this process if the parent does not."""
    if os.name == 'posix':
        signal.alarm(seconds)
    yield
    if os.name == 'posix':
        signal.alarm(0)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None  # this is a child process
    wait([parent.sentinel])
    os._exit(1)
