"""Write predictions as CSV, as JSON or on the screen."""

import io
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from flower_mm.csv_files import write_row
from flower_mm.errors import UserError, printable
from flower_mm.files import NO_ROOM, no_room, replacing
from flower_mm.inference.calibration import WorkingPoint
from flower_mm.inference.classifier import Prediction, Unread
from flower_mm.inference.photo_files import PhotoFile
from flower_mm.photo_faults import reason_lines
from flower_mm.plain_text import escape_controls, visible

# Takes a prediction and the label: the class, UNSURE below the threshold, or
# UNKNOWN.
Write = Callable[[Prediction, str], None]

UNSURE = 'unsure'
UNKNOWN = 'unknown'  # unlike the training photos
STDOUT = '-'
SEPARATOR = '|'  # of the classes of a set
COLUMNS = ['photo', 'predicted', 'confidence']
UNLIKENESS, SET = 'unlikeness', 'classes'
_MORE: dict[str, Callable[[Prediction], str]] = {
    UNLIKENESS: lambda prediction: f'{prediction.unlikeness:.3f}',
    SET: lambda prediction: SEPARATOR.join(prediction.classes),
}
MAX_ROWS = 100  # of the table
MAX_UNREAD = 20  # in the list
MAX_CLASSES = 10  # in the summary
MAX_CLASS_NAME = 40  # characters


@contextmanager
def opened(path: str) -> Iterator['IO[bytes] | _Screen']:
    """Open standard output, or a file that replaces `path` at the end."""
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


def require_safe_output(
    flag: str, path: str, photos: Iterable[PhotoFile]
) -> None:
    """Refuse to replace a file that may not be a result of this command.

    In `--csv photos/*` the shell puts a photo in the place of the CSV file.
    """
    if path == STDOUT:
        return
    file, suffix = Path(path), flag.replace('--', '.')
    if file.is_dir():
        raise UserError(f'{flag} {path} is a folder.\nName a file')
    if file.is_file() and file.suffix.lower() != suffix:
        raise UserError(
            f'{flag} {path} exists and does not end in {suffix}.\n'
            'Name a new file'
        )
    if file.is_file() and any(
        Path(photo.file).exists() and file.samefile(photo.file)
        for photo in photos
    ):
        raise UserError(
            f'{flag} {path} is one of the photos.\nName a new file'
        )


class _Screen:
    """A terminal; sys.stdout escapes control characters in names."""

    def write(self, data: bytes) -> None:
        sys.stdout.write(data.decode(errors='surrogateescape'))


def shortest(probability: float) -> str:
    """Return the shortest text that is read as the same float32."""
    return str(np.float32(probability))


@contextmanager
def csv_into(
    path: str, classes: list[str], more: Sequence[str] = ()
) -> Iterator[Write]:
    """Write a line per photo: label, confidence, all probabilities.

    Args:
        path: The file, or STDOUT.
        classes: Their names.
        more: Which of UNLIKENESS and SET come before the probabilities.
    """
    with opened(path) as file:

        def line(*cells: str) -> None:
            text = io.StringIO(newline='')
            write_row(text, cells)
            # The bytes of a name are written unchanged.
            file.write(text.getvalue().encode(errors='surrogateescape'))

        def write(prediction: Prediction, label: str) -> None:
            line(
                prediction.photo,
                label,
                shortest(prediction.confidence),
                *(_MORE[column](prediction) for column in more),
                *map(shortest, prediction.probabilities.values()),
            )

        line(*COLUMNS, *more, *classes)
        yield write


@contextmanager
def json_into(path: str, head: dict, bad: list[Unread]) -> Iterator[Write]:
    """Write one object: `head`, the photos and finally the unread ones."""
    with opened(path) as file:
        first = True

        def put(value: object) -> None:
            text = json.dumps(value, ensure_ascii=False)
            # Bytes that are not UTF-8 are written as \udcff.
            file.write(text.encode(errors='backslashreplace'))

        def write(prediction: Prediction, label: str) -> None:
            nonlocal first
            file.write(b'\n' if first else b',\n')
            first = False
            put(
                {
                    'photo': prediction.photo,
                    'predicted': label,
                    'confidence': float(shortest(prediction.confidence)),
                    **_more(prediction),
                    'probabilities': {
                        name: float(shortest(value))
                        for name, value in prediction.probabilities.items()
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
        put([{'photo': photo.photo, 'why': photo.why} for photo in bad])
        file.write(b'}\n')


def _more(prediction: Prediction) -> dict:
    more: dict = {}
    if prediction.unlikeness is not None:
        more[UNLIKENESS] = round(prediction.unlikeness, 3)
    if prediction.classes:
        more[SET] = prediction.classes
    return more


def top_classes(
    prediction: Prediction, label: str, topk: int
) -> list[tuple[str, str]]:
    """Return the most probable classes and their percentages as text.

    Of a set of classes, all but those beyond MAX_CLASSES.
    """
    count = min(len(prediction.classes) or topk, max(topk, MAX_CLASSES))
    names = [
        (printable(name, MAX_CLASS_NAME), f'{100 * value:.1f} %')
        for name, value in prediction.top(count)
    ]
    if label != prediction.label:
        names[0] = f'{label}: {names[0][0]}', names[0][1]
    return names


@contextmanager
def lines_on(
    file: IO[str], classes: list[str], labels: list[str], topk: int
) -> Iterator[Write]:
    """Write a line per photo at once, for a file or another program."""
    width = max(len(printable(name, MAX_CLASS_NAME)) for name in classes)
    extra = [len(f'{label}: ') for label in labels if label not in classes]
    width += max(extra, default=0)

    def write(prediction: Prediction, label: str) -> None:
        cells = [
            f'{name:{width}} {percent:>7}'
            for name, percent in top_classes(prediction, label, topk)
        ]
        print(*cells, escape_controls(prediction.photo), sep='  ', file=file)

    yield write


@contextmanager
def table_on(
    file: IO[str], classes: list[str], labels: list[str], topk: int
) -> Iterator[Write]:
    """Write a table to a terminal after the last photo."""
    from flower_mm.console import rich_console
    from flower_mm.inference.prediction_table import table

    rows: list[tuple[Prediction, str]] = []
    more = 0

    def write(prediction: Prediction, label: str) -> None:
        nonlocal more
        if len(rows) < MAX_ROWS:
            rows.append((prediction, label))
        else:
            more += 1

    yield write
    if not rows:
        return
    console = rich_console(file)
    shown = [top_classes(*row, topk) for row in rows]
    columns = max(map(len, shown))
    content = table(
        [
            (
                names + [('', '')] * (columns - len(names)),
                visible(escape_controls(prediction.photo)),
                label != prediction.label,
            )
            for names, (prediction, label) in zip(shown, rows, strict=True)
        ]
    )
    # The width that the table has without a limit.
    wide = console.options.update_width(10_000)
    if console.measure(content, options=wide).minimum <= console.width:
        console.print(content)
    else:
        with lines_on(file, classes, labels, topk) as line:
            for row in rows:
                line(*row)
    if more:
        console.print(f'… and {more} more: --csv FILE writes all', style='dim')


def promise(point: WorkingPoint) -> str:
    """Say what a working point is worth."""
    return (
        f'unsure below {100 * point.threshold:.1f} %: of {point.total} '
        f'validation photos, {point.photos} have more, of which '
        f'{point.right} are right ({100 * point.right / point.photos:.1f} %; '
        f'of further photos like these at least {100 * point.at_least:.1f} % '
        'with 95 % confidence)'
    )


def summary(counts: Counter[str], seconds: float) -> str:
    """Return the number of photos, the speed and the counts per class."""
    total = counts.total()
    speed = total / max(seconds, 1e-9)
    text = f'{total} photo{"s" * (total != 1)} in {seconds:.1f} s'
    if total > 1:
        text += f' ({speed:.{0 if speed >= 10 else 1}f} photos per second)'
    names = [
        f'{number} {printable(name, MAX_CLASS_NAME)}'
        for name, number in counts.most_common(MAX_CLASSES)
    ]
    if len(counts) > MAX_CLASSES:
        rest = total - sum(n for _, n in counts.most_common(MAX_CLASSES))
        names.append(f'{rest} of {len(counts) - MAX_CLASSES} other classes')
    return f'{text}: {", ".join(names)}' if names else text


def list_unread(
    bad: list[Unread], total: int, purpose: str = 'classified'
) -> str:
    """List the photos that could not be used, with the reasons."""
    reasons = reason_lines((escape_controls(p.photo), p.why) for p in bad)
    lines = [f'{len(bad)} of {total} photos could not be {purpose}:']
    lines += [printable(line, 300) for line in reasons[:MAX_UNREAD]]
    if len(reasons) > MAX_UNREAD:
        lines.append(f'… and {len(reasons) - MAX_UNREAD} more')
    return '\n  '.join(lines)
