"""Rows of a photo, its class and its split, as tables have them."""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from flower_mm.plain_text import escape_controls, shorten
from flower_mm.prepare.file_tree import is_photo_name
from flower_mm.prepare.photo import Photo, nfc
from flower_mm.prepare.sources.listing import (
    BAD_NAME,
    SPLIT_NAMES,
    TABLE,
    Listing,
    class_names,
    refusal,
)
from flower_mm.prepare.sources.photo_index import PhotoIndex

# Above this share of photos with several classes, all are refused.
SEVERAL_CLASSES = 0.1


class Row(NamedTuple):
    """A line of a table."""

    table: str  # its path below the root
    line: int
    photo: str
    label: str
    split: str = ''

    @property
    def place(self) -> str:
        return f'{escape_controls(self.table)} line {self.line}'

    @property
    def base(self) -> str:
        """The folder of the table, '' or such as 'a/'."""
        return self.table[: self.table.rfind('/') + 1]


class MatchedRows(NamedTuple):
    """Rows by the photo that they mean."""

    rows: dict[str, list[Row]]
    without_file: list[str]  # descriptions of the other rows


def match_rows(
    rows: Iterable[Row], index: PhotoIndex, is_beside: bool = True
) -> MatchedRows:
    """Find the photo of each row.

    Paths are relative to the table if the photos are beside it.
    """
    matched: dict[str, list[Row]] = defaultdict(list)
    without_file = []
    for row in rows:
        base = row.base if is_beside else ''
        paths = index.find(row.photo, row.place, base) if row.photo else []
        if len(paths) == 1:
            matched[paths[0]].append(row)
            continue
        several = ', '.join(map(shorten, paths[:3]))
        without_file.append(
            f'{row.place}: {shorten(row.photo)}'
            + f' (several: {several})' * bool(paths)
        )
    return MatchedRows(dict(matched), without_file)


def listing_of(
    matched: MatchedRows,
    index: PhotoIndex,
    kind: str,
    where: str,
    classes: list[str] | None = None,
) -> Listing:
    """Return the photos of the rows, with the labels of their classes.

    `classes` gives the order of the classes; by default they are sorted.
    """
    listing = Listing(kind, [], [], rows_without_file=matched.without_file)
    label_of: dict[str, str] = {}
    for path, rows in sorted(matched.rows.items()):
        labels = sorted({_clean(row.label) for row in rows})
        shown = escape_controls(path)
        if shown != path:
            listing.bad[shown] = BAD_NAME
        elif len(labels) > 1:
            names = ', '.join(map(shorten, labels))
            listing.left_out[shown] = f'several classes in {where}: {names}'
        elif not labels[0]:
            listing.left_out[shown] = f'without a class in {where}'
        else:
            label_of[path] = labels[0]
    _refuse_several_classes(listing, len(matched.rows), where)
    listing.classes = order_classes(set(label_of.values()), where, classes)
    number = {name: i for i, name in enumerate(listing.classes)}
    by_folder = _splits_of_folders(matched)
    listing.photos = [
        Photo(
            path,
            index.files[path],
            number[label],
            by_folder.get(path) or _split(matched.rows[path]),
            path.rpartition('/')[2],
        )
        for path, label in label_of.items()
    ]
    _refuse_missing_splits(listing, where)
    _list_other_files(listing, matched, index, where)
    return listing


def _clean(label: str) -> str:
    return nfc(label.strip())


def order_classes(
    names: set[str], where: str, classes: list[str] | None
) -> list[str]:
    """Return valid names in the order of `classes`, or sorted.

    Numbers are sorted by their value.
    """
    class_names(sorted(names), where, 'Give all rows of a class one name')
    if classes:
        used = [name for name in classes if name in names]
        return used + sorted(names - set(used))
    if all(re.fullmatch('[0-9]{1,9}', name) for name in names):
        return sorted(names, key=int)
    return sorted(names)


def _splits_of_folders(matched: MatchedRows) -> dict[str, str]:
    """Return the splits if the folders of all photos name them.

    They do so in train/ and test/, and not in train/ alone. A split in the
    table counts more.
    """
    splits = {}
    for path, rows in matched.rows.items():
        folders = [part.casefold() for part in path.split('/')[:-1]]
        names = [SPLIT_NAMES[part] for part in folders if part in SPLIT_NAMES]
        if not names or any(row.split for row in rows):
            return {}
        splits[path] = names[0]
    found = set(splits.values())
    return splits if 'train' in found and len(found) > 1 else {}


def _split(rows: list[Row]) -> str:
    splits = {row.split.strip().casefold() for row in rows}
    for row in rows:
        name = row.split.strip().casefold()
        if name and name not in SPLIT_NAMES:
            raise refusal(
                f'{row.place}: unknown split {shorten(row.split)!r}: expected '
                'train, val or test',
                TABLE,
            )
    names = {SPLIT_NAMES.get(name, '') for name in splits}
    if len(names) > 1:
        raise refusal(
            f'{rows[0].place}: the photo is in several splits: '
            f'{", ".join(sorted(names))}.\nKeep one of its rows',
            TABLE,
        )
    return names.pop()


def _refuse_missing_splits(listing: Listing, where: str) -> None:
    without = [photo.path for photo in listing.photos if not photo.split]
    if without and len(without) < len(listing.photos):
        raise refusal(
            f'{where}: {len(without)} photos have no split, such as '
            f'{without[0]}.\nGive all rows a split, or none',
            TABLE,
        )


def _refuse_several_classes(listing: Listing, total: int, where: str) -> None:
    several = [
        path
        for path, why in listing.left_out.items()
        if why.startswith('several classes')
    ]
    if len(several) > SEVERAL_CLASSES * total:
        raise refusal(
            f'{where} gives {len(several)} of {total} photos several classes, '
            f'such as {several[0]}: expected one class a photo.\n'
            'Multi-label classification and detection are not supported',
            TABLE,
        )


def _list_other_files(
    listing: Listing, matched: MatchedRows, index: PhotoIndex, where: str
) -> None:
    """List the files without a row in the folders of those with one."""
    folders = {path.rpartition('/')[0] for path in matched.rows}
    for path in sorted(index.files.keys() - matched.rows.keys()):
        if path.rpartition('/')[0] in folders:
            shown = escape_controls(path)
            if is_photo_name(path):
                listing.left_out[shown] = f'without a row in {where}'
            else:
                listing.other_files.append(shown)
