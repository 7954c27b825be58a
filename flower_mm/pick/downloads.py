"""Download missing weights in a child process while features are computed."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

STOP_SECONDS = 10  # for the child to stop pip


@contextmanager
def downloading(names: list[str], log: Path) -> Iterator[Callable[[], bool]]:
    """Run `flower-mm weights`; yield a function whether it is running.

    It is stopped at the end of the block. The next one continues its download.
    """
    # -P: no module in the current folder hides another.
    words = [sys.executable, '-P', '-m', 'flower_mm', 'weights', *names]
    with log.open('w', encoding='utf-8') as file:
        process = subprocess.Popen(
            words if names else [sys.executable, '-c', ''],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    try:
        yield lambda: process.poll() is None
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
