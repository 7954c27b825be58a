"""Read CSV, TSV and JSON Lines files, and find columns by their names."""

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from flower_mm.links import read_file
from flower_mm.plain_text import shorten
from flower_mm.prepare.sources.listing import TABLE, refusal

SUFFIXES = ('.csv', '.tsv', '.jsonl')
DELIMITERS = ',;\t|'
# Names of columns as `plain` spells them, the first that exists is taken.
PATH_COLUMNS = (
    'path', 'file', 'filename', 'filepath', 'imagepath', 'imgpath',
    'imagefile', 'imagename', 'image', 'img', 'imageid', 'id',
)  # fmt: skip
LABEL_COLUMNS = (
    'label', 'class', 'category', 'target', 'labels', 'classname', 'labelname',
)  # fmt: skip
SPLIT_COLUMNS = ('split', 'subset')
NESTED = '\0nested'  # stands for a list or an object of JSON
SHOWN = 12  # columns in a message

# The number of a line and its cells by column.
Line = tuple[int, dict[str, str]]


class Table:
    """The lines of a table, which are read once for each iteration."""

    def __init__(self, file: str, name: str) -> None:
        self.name = name
        suffix = PurePosixPath(name).suffix.casefold()
        try:
            text = _decoded(read_file(Path(file)))
            if suffix == '.jsonl':
                self.lines = list(_json_lines(text))
            else:
                self.lines = list(_csv_lines(text, suffix))
        except (OSError, ValueError, RecursionError, csv.Error) as error:
            raise refusal(
                f'{name} cannot be read as a table: {shorten(str(error))}.\n'
                'Save it as CSV in UTF-8',
                TABLE,
            ) from error
        self.columns = list(dict.fromkeys(
            column for _, cells in self.lines[:1000] for column in cells
        ))  # fmt: skip

    def column(self, names: tuple[str, ...]) -> str:
        """Return the first column of one of these names, or ''."""
        by_name = {plain(column): column for column in self.columns}
        return next((by_name[n] for n in names if n in by_name), '')

    def path_column(self, chosen: str = '') -> str:
        return self._chosen(chosen) or self.column(PATH_COLUMNS)

    def label_column(self, chosen: str = '') -> str:
        """Return the column of the classes; refuse to choose of several."""
        if chosen:
            return self._chosen(chosen)
        columns = [c for c in self.columns if plain(c) in LABEL_COLUMNS]
        if len(columns) > 1:
            raise refusal(
                f'{self.name} has several columns of classes: '
                f'{", ".join(map(shorten, columns))}.\n'
                f'Choose one: --label-column {shorten(columns[0])}',
                TABLE,
            )
        return columns[0] if columns else ''

    def _chosen(self, name: str) -> str:
        if name and name not in self.columns:
            raise refusal(
                f'{self.name} has no column {shorten(name)!r}: '
                f'got {self.shown_columns()}',
                TABLE,
            )
        return name

    def shown_columns(self) -> str:
        names = ', '.join(map(shorten, self.columns[:SHOWN]))
        return (names or 'none') + ', …' * (len(self.columns) > SHOWN)


def is_table(name: str) -> bool:
    return name.casefold().endswith(SUFFIXES)


def plain(column: str) -> str:
    """Return the letters and digits of a name, without case."""
    return re.sub(r'[\W_]+', '', column).casefold()


def _decoded(data: bytes) -> str:
    """Decode UTF-8, or the UTF-16 that spreadsheets call Unicode text."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode('utf-16')
    return data.decode('utf-8-sig')


def _csv_lines(text: str, suffix: str) -> Iterator[Line]:
    head = text.lstrip().partition('\n')[0]
    delimiter = '\t' if suffix == '.tsv' else max(DELIMITERS, key=head.count)
    rows = csv.reader(io.StringIO(text, newline=''), delimiter=delimiter)
    names: list[str] = []
    for row in rows:
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        if not names:
            names = cells
        else:
            # Short rows lack cells; spreadsheets add empty columns.
            pairs = zip(names, cells, strict=False)
            yield rows.line_num, {k: v for k, v in pairs if k}


def _json_lines(text: str) -> Iterator[Line]:
    for number, line in enumerate(text.split('\n'), 1):
        if line.strip():
            cells = json.loads(line)
            if not isinstance(cells, dict):
                raise ValueError(f'line {number}: expected an object')
            yield number, {key: _cell(value) for key, value in cells.items()}


def _cell(value: object) -> str:
    """Return a value of JSON as text."""
    if isinstance(value, list | dict):
        return NESTED
    return '' if value is None else str(value).strip()
