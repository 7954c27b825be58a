"""Progress: a live bar on a terminal, plain lines in a file."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar('T')

LINE_EVERY = 10.0  # seconds between two plain lines


def track(
    items: Iterable[T], total: int, what: str, start: int = 0
) -> Iterator[T]:
    """Pass `items` on and show on stderr how far they are.

    `items` may yield anything; each counts one.
    """
    with progress(total, what, start=start) as advance:
        for item in items:
            yield item
            advance(1)


@contextmanager
def progress(total: int, what: str, start: int = 0, size: bool = False):
    """Yield a function that moves the bar on; `size` counts in bytes."""
    if sys.stderr.isatty():
        yield from _live(total, what, start, size)
    else:
        yield from _plain(total, what, start, size)


def _live(total: int, what: str, start: int, size: bool):
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    count = DownloadColumn() if size else MofNCompleteColumn()
    with Progress(
        TextColumn('{task.description}'),
        BarColumn(),
        count,
        TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as bar:
        task = bar.add_task(what, total=total or None, completed=start)
        yield lambda steps: bar.advance(task, steps)


def _plain(total: int, what: str, start: int, size: bool):
    done, said = start, time.monotonic()

    def show() -> None:
        unit = (
            f'{done / 1e6:.1f} of {total / 1e6:.1f} MB'
            if size
            else f'{done} of {total}'
            if total
            else f'{done}'
        )
        print(f'{what}: {unit}', file=sys.stderr, flush=True)

    def advance(steps: int) -> None:
        nonlocal done, said
        done += steps
        if time.monotonic() - said >= LINE_EVERY:
            said = time.monotonic()
            show()

    yield advance
    show()
