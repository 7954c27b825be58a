"""What came out, for people and for programs."""

import io
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from flower_mm.csv_files import write_row
from flower_mm.errors import UserError, printable
from flower_mm.files import NO_ROOM, no_room, replacing
from flower_mm.inference.classifier import Prediction, Unread
from flower_mm.plain_text import escape_controls, visible

# Takes what was said of a photo, and the class it goes under: UNSURE where
# the model is not sure enough.
Write = Callable[[Prediction, str], None]

UNSURE = 'unsure'
STDOUT = '-'
COLUMNS = ['photo', 'predicted', 'confidence']
MOST_ROWS = 100  # of the table; more of them nobody reads
MOST_BAD = 20
MOST_CLASSES = 10  # in the line at the end
LONGEST_CLASS = 40  # characters


@contextmanager
def opened(path: str) -> Iterator[IO[bytes]]:
    """The file, which is replaced when it is whole, or standard output."""
    if path == STDOUT:
        yield _Screen() if sys.stdout.isatty() else sys.stdout.buffer
        sys.stdout.flush()
        return
    try:
        with replacing(path) as file:
            yield file
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise UserError(no_room(error, Path(path))) from error


class _Screen:
    """A terminal, which the bytes of a name must not steer."""

    def write(self, data: bytes) -> None:
        sys.stdout.write(data.decode(errors='surrogateescape'))


def shortest(share: float) -> str:
    """numpy's text of a float32: the shortest that is read as the same."""
    return str(np.float32(share))


# --- for programs ------------------------------------------------------------


@contextmanager
def csv_into(path: str, classes: list[str]) -> Iterator[Write]:
    """A line a photo: the class, its share, the shares of all classes."""
    with opened(path) as file:

        def line(*cells: str) -> None:
            text = io.StringIO(newline='')
            write_row(text, cells)
            # A photo's name may be any bytes; they stand there as they are.
            file.write(text.getvalue().encode(errors='surrogateescape'))

        def write(found: Prediction, label: str) -> None:
            shares = map(shortest, found.probabilities.values())
            line(found.photo, label, shortest(found.confidence), *shares)

        line(*COLUMNS, *classes)
        yield write


@contextmanager
def json_into(path: str, head: dict, bad: list[Unread]) -> Iterator[Write]:
    """One object: `head`, the photos and, as they are at the end, the bad."""
    with opened(path) as file:
        first = True

        def put(value: object) -> None:
            text = json.dumps(value, ensure_ascii=False)
            # The bytes of a name that are no UTF-8, as JSON's own \udcff.
            file.write(text.encode(errors='backslashreplace'))

        def write(found: Prediction, label: str) -> None:
            nonlocal first
            file.write(b'\n' if first else b',\n')
            first = False
            put(
                {
                    'photo': found.photo,
                    'predicted': label,
                    'confidence': float(shortest(found.confidence)),
                    'probabilities': {
                        name: float(shortest(share))
                        for name, share in found.probabilities.items()
                    },
                }
            )

        file.write(b'{')
        for key, value in head.items():
            put(key)
            file.write(b': ')
            put(value)
            file.write(b',\n')
        file.write(b'"photos": [')
        yield write
        file.write(b'\n],\n"bad": ')
        put([{'photo': one.photo, 'why': one.why} for one in bad])
        file.write(b'}\n')


# --- for people --------------------------------------------------------------


def guesses(found: Prediction, label: str, topk: int) -> list[tuple[str, str]]:
    """The likeliest classes and their shares, as people read them."""
    names = [
        (printable(name, LONGEST_CLASS), f'{100 * share:.1f} %')
        for name, share in found.top(topk)
    ]
    # A class may be called so where there is no threshold.
    if label != found.label:
        names[0] = f'{UNSURE}: {names[0][0]}', names[0][1]
    return names


@contextmanager
def lines_on(
    file: IO[str], classes: list[str], may_be_unsure: bool, topk: int
) -> Iterator[Write]:
    """Where a program or a file reads: a line a photo, at once."""
    width = max(len(printable(name, LONGEST_CLASS)) for name in classes)
    width += may_be_unsure * len(f'{UNSURE}: ')

    def write(found: Prediction, label: str) -> None:
        cells = [
            f'{name:{width}} {share:>7}'
            for name, share in guesses(found, label, topk)
        ]
        print(*cells, escape_controls(found.photo), sep='  ', file=file)

    yield write


@contextmanager
def table_on(
    file: IO[str], classes: list[str], may_be_unsure: bool, topk: int
) -> Iterator[Write]:
    """On a terminal: a table, when all photos have been looked at."""
    from flower_mm.console import rich_console
    from flower_mm.inference.prediction_table import table

    rows, more = [], 0

    def write(found: Prediction, label: str) -> None:
        nonlocal more
        if len(rows) < MOST_ROWS:
            rows.append((found, label))
        else:
            more += 1

    yield write
    if not rows:
        return
    console = rich_console(file)
    shown_rows = table(
        [
            (
                guesses(found, label, topk),
                visible(escape_controls(found.photo)),
                label == UNSURE,
            )
            for found, label in rows
        ]
    )
    # Where there is room enough, a table measures itself as it wants to be.
    wide = console.options.update_width(10_000)
    if console.measure(shown_rows, options=wide).minimum <= console.width:
        console.print(shown_rows)
    else:
        with lines_on(file, classes, may_be_unsure, topk) as line:
            for row in rows:
                line(*row)
    if more:
        console.print(f'… and {more} more: --csv FILE has all', style='dim')


def summary(counts: Counter[str], seconds: float) -> str:
    """How many photos of which class, and how fast."""
    total = counts.total()
    pace = total / max(seconds, 1e-9)
    text = f'{total} photo{"s" * (total != 1)} in {seconds:.1f} s'
    if total > 1:
        text += f' ({pace:.{0 if pace >= 10 else 1}f} a second)'
    names = [
        f'{number} {printable(name, LONGEST_CLASS)}'
        for name, number in counts.most_common(MOST_CLASSES)
    ]
    if len(counts) > MOST_CLASSES:
        rest = total - sum(n for _, n in counts.most_common(MOST_CLASSES))
        names.append(f'{rest} of {len(counts) - MOST_CLASSES} other classes')
    return f'{text}: {", ".join(names)}' if names else text


def complaints(bad: list[Unread], total: int) -> str:
    """Which photos were passed over, and why."""
    lines = [f'{len(bad)} of {total} could not be used:']
    lines += [
        printable(f'{escape_controls(one.photo)}: {one.why}', 300)
        for one in bad[:MOST_BAD]
    ]
    if len(bad) > MOST_BAD:
        lines.append(f'… and {len(bad) - MOST_BAD} more')
    return '\n  '.join(lines)
