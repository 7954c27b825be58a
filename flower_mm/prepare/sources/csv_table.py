"""A CSV or TSV file with a photo and its class in each row.

    image,label                path;class;split
    0001,daisy                 img/0001.jpg;daisy;train

Several files train.csv, val.csv and test.csv are the splits.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import PurePosixPath

from flower_mm.errors import UserError
from flower_mm.prepare.sources.class_folders import folder_of_classes
from flower_mm.prepare.sources.labelled_rows import (
    MatchedRows,
    Row,
    listing_of,
    match_rows,
)
from flower_mm.prepare.sources.listing import (
    SPLIT_NAMES,
    TABLE,
    Listing,
    Source,
    refusal,
)
from flower_mm.prepare.sources.photo_index import PhotoIndex
from flower_mm.prepare.sources.table_files import (
    NESTED,
    SPLIT_COLUMNS,
    Table,
    is_table,
)

# Kaggle adds a table that shows the form of an answer.
ANSWERS = ('submission', 'sample_submission', 'samplesubmission')


def find_csv_table(source: Source) -> Listing | None:
    """Take the tables in the outermost folder that has any."""
    tables = [table for table in _tables(source) if is_complete(table, source)]
    if not tables:
        if source.names_a_table:
            raise refusal(
                f'{source.path} has no CSV or TSV file, which --images, '
                '--path-column and --label-column are for',
                TABLE,
            )
        return None
    splits = [
        SPLIT_NAMES.get(PurePosixPath(table.name).stem.casefold(), '')
        for table in tables
    ]
    if len(tables) == 1:
        splits = ['']
    elif 'train' not in splits or '' in splits:
        each = [read_tables(source, [t], [''], TABLE) for t in tables]
        listings = [listing for listing in each if listing]
        if len(listings) < 2:
            return listings[0] if listings else None
        raise refusal(
            f'{source.path} has several tables of photos: '
            f'{", ".join(table.name for table in tables)}.\n'
            f'Name one: {source.path / tables[0].name}',
            TABLE,
        )
    return read_tables(source, tables, splits, TABLE)


def read_tables(
    source: Source, tables: list[Table], splits: list[str], kind: str
) -> Listing | None:
    """Return the photos of the rows; None if the table is about others."""
    index = PhotoIndex(*source.photos)
    rows = [
        row
        for table, split in zip(tables, splits, strict=True)
        for row in _rows(table, source, split)
    ]
    matched = match_rows(rows, index, is_beside=not source.images)
    where = ', '.join(table.name for table in tables[:3])
    if not matched.rows:
        if not source.names_a_table:
            return None
        folder = source.images or source.path.parent
        raise refusal(
            f'no row of {where} has a photo in {folder}: '
            f'{matched.without_file[0] if rows else "it has no rows"}.\n'
            'Name the folder of the photos: --images FOLDER',
            kind,
        )
    if not source.names_a_table and _repeats_folders(matched, source):
        return None
    listing = listing_of(matched, index, kind, where)
    names = {table.name for table in tables}
    listing.other_files = [f for f in listing.other_files if f not in names]
    return listing


def describe_tables(source: Source) -> str:
    """Return a line about the first table that was not taken, or ''."""
    with suppress(UserError):
        for table in _tables(source)[:1]:
            return (
                f'.\nFor the columns of {table.name} '
                f'({table.shown_columns()}), use --path-column and '
                '--label-column'
            )
    return ''


def _tables(source: Source) -> list[Table]:
    if source.chosen:
        names = [source.chosen] if is_table(source.chosen) else []
    else:
        names = sorted(filter(is_table, source.tree.files))
        depth = min((name.count('/') for name in names), default=0)
        names = [
            name
            for name in names
            if name.count('/') == depth
            and PurePosixPath(name).stem.casefold() not in ANSWERS
        ]
    return [Table(source.tree.files[name], name) for name in names]


def is_complete(table: Table, source: Source) -> bool:
    """Return whether it has both columns; refuse a named table without."""
    photos = table.path_column(source.path_column)
    labels = photos and table.label_column(source.label_column)
    if labels and photos != labels:
        return True
    if source.names_a_table:
        lacks = 'classes' if photos else 'photos'
        flag = '--label-column' if photos else '--path-column'
        raise refusal(
            f'{table.name} has no column of {lacks}: got '
            f'{table.shown_columns()}.\nName it: {flag} COLUMN',
            TABLE,
        )
    return False


def _rows(table: Table, source: Source, split: str) -> Iterator[Row]:
    photos = table.path_column(source.path_column)
    labels = table.label_column(source.label_column)
    splits = table.column(SPLIT_COLUMNS)
    for line, cells in table.lines:
        if NESTED in (cells.get(photos), cells.get(labels)):
            raise refusal(
                f'{table.name} line {line}: expected text or a number for '
                f'{photos} and {labels}, got several values.\n'
                'Multi-label classification and detection are not supported',
                TABLE,
            )
        yield Row(
            table.name,
            line,
            cells.get(photos, ''),
            cells.get(labels, ''),
            split or cells.get(splits, ''),
        )


def _repeats_folders(matched: MatchedRows, source: Source) -> bool:
    """Return whether the folders of the photos name the same classes.

    Class folders then say as much, unless the table has a split.
    """
    base = folder_of_classes(source.tree)
    folder_of: dict[str, str] = {}
    label_of: dict[str, str] = {}
    for path, rows in matched.rows.items():
        folders = path.removeprefix(base).split('/')[:-1]
        if folders and folders[0].casefold() in SPLIT_NAMES:
            folders = folders[1:]
        if not folders or any(row.split for row in rows):
            return False
        for row in rows:
            label = row.label
            if folder_of.setdefault(label, folders[0]) != folders[0]:
                return False
            if label_of.setdefault(folders[0], label) != label:
                return False
    return len(folder_of) > 1
