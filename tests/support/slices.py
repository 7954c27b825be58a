"""Parts of the nightly tests, one of which CI runs for each commit."""

import zlib
from typing import NamedTuple


class Slice(NamedTuple):
    """The part `number` of `count`."""

    number: int
    count: int

    def has(self, test: str) -> bool:
        """By a hash of the name, which other tests do not change."""
        return zlib.crc32(test.encode()) % self.count == self.number


def parse_slice(text: str) -> Slice:
    """Read K/N; any whole number is a K, such as that of the commit."""
    number, count = map(int, text.split('/'))
    return Slice(number % count, count)
