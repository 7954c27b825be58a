"""Decode uploads in child processes with a time limit."""

import asyncio
import math
import multiprocessing
import os
import struct
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from starlette.exceptions import HTTPException

from flower_mm.decoding import BadPhotoError
from flower_mm.errors import printable
from flower_mm.serve import decoder_process, limits
from flower_mm.serve.decoder_process import (
    BLOCK,
    ERROR,
    ERROR_BYTES,
    HEADER,
    PIXELS,
)
from flower_mm.serve.upload import Upload

TICK = 0.05  # seconds between two checks of the time
# Python needs these to start; others may hold secrets.
KEPT_VARIABLES = ('PATH', 'SYSTEMROOT', 'TEMP', 'TMPDIR')

_METHODS = multiprocessing.get_all_start_methods()
# A fork server has the modules loaded: a process starts in 10 ms.
_CONTEXT = multiprocessing.get_context(
    'forkserver' if 'forkserver' in _METHODS else 'spawn'
)


class Decoders:
    """A few child processes that decode one photo each at a time.

    Args:
        step: LoadImageFromFile of the model's pipeline.
    """

    def __init__(self, step: object) -> None:
        self._threads = ThreadPoolExecutor(limits.DECODERS, 'decoder')
        self._idle: asyncio.Queue[Decoder] = asyncio.Queue()
        self._waiting = 0  # photos without a decoder
        self._starts: list[float] = []  # of the photos that are decoded now
        self._stopping = False
        self._all = [decoder_of(step) for _ in range(limits.DECODERS)]
        for decoder in self._all:
            self._idle.put_nowait(decoder)

    def start(self, photo: bytes) -> np.ndarray:
        """Start the processes and let each decode this photo."""
        _CONTEXT.set_forkserver_preload([decoder_process.__name__])
        with _bare_environment():
            for decoder in self._all:
                decoder.start()
        work = [self._threads.submit(d.decode, photo) for d in self._all]
        return [decoded.result() for decoded in work].pop()

    def stop(self) -> None:
        """Refuse photos that take longer than SHARED_SECONDS from now on."""
        self._stopping = True

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for decoder in self._all:
            decoder.close()

    @asynccontextmanager
    async def decoded(self, photo: Upload) -> AsyncIterator[np.ndarray]:
        """Yield the pixels, and hold a decoder until they are used.

        This limits the decoded photos in memory to the number of decoders.
        """
        if not photo.data:
            raise BadPhotoError('empty file')
        self._waiting += 1
        try:
            decoder = await self._idle.get()
        finally:
            self._waiting -= 1
        try:
            yield await self._pixels(decoder, photo)
        finally:
            self._idle.put_nowait(decoder)

    async def _pixels(self, decoder: 'Decoder', photo: Upload) -> np.ndarray:
        loop = asyncio.get_running_loop()
        start = loop.time()
        self._starts.append(start)
        work = loop.run_in_executor(self._threads, decoder.decode, photo.data)
        try:
            while not (await asyncio.wait([work], timeout=TICK))[0]:
                self._check_time(loop.time(), start, photo)
            return work.result()
        except DecoderEndedError:
            raise BadPhotoError('damaged: decoding failed') from None
        finally:
            self._starts.remove(start)
            if not work.done():
                decoder.kill()
                await asyncio.gather(work, return_exceptions=True)

    def _check_time(self, now: float, start: float, photo: Upload) -> None:
        """Raise HTTPException if a photo takes too long."""
        if now - start > limits.DECODE_SECONDS:
            raise HTTPException(
                422,
                f'{photo.name} takes longer than {limits.DECODE_SECONDS} s '
                'to decode',
            )
        # The photos that started first give way to those that wait.
        before = sum(other < start for other in self._starts)
        others = self._stopping or before < self._waiting
        if others and now - start > limits.SHARED_SECONDS:
            raise limits.busy(
                f'{photo.name} takes long to decode and other photos wait'
            )


class DecoderEndedError(Exception):
    """A decoder was killed, has crashed or sent invalid data."""


class Decoder:
    """A child process that is replaced after it has ended."""

    _connection: Connection

    def __init__(
        self, settings: decoder_process.Settings, dtype: type = np.uint8
    ) -> None:
        self._settings = settings
        self._dtype = dtype
        self._process: multiprocessing.Process | None = None
        self._killed = False
        self._closed = False
        self._starting = threading.Lock()

    def start(self) -> None:
        if self._process:
            self._connection.close()
            self._process.join()
        with self._starting:
            if self._closed:
                raise DecoderEndedError
            self._connection, other = _CONTEXT.Pipe()
            # In the stubs only the subclasses of BaseContext have it.
            self._process = _CONTEXT.Process(  # type: ignore[attr-defined]
                target=decoder_process.main,
                args=(other, self._settings),
                daemon=True,
            )
            self._process.start()
            other.close()
            self._killed = False

    def kill(self) -> None:
        if self._process:
            self._killed = True
            self._process.kill()

    def close(self) -> None:
        with self._starting:
            self._closed = True
            self.kill()

    def decode(self, data: bytes) -> np.ndarray:
        assert self._process is not None  # `start` comes first
        # The system may have killed it for lack of memory.
        if self._killed or not self._process.is_alive():
            self.start()
        try:
            self._connection.send_bytes(data)
            return self._reply().astype(self._dtype, copy=False)
        except (EOFError, OSError, ValueError, struct.error) as error:
            self.kill()
            raise DecoderEndedError from error

    def _reply(self) -> np.ndarray:
        """Read raw bytes: unpickling would trust the child process."""
        header = self._connection.recv_bytes(HEADER.size)
        status, height, width, channels = HEADER.unpack(header)
        if status == ERROR:
            reason = self._connection.recv_bytes(ERROR_BYTES)
            text = reason.decode('utf-8', 'replace')
            raise BadPhotoError(printable(text, ERROR_BYTES))
        if (
            status != PIXELS
            or height * width > limits.PIXELS
            or channels not in (0, 3)
        ):
            raise ValueError(f'invalid header {header!r}')
        shape = (height, width, channels) if channels else (height, width)
        pixels = np.empty(shape, np.uint8)
        flat = pixels.reshape(-1)
        for start in range(0, flat.size, BLOCK):
            block = self._connection.recv_bytes(BLOCK)
            flat[start : start + BLOCK] = np.frombuffer(block, np.uint8)
        return pixels


def decoder_of(step: Any) -> Decoder:
    """Return a decoder with the settings of a LoadImageFromFile step."""
    settings = decoder_process.Settings(
        step.color_type,
        step.imdecode_backend,
        limits.FORMATS,
        limits.PIXELS,
        math.ceil(limits.DECODE_SECONDS) + 1,
        limits.DECODE_BYTES,
    )
    return Decoder(settings, np.float32 if step.to_float32 else np.uint8)


@contextmanager
def _bare_environment() -> Iterator[None]:
    """Let processes start with few variables and with our own sys.path.

    The current folder is left out: a file there may have the name of a module.
    """
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update({n: v for n, v in before.items() if n in KEPT_VARIABLES})
    os.environ['PYTHONPATH'] = os.pathsep.join(filter(None, sys.path))
    os.environ['PYTHONSAFEPATH'] = '1'
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
