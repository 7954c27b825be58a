"""How much may be asked of the page at a time.

It listens on this machine only: the limits keep a mistake, a stuck client or
a stranger's page in the browser from taking the machine's memory and time.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.exceptions import HTTPException

MB = 1024**2
PHOTO_BYTES = 20 * MB  # phones and cameras write 2 to 15
REQUEST_BYTES = 64 * MB
# Of all requests under way together, which lie in memory.
HELD_BYTES = 256 * MB
PIXELS = 50_000_000  # phones and cameras make 8 to 50 million
# What people upload; Pillow's names. Decoders of other formats are slow or
# seldom tested.
FORMATS = ('JPEG', 'PNG', 'WEBP', 'AVIF', 'GIF', 'BMP', 'TIFF')
DECODERS = 4  # processes
DECODE_BYTES = 2**30  # of each, beyond what it has when idle
# A photo may take so long to decode: in all, which is generous since the
# machine may be busy, and while others wait.
DECODE_SECONDS = 10
SHARED_SECONDS = 0.5
PHOTOS = 16  # a request
PARTS = 2 * PHOTOS  # of a form, with fields that are no photo
# At ten photos a second the last one waits six seconds.
WAITING = 64
# Twenty a second, for as long as it lasts: for more there is predict.py.
PHOTOS_A_MINUTE = 1200

# A request is whole after a minute, which is 64 MB at 9 Mbit a second, and
# does not pause for longer than the other.
BODY_SECONDS = 60
PAUSE_SECONDS = 10
# CPU time for the 256 kB that are read at a time: they take a millisecond, but
# half a second in chunks of one byte, while no other client is served.
PARSE_SECONDS = 0.1
# For a client to ask for something, once it is connected or answered.
IDLE_SECONDS = 10
CONNECTIONS = 500  # systems allow a process 1024 open files
HEAD_BYTES = 16 * 1024  # of the lines before a request's body
# For what is under way when the server is told to stop.
STOP_SECONDS = 4
BUSY_SECONDS = 2  # after which a client that was turned away tries again


def busy(why: str) -> HTTPException:
    again = {'Retry-After': str(math.ceil(BUSY_SECONDS))}
    return HTTPException(503, why, again)


class Room:
    """A number of things that may be there at the same time."""

    def __init__(self, most: int, full: str) -> None:
        self.taken = 0
        self._most = most
        self._full = full

    @contextmanager
    def held(self) -> Iterator[Callable[[int], None]]:
        """Yield what takes room; all that it took is given back after."""
        mine = 0

        def take(count: int) -> None:
            nonlocal mine
            if self.taken + count > self._most:
                raise busy(self._full)
            self.taken += count
            mine += count

        try:
            yield take
        finally:
            self.taken -= mine


class Rate:
    """So many in a minute, at once or spread."""

    def __init__(
        self, a_minute: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._a_minute = a_minute
        self._clock = clock
        self._left = float(a_minute)
        self._at = clock()

    def check(self, count: int) -> None:
        """Raise where so many are too many now."""
        now = self._clock()
        more = (now - self._at) * self._a_minute / 60
        self._left, self._at = min(self._a_minute, self._left + more), now
        if count > self._left:
            seconds = (count - self._left) * 60 / self._a_minute
            raise HTTPException(
                429,
                f'more than {self._a_minute} photos in a minute',
                {'Retry-After': str(math.ceil(seconds))},
            )

    def take(self, count: int) -> None:
        self.check(count)
        self._left -= count
