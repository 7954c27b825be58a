"""What a source contains: photos with their classes and splits."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from flower_mm.errors import UserError
from flower_mm.plain_text import class_name_fault, shorten
from flower_mm.prepare.file_tree import FileTree
from flower_mm.prepare.photo import Photo, nfc

# The formats, as the table in docs/photos.md names them.
CLASS_FOLDERS = 'class folders'
SPLIT_FOLDERS = 'split folders'
TABLE = 'CSV or TSV'
PARQUET = 'Parquet'
ANNOTATION = 'MMPretrain annotation'
ROBOFLOW = 'Roboflow _classes.csv'
FLOWERS_102 = 'Oxford Flowers-102'
IMAGE_FOLDER = 'Hugging Face imagefolder'

BAD_NAME = (
    'its name contains control characters, line breaks or bytes that are not '
    'UTF-8'
)
# Names of folders, files and values, and the split that they stand for.
SPLIT_NAMES = {
    'train': 'train', 'training': 'train',
    'val': 'val', 'valid': 'val', 'validation': 'val', 'dev': 'val',
    'eval': 'val',
    'test': 'test', 'testing': 'test',
}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """Where the photos of a user are."""

    path: Path  # as the user named it
    tree: FileTree  # of a file that is no archive: the folder around it
    chosen: str = ''  # the path in `tree` of a file that the user named
    images: Path | None = None  # --images
    images_tree: FileTree | None = None
    path_column: str = ''
    label_column: str = ''
    # An empty folder for photos that are not files.
    unpacked: Path | None = None

    @property
    def photos(self) -> tuple[FileTree, Path | None]:
        """The files that paths in a table refer to, and their folder."""
        if self.images_tree:
            return self.images_tree, self.images
        if self.path.is_dir():
            return self.tree, self.path
        return self.tree, self.path.parent if self.chosen else None

    @property
    def names_a_table(self) -> bool:
        """Whether the user named a table or parts of one."""
        return bool(
            self.chosen or self.images or self.path_column or self.label_column
        )


class ListedPhotos(Protocol):
    """Photos that can be iterated over several times; a list, or fewer."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Photo]: ...


@dataclass
class Listing:
    """The photos of a source, and the files that are none."""

    format: str  # such as CLASS_FOLDERS
    classes: list[str]  # in the order of their labels
    photos: ListedPhotos
    bad: dict[str, str] = field(default_factory=dict)  # reasons by path
    # Photos that the format leaves without a class, with the reasons.
    left_out: dict[str, str] = field(default_factory=dict)
    rows_without_file: list[str] = field(default_factory=list)
    other_files: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    # For photos in class folders: the path of the folder around them below
    # the root, and their names as spelled on the disk.
    base: str = ''
    folders: list[str] = field(default_factory=list)
    # Further keys of dataset.json.
    record: dict = field(default_factory=dict)

    def describe(self) -> str:
        """Return what was recognised, on one line."""
        counts = Counter(photo.split for photo in self.photos)
        parts = ', '.join(
            f'{counts[split]} {split}'.strip()
            for split in ('train', 'val', 'test', '')
            if counts[split]
        )
        return f'{self.format}: {len(self.classes)} classes, {parts} photos'


def refusal(message: str, *formats: str) -> UserError:
    """Return an error that names rows of the page that would work."""
    rows = ', '.join(f'"{name}"' for name in formats)
    return UserError(
        f'{message}\nSee {rows} in "Your photos" (docs/photos.md)'
    )


def is_url(text: str) -> bool:
    """Return whether it is an address; `Path` makes one slash of two."""
    return re.match(r'[a-zA-Z][\w+.-]+:/', text) is not None


def class_names(names: Iterable[str], where: str, fix: str) -> dict[str, str]:
    """Return the class of each name; refuse two names of one class.

    macOS decomposes é into two characters. Outer blanks are removed because
    readers of text files strip lines.
    """
    plain = {name: re.sub(r'^\s+|\s+$', '', nfc(name)) for name in names}
    first: dict[str, str] = {}
    for name, short in plain.items():
        fault = class_name_fault(short) if short else 'empty'
        if not fault and ('/' in short or short.startswith('.')):
            fault = 'a class becomes a folder of this name'
        if fault:
            raise refusal(
                f'invalid class name {shorten(name)!r} in {where}: {fault}.\n'
                f'{fix}',
                CLASS_FOLDERS,
            )
        other = first.setdefault(short.casefold(), name)
        if other != name:
            raise refusal(
                f'{where} has two names for one class: {other!r} and {name!r} '
                f'differ only in case, blanks or accents.\n{fix}',
                CLASS_FOLDERS,
            )
    return plain
