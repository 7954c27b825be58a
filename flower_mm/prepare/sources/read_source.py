"""List what a user named: a folder, an archive or a table."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from flower_mm.layout import DatasetDir
from flower_mm.prepare.archive import unpack
from flower_mm.prepare.file_tree import (
    FileTree,
    is_photo_name,
    list_folder,
)
from flower_mm.prepare.photo import Photo
from flower_mm.prepare.sources.csv_table import describe_tables
from flower_mm.prepare.sources.listing import (
    ANNOTATION,
    CLASS_FOLDERS,
    FLOWERS_102,
    SPLIT_FOLDERS,
    TABLE,
    ListedPhotos,
    Listing,
    Source,
    is_url,
    refusal,
)
from flower_mm.prepare.sources.parquet_shards import is_parquet
from flower_mm.prepare.sources.recognise import recognise
from flower_mm.prepare.sources.table_files import is_table

if TYPE_CHECKING:
    from flower_mm.prepare.prepare_dataset import Options

# Of files that name classes.
LABEL_SUFFIXES = ('.csv', '.tsv', '.jsonl', '.parquet', '.mat', '.txt')
SPREADSHEETS = ('.xlsx', '.xls', '.ods', '.numbers')
UNPACKED = 'unpacked'  # folder for photos that the source holds packed


def require_source(path: Path, options: 'Options') -> None:
    """Raise UserError unless `path` is a folder or a file."""
    refuse_url(str(path))
    refuse_url(options.images)
    if not (path.is_dir() or path.is_file()):
        # Reading a pipe would block.
        fault = 'is a device' if path.exists() else 'does not exist'
        raise refusal(
            f'{path} {fault}: expected a folder with one folder per class, '
            'or a zip or tar file of one',
            CLASS_FOLDERS,
            SPLIT_FOLDERS,
            TABLE,
        )
    if path.suffix.casefold() in ('.txt', '.mat') and path.is_file():
        raise refusal(
            f'{path} is a list of photos: expected the folder of the list and '
            f'the photos.\nName the folder: {path.absolute().parent}',
            ANNOTATION,
            FLOWERS_102,
        )
    if path.suffix.casefold() in SPREADSHEETS and path.is_file():
        raise refusal(
            f'{path} is a spreadsheet: expected CSV or TSV.\n'
            'Save it as CSV in UTF-8',
            TABLE,
        )
    if options.images and not Path(options.images).is_dir():
        raise refusal(
            f'--images {options.images} is not a folder: expected that of the '
            'photos',
            TABLE,
        )
    if path.is_file() and options.how == 'none':
        raise refusal(
            f'{path} is a file: expected a folder with --how none.\n'
            'Omit --how, or unpack an archive first',
            CLASS_FOLDERS,
        )


def refuse_url(text: str) -> None:
    if is_url(text):
        # Path has made one slash of two.
        url = re.sub(':/+', '://', text, count=1)
        raise refusal(
            f'{url} is a URL: expected a folder or a file.\n'
            'Download and check it yourself first',
            CLASS_FOLDERS,
        )


def read_source(
    path: Path, work: Path, out: Path, options: 'Options'
) -> Listing:
    """Return the photos of a source, and print what it was recognised as.

    An archive is unpacked into `work`. Photos are never listed in `out`.
    """
    if (path / DatasetDir.INDEX).is_file():
        raise refusal(
            f'{path} is a dataset of shards already: train with --data {path}'
            '.\nIts corrected version: --apply-corrections',
            CLASS_FOLDERS,
        )
    (work / UNPACKED).mkdir()
    tree, chosen = _files(path, work, out)
    source = Source(
        path,
        tree,
        chosen,
        images=Path(options.images) if options.images else None,
        images_tree=list_folder(Path(options.images), leave_out=out)
        if options.images
        else None,
        path_column=options.path_column,
        label_column=options.label_column,
        unpacked=work / UNPACKED,
    )
    listing = recognise(source)
    if len(listing.classes) < 2:
        classes = ', '.join(listing.classes)
        got = f'one class ({classes})' if classes else 'no photos with a class'
        raise refusal(
            f'{path} has {got}: expected two or more classes, e.g. '
            f'{path / "daisy"} and {path / "rose"}' + describe_tables(source),
            CLASS_FOLDERS,
            SPLIT_FOLDERS,
            TABLE,
        )
    if len({photo.split for photo in listing.photos}) == 1:
        listing.photos = _WithoutSplit(listing.photos)
    print(f'{path} was recognised as {listing.describe()}')
    return listing


class _WithoutSplit:
    """Photos in one folder such as train, the name of which is no split."""

    def __init__(self, photos: ListedPhotos) -> None:
        self.photos = photos

    def __len__(self) -> int:
        return len(self.photos)

    def __iter__(self) -> Iterator[Photo]:
        for photo in self.photos:
            photo.split = ''
            yield photo


def _files(path: Path, work: Path, out: Path) -> tuple[FileTree, str]:
    """Return the files of a source, and the name of a chosen one."""
    if path.is_dir():
        return list_folder(path), ''
    if not stands_alone(path):
        tree = list_folder(path.parent, leave_out=out)
        if path.name not in tree.files:  # such as .photos.csv
            tree.files = {**tree.files, path.name: str(path)}
        return tree, path.name
    return unpack(path, work / UNPACKED, is_wanted), ''


def stands_alone(path: Path) -> bool:
    """Return whether a file has its photos in it, as archives have."""
    return not (is_table(path.name) or is_parquet(path.name))


def is_wanted(name: str) -> bool:
    """Return whether a file of an archive is worth unpacking."""
    suffix = PurePosixPath(name).suffix.casefold()
    return is_photo_name(name) or suffix in LABEL_SUFFIXES
