"""The exception for mistakes of users, and the texts of errors."""

import errno
import re

# In messages of Linux, glibc's loader, torch, C++, NumPy and OpenCV.
_OUT_OF_MEMORY = re.compile(
    r'std::bad_alloc|cannot allocate memory|can.t allocate memory'
    r'|not enough memory|out of memory|insufficient memory'
    r'|unable to allocate|failed to map segment',
    re.IGNORECASE,
)


class UserError(Exception):
    """A mistake that the user can fix.

    The text says what is wrong, where, and the command that fixes it, in one
    to three lines. Commands print it without a traceback and exit with 2.
    """


def message_of(error: BaseException) -> str:
    """Return the message without the traceback of a torch worker."""
    return str(error).rpartition(f'{UserError.__name__}: ')[2].strip()


def printable(text: str, most: int = 200) -> str:
    """Return foreign text on one line, without control characters."""
    plain = ''.join(c if c.isprintable() else '?' for c in text[:most])
    return plain + '…' * (len(text) > most)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error of any library means a lack of memory."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError | ImportError | OSError)
        and _OUT_OF_MEMORY.search(str(error)) is not None
    )
