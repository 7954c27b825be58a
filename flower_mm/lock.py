"""A lock that dies with its process, however that ends."""

import os
from typing import IO


def taken(file: IO) -> bool:
    """Lock a file that is open for writing; False where another has it.

    A record lock, since a flock would live on in the children of a process
    that was killed.
    """
    if os.name == 'nt':
        return _taken_on_windows(file)
    import fcntl

    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True  # this file system has no locks
    return True


def _taken_on_windows(file: IO) -> bool:
    import msvcrt

    # Far behind any text, which a locked byte would keep others from reading.
    file.seek(1 << 20)
    try:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    except OSError:
        return False
    return True
