"""The one exception that people are meant to see."""

import errno
import re

# As Linux, glibc's loader, torch, C++, NumPy and OpenCV put it.
_OUT_OF_MEMORY = re.compile(
    r'std::bad_alloc|cannot allocate memory|can.t allocate memory'
    r'|not enough memory|out of memory|insufficient memory'
    r'|unable to allocate|failed to map segment',
    re.IGNORECASE,
)


class UserError(Exception):
    """Something that the person at the keyboard can mend.

    The text says what is wrong, where, and the command that mends it, in one
    to three lines. The tools print it without a traceback and exit with 2.
    """


def message_of(error: BaseException) -> str:
    """Return the message alone, without the traceback of a torch worker."""
    return str(error).rpartition(f'{UserError.__name__}: ')[2].strip()


def printable(text: str, most: int = 200) -> str:
    """What of a stranger's text fits a line and does not steer a terminal."""
    plain = ''.join(c if c.isprintable() else '?' for c in text[:most])
    return plain + '…' * (len(text) > most)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the memory was full, in whatever way a library says so."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError | ImportError | OSError)
        and _OUT_OF_MEMORY.search(str(error)) is not None
    )
