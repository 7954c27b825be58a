"""The cores and the memory of this process."""

import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path

from flower_mm.console import hide_library_warnings

QUOTA = Path('/sys/fs/cgroup/cpu.max')  # of a container
# Parameters of glibc's mallopt.
TRIM_THRESHOLD, MMAP_MAX = -1, -4

keeps_memory = False  # whether keep_memory has changed this process


def cores() -> int:
    """Return the cores for this process, which a container can limit."""
    if hasattr(os, 'sched_getaffinity'):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text().split()
        return max(1, min(count, round(int(quota) / int(period))))
    except (OSError, ValueError):
        return count


def keep_memory() -> None:
    """Keep glibc from returning large blocks to the system after each batch.

    By default it returns each tensor above 32 MB and allocates it again with
    the next batch. On a CPU this takes a sixth of the training time of
    MobileNetV2 (1.0 of 7.2 s for four batches of 32; 0.04 of 6.1 s with this
    setting), and more of prediction: 14 instead of 38 photos per second in
    batches of 64, two cores. The peak memory stays the same. The setting is
    that of the whole process.
    """
    global keeps_memory
    libc = _libc()
    if libc is not None and hasattr(libc, 'mallopt'):
        keeps_memory = True
        libc.mallopt(MMAP_MAX, 0)
        libc.mallopt(TRIM_THRESHOLD, 2**30)


def begin_lean(begin: Callable[[int], None] | None, worker: int) -> None:
    """Return, in a worker, the free memory inherited from its parent.

    The worker would get a copy of each page to which the parent writes again:
    0.9 GB per worker after a pass of MobileNetV2 in batches of 64.
    """
    hide_library_warnings()  # in a spawned worker
    libc = _libc()
    if libc is not None and hasattr(libc, 'malloc_trim'):
        libc.malloc_trim(0)
    if begin:
        begin(worker)


def _libc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if sys.platform.startswith('linux') else None
