"""The screen: text that cannot steer it, and progress.

Progress is a live bar on a terminal, plain lines in a file.
"""

import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, TypeVar

from flower_mm.plain_text import visible

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar('T')

# Warnings of libraries that need no action, as (message, module).
LIBRARY_WARNINGS = (
    # Pillow's about photos: what is wrong with one is reported by name.
    ('', 'PIL'),
    # mmcv-lite lacks an operator that no classifier of MMPretrain uses.
    ('Fail to import ``MultiScaleDeformable', ''),
    # mmcv's about every ColorJitter, in every worker.
    ("Only use 'alpha' for pillow backend", ''),
    # With accumulated gradients the schedule counts batches, so that its
    # first step comes before the optimizer's.
    ('Detected call of `scheduler.step', ''),
    # MMEngine's about the start method that it set itself in the first fold.
    ('Multi-processing start method', ''),
)
LINE_EVERY = 10.0  # seconds between two plain lines


def hide_library_warnings() -> None:
    """Ignore LIBRARY_WARNINGS in this process, which is one of our tools."""
    for message, module in LIBRARY_WARNINGS:
        warnings.filterwarnings('ignore', message, module=module)


class PlainStream:
    """A text stream on which control characters appear as escapes.

    Names of files and classes, messages of libraries that quote them: any of
    it may be a stranger's.
    """

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        self.stream.write(visible(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> object:
        return getattr(self.stream, name)


@contextmanager
def plain_streams() -> Iterator[None]:
    """Let everything that is printed inside go through PlainStream."""
    before = sys.stdout, sys.stderr
    for stream in filter(None, before):
        # A name may hold what the code page of the screen has not.
        stream.reconfigure(errors='backslashreplace')
    _wrap()
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def rich_console(stream: IO[str]) -> 'Console':
    """A console of rich's, whose own colours reach the terminal."""
    from rich.console import Console

    while isinstance(stream, PlainStream):
        stream = stream.stream
    return Console(file=stream)


def start_bar(bar) -> None:
    """Show a bar of rich's, which takes over the streams meanwhile."""
    bar.start()
    _wrap()


def _wrap() -> None:
    # Python has no streams where they are closed.
    sys.stdout = sys.stdout and PlainStream(sys.stdout)
    sys.stderr = sys.stderr and PlainStream(sys.stderr)


def duration(seconds: float) -> str:
    """Return a time with its units, such as `1 min 5 s`."""
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, rest = divmod(rest, 60)
    if hours:
        return f'{hours} h {minutes} min'
    return f'{minutes} min {rest} s' if minutes else f'{rest} s'


def announce(text: str) -> None:
    """Say on a terminal what takes the next seconds."""
    if sys.stderr and sys.stderr.isatty():
        print(f'{text} ...', file=sys.stderr, flush=True)


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
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    count = DownloadColumn() if size else MofNCompleteColumn()
    bar = Progress(
        TextColumn('{task.description}', markup=False),
        BarColumn(),
        count,
        TimeRemainingColumn(),
        console=rich_console(sys.stderr),
    )
    task = bar.add_task(visible(what), total=total or None, completed=start)
    start_bar(bar)
    try:
        yield lambda steps: bar.advance(task, steps)
    finally:
        bar.stop()


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
