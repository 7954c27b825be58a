"""The annotation files of MMPretrain, with the photos beside them.

    train.txt, val.txt        daisy/a.jpg 0
    train/daisy/a.jpg         rose/b.jpg 1
    classes.txt               the names in the order of the numbers

Paths are relative to the folder of the split, or to that of the list. Without
classes.txt, the folders of the photos name the classes if each class has one
of its own; otherwise the numbers are the names.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from flower_mm.errors import UserError
from flower_mm.layout import DatasetDir
from flower_mm.links import read_file
from flower_mm.plain_text import shorten
from flower_mm.prepare.file_tree import FileTree, is_photo_name
from flower_mm.prepare.sources.labelled_rows import (
    Row,
    listing_of,
    match_rows,
)
from flower_mm.prepare.sources.listing import (
    ANNOTATION,
    SPLIT_NAMES,
    Listing,
    Source,
    refusal,
)
from flower_mm.prepare.sources.photo_index import PhotoIndex

LINE = re.compile(r'(\S.*?)\s+([0-9]{1,9})')


def find_annotation(source: Source) -> Listing | None:
    """Take the outermost train.txt and the lists beside it."""
    if source.names_a_table:
        return None
    lists = _lists(source.tree)
    if not lists:
        return None
    rows = [
        row
        for name, split in lists.items()
        for row in _rows(source.tree, name, split)
    ]
    names = _class_names(source.tree, rows)
    rows = [row._replace(label=names[int(row.label)]) for row in rows]
    index = PhotoIndex(*source.photos)
    matched = match_rows(rows, index)
    where = ', '.join(lists)
    if not matched.rows:
        raise refusal(
            f'no photo of {where} is in {source.path}: '
            f'{matched.without_file[0]}.\n'
            'Put the lists beside the folders of the photos',
            ANNOTATION,
        )
    order = [names[number] for number in sorted(names)]
    listing = listing_of(matched, index, ANNOTATION, where, order)
    known = {*lists, rows[0].base + DatasetDir.CLASSES, DatasetDir.CLASSES}
    listing.other_files = [f for f in listing.other_files if f not in known]
    return listing


def _lists(tree: FileTree) -> dict[str, str]:
    """Return the lists beside the outermost train.txt, and their splits."""
    train = DatasetDir.list_of('train')
    named = [path for path in tree.files if f'/{path}'.endswith(f'/{train}')]
    named.sort(key=lambda path: (path.count('/'), path))
    for path in named:
        base = path.removesuffix(train)
        lists = {
            base + f'{name}.txt': split
            for name, split in SPLIT_NAMES.items()
            if _has_labels(tree, base + f'{name}.txt')
        }
        if path in lists:
            return lists
    return {}


def _has_labels(tree: FileTree, name: str) -> bool:
    if name not in tree.files:
        return False
    line = next((text for _, text in _lines(tree, name)), '')
    match = LINE.fullmatch(line)
    return match is not None and is_photo_name(match[1])


def _lines(tree: FileTree, name: str) -> Iterator[tuple[int, str]]:
    try:
        text = read_file(Path(tree.files[name])).decode('utf-8-sig')
    except (OSError, ValueError) as error:
        raise _fault(name, f'cannot be read: {error}') from error
    for number, line in enumerate(text.split('\n'), 1):
        if line.strip():
            yield number, line.strip()


def _rows(tree: FileTree, name: str, split: str) -> Iterator[Row]:
    base, stem = name[: name.rfind('/') + 1], Path(name).stem
    above = base[: base[:-1].rfind('/') + 1]
    for number, line in _lines(tree, name):
        match = LINE.fullmatch(line)
        if not match:
            raise _fault(
                f'{name} line {number}',
                f'expected a photo and its class number, got {shorten(line)}',
            )
        photo = match[1]
        if f'{base}{stem}/{photo}' in tree.files:
            photo = f'{stem}/{photo}'
        elif base and f'{above}{stem}/{photo}' in tree.files:
            photo = f'../{stem}/{photo}'  # of meta/train.txt
        yield Row(name, number, photo, str(int(match[2])), split)


def _class_names(tree: FileTree, rows: list[Row]) -> dict[int, str]:
    """Return the name of each number."""
    numbers = {int(row.label) for row in rows}
    for name in (rows[0].base + DatasetDir.CLASSES, DatasetDir.CLASSES):
        if name in tree.files:
            names = [line for _, line in _lines(tree, name)]
            if max(numbers) >= len(names):
                raise _fault(
                    name,
                    f'expected {max(numbers) + 1} classes, got {len(names)}',
                )
            return dict(enumerate(names))
    folders: dict[int, set[str]] = {number: set() for number in numbers}
    for row in rows:
        parts = row.photo.split('/')
        folders[int(row.label)].add(parts[-2] if len(parts) > 1 else '')
    names_of = {n: next(iter(own)) for n, own in folders.items()}
    is_class_of = all(len(own) == 1 for own in folders.values())
    if is_class_of and len(set(names_of.values()) - {''}) == len(numbers):
        return names_of
    return {number: str(number) for number in numbers}


def _fault(where: str, fault: str) -> UserError:
    return refusal(f'{where}: {fault}.\nCorrect the file', ANNOTATION)
