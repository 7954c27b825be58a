"""CSV files whose cells are not formulas of a spreadsheet.

The name of a class or a photo can be `=cmd|'/C calc'!A1`. Such a text gets an
apostrophe, which marks text in spreadsheets, and which reading removes.
Numbers stay numbers.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from typing import IO

# The start of a cell. In languages with decimal commas, spreadsheets split
# lines at semicolons, even inside quotes.
_STARTS = '(^|[;\t\r\n])'
# The start of a formula in some spreadsheet, with full-width signs in East
# Asia, after quotes and spaces.
_FORMULA = '(?=[\'" ]*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20])'
_UNMARKED = re.compile(_STARTS + _FORMULA)
_MARKED = re.compile(f"{_STARTS}'{_FORMULA}")
_NUMBER = re.compile(r'[+-]?\d+(\.\d+)?([eE][+-]?\d+)?', re.ASCII)


def as_cell(value: object) -> object:
    """Return the value as text that a spreadsheet shows unchanged."""
    if not isinstance(value, str) or _NUMBER.fullmatch(value):
        return value
    return _UNMARKED.sub(r"\1'", value)


def from_cell(text: str) -> str:
    """Undo `as_cell`."""
    return _MARKED.sub(r'\1', text)


def write_row(file: IO[str], cells: Iterable[object]) -> None:
    """Write one line."""
    line = io.StringIO(newline='')
    # csv quotes a cell that contains a character of the line terminator.
    csv.writer(line, lineterminator='\r\n').writerow(map(as_cell, cells))
    file.write(line.getvalue().removesuffix('\r\n') + '\n')


def read_rows(file: IO[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the cells of each line; csv.Error if invalid."""
    rows = csv.reader(file, strict=True)
    for row in rows:
        yield rows.line_num, [from_cell(cell) for cell in row]


def read_dicts(file: IO[str]) -> Iterator[dict[str, str]]:
    """Yield each line by the names in the first; short lines lack some."""
    rows = (row for _, row in read_rows(file) if row)
    names = next(rows, [])
    for row in rows:
        yield dict(zip(names, row, strict=False))
