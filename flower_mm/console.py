"""Output to the screen: escaped text, and progress.

Progress is a bar on a terminal and lines in a file.
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
    # Pillow's about photos: flower_mm reports their faults by name.
    ('', 'PIL'),
    # mmcv-lite lacks an operator that classifiers do not use.
    ('Fail to import ``MultiScaleDeformable', ''),
    # mmcv's about each ColorJitter, in each worker.
    ("Only use 'alpha' for pillow backend", ''),
    # With accumulated gradients the schedule counts batches, so that its
    # first step comes before the optimizer's.
    ('Detected call of `scheduler.step', ''),
    # MMEngine's in later folds about the start method that it set itself.
    ('Multi-processing start method', ''),
)
LINE_EVERY = 10.0  # seconds between two plain lines


def hide_library_warnings() -> None:
    """Ignore LIBRARY_WARNINGS in this process."""
    for message, module in LIBRARY_WARNINGS:
        warnings.filterwarnings('ignore', message, module=module)


class PlainStream:
    """A text stream that escapes control characters.

    Names of files and classes, and messages that quote them, may come from a
    stranger.
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
    """Send everything that the block prints through PlainStream."""
    before = sys.stdout, sys.stderr
    for stream in filter(None, before):
        # A name may contain characters that the encoding of the screen lacks.
        stream.reconfigure(errors='backslashreplace')
    _wrap()
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def rich_console(stream: IO[str]) -> 'Console':
    """Return a console of rich that writes to the terminal directly."""
    from rich.console import Console

    while isinstance(stream, PlainStream):
        stream = stream.stream
    return Console(file=stream)


def start_bar(bar) -> None:
    """Show a bar of rich, which replaces the streams."""
    bar.start()
    _wrap()


def _wrap() -> None:
    # A closed stream is None.
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
    """Print on a terminal what takes the next seconds."""
    if sys.stderr and sys.stderr.isatty():
        print(f'{text} ...', file=sys.stderr, flush=True)


def track(
    items: Iterable[T], total: int, task: str, start: int = 0
) -> Iterator[T]:
    """Yield `items` and show the progress on stderr."""
    with progress(total, task, start=start) as advance:
        for item in items:
            yield item
            advance(1)


@contextmanager
def progress(total: int, task: str, start: int = 0, size: bool = False):
    """Yield a function that advances the bar; `size` counts in bytes."""
    if sys.stderr.isatty():
        yield from _live(total, task, start, size)
    else:
        yield from _plain(total, task, start, size)


def _live(total: int, task: str, start: int, size: bool):
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
    row = bar.add_task(visible(task), total=total or None, completed=start)
    start_bar(bar)
    try:
        yield lambda steps: bar.advance(row, steps)
    finally:
        bar.stop()


def _plain(total: int, task: str, start: int, size: bool):
    done, printed = start, time.monotonic()

    def show() -> None:
        unit = (
            f'{done / 1e6:.1f} of {total / 1e6:.1f} MB'
            if size
            else f'{done} of {total}'
            if total
            else f'{done}'
        )
        print(f'{task}: {unit}', file=sys.stderr, flush=True)

    def advance(steps: int) -> None:
        nonlocal done, printed
        done += steps
        if time.monotonic() - printed >= LINE_EVERY:
            printed = time.monotonic()
            show()

    yield advance
    show()
