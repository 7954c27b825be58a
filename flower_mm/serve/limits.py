"""Limits of the page on memory, time and the number of requests.

It listens on this machine only: the limits keep a mistake, a stuck client or
another page in the browser from taking the machine's memory and time.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.exceptions import HTTPException

MB = 1024**2
PHOTO_BYTES = 20 * MB  # phones and cameras write 2 to 15
REQUEST_BYTES = 64 * MB
HELD_BYTES = 256 * MB  # of all requests in memory
PIXELS = 50_000_000  # phones and cameras make 8 to 50 million
# Pillow's names of common formats. Decoders of others are slow or seldom
# tested.
FORMATS = ('JPEG', 'PNG', 'WEBP', 'AVIF', 'GIF', 'BMP', 'TIFF', 'HEIF')
DECODERS = 4  # processes
DECODE_BYTES = 2**30  # of each, beyond those of an idle one
# Time to decode a photo: in all, generous because the machine may be busy,
# and while other photos wait.
DECODE_SECONDS = 10
SHARED_SECONDS = 0.5
PHOTOS = 16  # per request
PARTS = 2 * PHOTOS  # of a form, with fields other than photos
# At ten photos a second the last one waits six seconds.
WAITING = 64
# Twenty a second on average; `flower-mm predict` classifies more.
PHOTOS_A_MINUTE = 1200

# A request is complete after a minute, which is 64 MB at 9 Mbit a second, and
# pauses are shorter than the second limit.
BODY_SECONDS = 60
PAUSE_SECONDS = 10
# CPU time for the 256 kB that are read at a time: a millisecond, but half a
# second in chunks of one byte, during which other clients wait.
PARSE_SECONDS = 0.1
# Until the next request of a connection.
IDLE_SECONDS = 10
CONNECTIONS = 500  # systems allow a process 1024 open files
HEAD_BYTES = 16 * 1024  # of the lines before a request's body
STOP_SECONDS = 4  # to finish requests when the server is stopped
BUSY_SECONDS = 2  # after which a refused client tries again


def busy(reason: str) -> HTTPException:
    again = {'Retry-After': str(math.ceil(BUSY_SECONDS))}
    return HTTPException(503, f'{reason}; try again soon', again)


class Capacity:
    """A limit on something that requests hold at the same time."""

    def __init__(self, most: int, full: str) -> None:
        self.taken = 0
        self._most = most
        self._full = full

    @contextmanager
    def held(self) -> Iterator[Callable[[int], None]]:
        """Yield a function that takes a number; the end gives it back."""
        own = 0

        def take(count: int) -> None:
            nonlocal own
            if self.taken + count > self._most:
                raise busy(self._full)
            self.taken += count
            own += count

        try:
            yield take
        finally:
            self.taken -= own


class RateLimit:
    """A number per minute, at once or spread."""

    def __init__(
        self, a_minute: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._a_minute = a_minute
        self._clock = clock
        self._available = float(a_minute)
        self._updated = clock()

    def check(self, count: int) -> None:
        """Raise HTTPException if `count` exceeds the rate now."""
        now = self._clock()
        more = (now - self._updated) * self._a_minute / 60
        self._available = min(self._a_minute, self._available + more)
        self._updated = now
        if count > self._available:
            seconds = (count - self._available) * 60 / self._a_minute
            raise HTTPException(
                429,
                f'more than {self._a_minute} photos per minute',
                {'Retry-After': str(math.ceil(seconds))},
            )

    def take(self, count: int) -> None:
        self.check(count)
        self._available -= count
