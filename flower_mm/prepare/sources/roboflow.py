"""Roboflow's _classes.csv: a column of ones and zeros for each class.

    train/_classes.csv           filename, daisy, rose
    train/a_jpg.rf.12.jpg        a_jpg.rf.12.jpg, 1, 0

Roboflow writes it for multi-label projects; each photo needs one class here.
Its classification projects come as split folders.
"""

from flower_mm.plain_text import shorten
from flower_mm.prepare.sources.labelled_rows import (
    Row,
    listing_of,
    match_rows,
)
from flower_mm.prepare.sources.listing import (
    ROBOFLOW,
    SPLIT_FOLDERS,
    Listing,
    Source,
    refusal,
)
from flower_mm.prepare.sources.photo_index import PhotoIndex
from flower_mm.prepare.sources.table_files import Table

NAME = '_classes.csv'


def find_roboflow(source: Source) -> Listing | None:
    names = [
        name
        for name in source.tree.in_order()
        if f'/{name}'.endswith(f'/{NAME}') and source.chosen in ('', name)
    ]
    if not names:
        return None
    tables = [Table(source.tree.files[name], name) for name in names]
    rows = [row for table in tables for row in _rows(table, source)]
    index = PhotoIndex(*source.photos)
    matched = match_rows(rows, index, is_beside=not source.images)
    if not matched.rows:
        raise refusal(
            f'no photo of {names[0]} is in {source.path}.\n'
            'Export the dataset with its photos',
            ROBOFLOW,
        )
    listing = listing_of(matched, index, ROBOFLOW, NAME)
    listing.other_files = [f for f in listing.other_files if f not in names]
    return listing


def _photo_column(table: Table, source: Source) -> str:
    column = table.path_column(source.path_column)
    if not column or len(table.columns) < 3:
        raise refusal(
            f'{table.name}: expected filename and a column for each class, '
            f'got {table.shown_columns()}',
            ROBOFLOW,
        )
    return column


def _rows(table: Table, source: Source) -> list[Row]:
    photos = _photo_column(table, source)
    rows, several = [], []
    for line, cells in table.lines:
        ones = []
        for name, cell in cells.items():
            if name != photos and cell not in ('', '0', '1'):
                raise refusal(
                    f'{table.name} line {line}: expected 0 or 1 for '
                    f'{shorten(name)}, got {shorten(cell)}',
                    ROBOFLOW,
                )
            if name != photos and cell == '1':
                ones.append(name)
        if len(ones) > 1:
            several.append(f'line {line}: {", ".join(map(shorten, ones))}')
        row = Row(table.name, line, cells.get(photos, ''), ''.join(ones[:1]))
        rows.append(row)
    if several:
        raise refusal(
            f'{table.name} gives {len(several)} of {len(rows)} photos several '
            f'classes ({several[0]}): expected one class a photo.\n'
            'Multi-label classification is not supported',
            ROBOFLOW,
            SPLIT_FOLDERS,
        )
    return rows
