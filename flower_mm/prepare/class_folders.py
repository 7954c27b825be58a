"""Find the photos below a folder, and the class of each.

No file is opened here; `scan_photos` decides by content whether a file with
the name of a photo is one.
"""

import os
import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from flower_mm.errors import UserError
from flower_mm.plain_text import class_name_fault, escape_controls

# Formats that Pillow cannot read (HEIC) are included, so that such photos are
# reported as unreadable.
PHOTO_SUFFIXES = frozenset((
    '.jpg', '.jpeg', '.jpe', '.jfif', '.mpo', '.png', '.apng', '.bmp', '.dib',
    '.webp', '.tif', '.tiff', '.gif', '.avif', '.heic', '.heif', '.jp2',
    '.ppm', '.pgm', '.pbm', '.pnm',
))  # fmt: skip
CLUTTER = frozenset((
    '__macosx', 'thumbs.db', 'ehthumbs.db', 'desktop.ini', '@eadir',
    '$recycle.bin',
))  # fmt: skip
TRAIN = frozenset(('train', 'training'))
HELD_OUT = frozenset(
    ('val', 'valid', 'validation', 'test', 'testing', 'eval', 'dev')
)
OUTSIDE = 'outside the class folders'


@dataclass(slots=True)
class Photo:
    """A photo on its way into a dataset."""

    path: str  # below the folder of the class folders
    file: str  # where the bytes are
    label: int  # index of the class

    # Set by `scan_photos.scan`.
    sha256: bytes = b''
    size: int = 0
    thumb: bytes = b''  # of `scan_photos.thumbnail`
    error: str = ''  # why it is unusable
    note: str = ''  # of a photo that is used as it is
    rewrite_reason: str = ''  # why it has to be rewritten as PNG

    name: str = ''  # file name in the dataset, by `name_photos`
    rewritten_sha256: bytes = b''  # of the PNG, by `write_dataset`


@dataclass
class FileTree:
    """Files by their path below the root, and the folders around them."""

    files: dict[str, str] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)

    def add_folders_of(self, path: str) -> None:
        while '/' in path:
            path = path.rpartition('/')[0]
            if path in self.folders:
                return
            self.folders.add(path)


@dataclass
class ClassFolders:
    """Class folders and their photos."""

    base: str  # path of the folder around them below the root: '' or 'a/b/'
    classes: list[str]
    folders: list[str]  # of the classes, as spelled on the disk
    photos: list[Photo]
    bad: dict[str, str]  # reasons by path


def is_clutter(name: str) -> bool:
    """Return whether a system or an editor makes files of this name."""
    return name.startswith('.') or name.casefold() in CLUTTER


def is_photo_name(name: str) -> bool:
    return PurePosixPath(name).suffix.casefold() in PHOTO_SUFFIXES


def list_folder(root: Path) -> FileTree:
    """List the files below `root`; links are followed, but not in circles."""
    tree = FileTree()
    # (folder, its path below the root, the real folders above it)
    todo: list[tuple[str, str, tuple[str, ...]]] = [
        (str(root), '', (os.path.realpath(root),))
    ]
    while todo:
        folder, below, above = todo.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            raise UserError(
                f'{escape_controls(folder)} cannot be read: {error.strerror}'
            ) from error
        for entry in entries:
            if is_clutter(entry.name):
                continue
            path = below + entry.name
            if not entry.is_dir():
                tree.files[path] = entry.path
                continue
            tree.folders.add(path)
            real = os.path.realpath(entry.path)
            if real not in above:
                todo.append((entry.path, path + '/', (*above, real)))
    return tree


def find_photos(tree: FileTree, root: Path) -> ClassFolders:
    """Take the folders of `tree` as classes, and the files in them as photos.

    A photo in a folder inside a class folder belongs to that class.
    """
    base = _folder_of_classes(tree)
    tops = sorted(
        path.removeprefix(base)
        for path in tree.folders
        if path.startswith(base) and '/' not in path.removeprefix(base)
    )
    _refuse_split(tops, root)
    label_of, classes = _name_classes(tops, root)
    photos, bad = [], {}
    # Sorted, so that the result is independent of the file system's order.
    for path in sorted(tree.files):
        below = path.removeprefix(base)
        top, inside, name = below.partition('/')
        if not path.startswith(base) or not inside:
            if is_photo_name(path):
                bad[escape_controls(below)] = OUTSIDE
        elif not is_photo_name(name):
            suffix = PurePosixPath(name).suffix
            bad[escape_controls(below)] = (
                f'not a photo (suffix {suffix or "missing"})'
            )
        elif escape_controls(name) != name:
            bad[escape_controls(below)] = (
                'its name contains control characters, line breaks or bytes '
                'that are not UTF-8'
            )
        else:
            photos.append(Photo(below, tree.files[path], label_of[top]))
    folders = sorted(tops, key=label_of.__getitem__)
    return ClassFolders(base, classes, folders, photos, bad)


def _folder_of_classes(tree: FileTree) -> str:
    """Step into folders that contain one folder of folders only."""
    inner = defaultdict(list)
    for path in tree.folders:
        inner[path.rpartition('/')[0]].append(path)
    with_photos = {
        path.rpartition('/')[0] for path in tree.files if is_photo_name(path)
    }
    base = ''
    while len(inner[base]) == 1 and base not in with_photos:
        (only,) = inner[base]
        if only in with_photos or not inner[only]:
            break
        base = only
    return f'{base}/' if base else ''


def _refuse_split(tops: list[str], root: Path) -> None:
    names = {top.casefold() for top in tops}
    if names & TRAIN and names & HELD_OUT:
        raise UserError(
            f'{root} is already split: expected class folders, got '
            f'{", ".join(sorted(tops))}.\nPut the photos of each class '
            f'together first, or prepare one split alone: {root / tops[0]}'
        )


def _name_classes(
    tops: list[str], root: Path
) -> tuple[dict[str, int], list[str]]:
    """Map folder names to labels; refuse two folders for one class."""
    if not tops:
        raise UserError(
            f'{root} has no class folders: expected one folder per class, '
            f'e.g. {root / "daisy" / "photo.jpg"}'
        )
    # macOS decomposes é into two characters. Outer blanks are removed because
    # readers of text files strip lines.
    names = {top: re.sub(r'^\s+|\s+$', '', _nfc(top)) for top in tops}
    folder_of: dict[str, str] = {}
    for top, name in names.items():
        if not name or class_name_fault(name):
            raise UserError(
                f'invalid class name {escape_controls(top)!r} in {root}: '
                f'{class_name_fault(name) or "empty"}.\nRename the folder'
            )
        other = folder_of.setdefault(name.casefold(), top)
        if other != top:
            raise UserError(
                f'{root} has two folders for one class: {other!r} and {top!r} '
                'differ only in case, blanks or accents.\n'
                'Rename one, or move its photos into the other'
            )
    classes = sorted(names.values())
    index = {name: i for i, name in enumerate(classes)}
    return {top: index[name] for top, name in names.items()}, classes


def _nfc(text: str) -> str:
    return unicodedata.normalize('NFC', text)


def name_photos(photos: list[Photo], in_place: bool) -> None:
    """Set the unique name of each photo in the dataset.

    Names are compared without case, as some file systems do. A later photo of
    the same name gets the start of its sha256.
    """
    taken = set()
    for photo in photos:
        inside = photo.path.partition('/')[2]
        if in_place:
            photo.name = inside
            continue
        name = PurePosixPath(_nfc(inside.replace('/', '_')))
        if photo.rewrite_reason:
            name = name.with_suffix('.png')
        plain, sha = name, photo.sha256.hex()[:8]
        copy = 0
        while (photo.label, str(name).casefold()) in taken:
            # The same bytes may come under one name: a/b_c.jpg, a_b/c.jpg.
            copy += 1
            number = f'-{copy}' if copy > 1 else ''
            name = plain.with_name(f'{plain.stem}-{sha}{number}{plain.suffix}')
        taken.add((photo.label, str(name).casefold()))
        photo.name = str(name)
