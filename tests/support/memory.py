"""Give back, between tests, the memory that the process holds and uses not.

A Classifier tells the C library to keep what is freed, and the tools exempt
what is loaded from the garbage collection: in a session of all tests, a
process grew to 5.5 GB.
"""

import ctypes
import gc
import sys
from pathlib import Path

LEAST = 2**30  # bytes: torch, MMPretrain and a small model take 0.7 GB
GROWTH = 1.25

limit = LEAST


def resident() -> int:
    """Bytes of this process in memory; 0 where there is no /proc."""
    try:
        pages = Path('/proc/self/statm').read_text().split()[1]
    except OSError:
        return 0
    return int(pages) * 4096


def give_back_above_limit() -> None:
    """Take 0.5 s for it, so only after the process has grown again."""
    global limit
    if resident() > limit:
        give_back()
        limit = max(LEAST, int(GROWTH * resident()))


def give_back() -> None:
    gc.unfreeze()
    gc.collect()
    if sys.platform.startswith('linux'):
        libc = ctypes.CDLL(None)
        if hasattr(libc, 'malloc_trim'):
            libc.malloc_trim(0)
