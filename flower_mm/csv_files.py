"""CSV files whose cells no spreadsheet takes for a formula.

A class or a photo may be called `=cmd|'/C calc'!A1`. Such a text gets an
apostrophe in front of it, which spreadsheets read as the mark of a text, and
which `reader` takes away again. Numbers stay numbers.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from typing import IO

# Where a cell begins: where the language of the machine separates numbers by
# commas, spreadsheets split lines at semicolons, whatever is quoted.
_STARTS = '(^|[;\t\r\n])'
# What formulas begin with in some spreadsheet, full-width signs in those of
# East Asia; after quotes and spaces that a name may have before.
_FORMULA = '(?=[\'" ]*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20])'
_UNMARKED = re.compile(_STARTS + _FORMULA)
_MARKED = re.compile(f"{_STARTS}'{_FORMULA}")
_NUMBER = re.compile(r'[+-]?\d+(\.\d+)?([eE][+-]?\d+)?', re.ASCII)


def as_cell(value: object) -> object:
    """The value, as text that a spreadsheet shows as it is."""
    if not isinstance(value, str) or _NUMBER.fullmatch(value):
        return value
    return _UNMARKED.sub(r"\1'", value)


def from_cell(text: str) -> str:
    """What `as_cell` was given."""
    return _MARKED.sub(r'\1', text)


def write_row(file: IO[str], cells: Iterable[object]) -> None:
    """Write one line."""
    line = io.StringIO(newline='')
    # A cell is quoted if it holds a character of the line's end.
    csv.writer(line, lineterminator='\r\n').writerow(map(as_cell, cells))
    file.write(line.getvalue().removesuffix('\r\n') + '\n')


def read_rows(file: IO[str]) -> Iterator[tuple[int, list[str]]]:
    """Each line as its number and cells; csv.Error where it is damaged."""
    rows = csv.reader(file, strict=True)
    for row in rows:
        yield rows.line_num, [from_cell(cell) for cell in row]


def read_dicts(file: IO[str]) -> Iterator[dict[str, str]]:
    """Each line by the names of the first one; short lines lack some."""
    rows = (row for _, row in read_rows(file) if row)
    names = next(rows, [])
    for row in rows:
        yield dict(zip(names, row, strict=False))
