"""Importing torch: quickly, and with threads that leave the cores free."""

import atexit
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from flower_mm.console import announce


@contextmanager
def importing_torch() -> Iterator[None]:
    """Import torch and the packages above it without garbage collection.

    The imports create half a million objects, and most of them stay. The
    collector would traverse them repeatedly, which takes a sixth of the time,
    and again in every later full collection.
    """
    if 'torch' not in sys.modules:
        announce('loading PyTorch')
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        # At exit, Triton 3.9 prints its frozen objects as leaks.
        atexit.register(gc.unfreeze)


def let_threads_sleep() -> None:
    """Make torch's threads sleep, not spin, while they wait for each other.

    Spinning threads take the core from the thread they wait for as soon as
    anything else runs: data loading workers, or a second run. OpenMP reads
    this setting when torch is imported.
    """
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
