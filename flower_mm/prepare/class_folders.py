"""Which files under a folder are photos, and of which class.

Nothing is opened here; `scan` decides by content whether a candidate is one.
"""

import os
import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from flower_mm.errors import UserError
from flower_mm.plain_text import class_name_fault

# What people call a photo. Those that Pillow cannot read (HEIC) are listed
# too, so that they are reported as unreadable and not as rubbish.
ENDINGS = frozenset((
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


@dataclass(slots=True)
class Photo:
    """One photo; `scan` fills in the second half, `run` the third."""

    path: str  # below the folder of classes, as the user sees it
    file: str  # where the bytes are
    label: int  # index of the class

    sha256: bytes = b''
    size: int = 0
    thumb: bytes = b''  # see scan.thumbnail
    bad: str = ''  # why it cannot be used
    note: str = ''  # used as it is, but worth knowing
    fix: str = ''  # why it has to be rewritten as a plain PNG

    name: str = ''  # file name in the dataset
    made: bytes = b''  # sha256 of the plain PNG


@dataclass
class Tree:
    """Files by their path below the root, and the folders that hold them."""

    files: dict[str, str] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)

    def add_folders_of(self, path: str) -> None:
        while '/' in path:
            path = path.rpartition('/')[0]
            if path in self.folders:
                return
            self.folders.add(path)


@dataclass
class Found:
    base: str  # path of the folder of classes below the root, '' or 'a/b/'
    classes: list[str]
    folders: list[str]  # of the classes, as they are spelled on the disk
    photos: list[Photo]
    bad: dict[str, str]  # path: reason


def is_clutter(name: str) -> bool:
    return name.startswith('.') or name.casefold() in CLUTTER


def is_photo_name(name: str) -> bool:
    return PurePosixPath(name).suffix.casefold() in ENDINGS


def shown(name: str) -> str:
    """A name that can be printed and written: no control characters."""
    return ''.join(
        c.encode('unicode_escape').decode() if _unwritable(c) else c
        for c in name
    )


def _unwritable(char: str) -> bool:
    # Control characters, line separators, bytes that are no UTF-8.
    return unicodedata.category(char) in ('Cc', 'Cs', 'Zl', 'Zp')


def list_folder(root: Path) -> Tree:
    """List what lies below `root`; links are followed, but not in circles."""
    tree = Tree()
    # (folder, its path below the root, the real folders above it)
    todo = [(str(root), '', (os.path.realpath(root),))]
    while todo:
        folder, below, above = todo.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            raise UserError(
                f'{shown(folder)} cannot be read: {error.strerror}'
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


def find(tree: Tree, where: Path) -> Found:
    """Take the folders of `tree` as classes and what they hold as photos.

    A photo in a folder inside a class folder belongs to that class.
    """
    base = _unwrap(tree)
    tops = sorted(
        path[len(base) :]
        for path in tree.folders
        if path.startswith(base) and '/' not in path[len(base) :]
    )
    _refuse_split(tops, where)
    label_of, classes = _classes(tops, where)
    photos, bad = [], {}
    # Sorted, so that nothing later depends on the order of the file system.
    for path in sorted(tree.files):
        if not path.startswith(base):
            if is_photo_name(path):
                bad[shown(path)] = 'lies outside the class folders'
            continue
        below = path[len(base) :]
        top, inside, name = below.partition('/')
        if not inside:
            if is_photo_name(below):
                bad[shown(below)] = 'lies outside the class folders'
        elif not is_photo_name(name):
            ending = PurePosixPath(name).suffix
            bad[shown(below)] = f'not a photo (ending {ending or "missing"})'
        elif any(map(_unwritable, name)):
            bad[shown(below)] = (
                'its name holds a line break, a control character or bytes '
                'that are no text'
            )
        else:
            photos.append(Photo(below, tree.files[path], label_of[top]))
    folders = sorted(tops, key=label_of.__getitem__)
    return Found(base, classes, folders, photos, bad)


def _unwrap(tree: Tree) -> str:
    """Step into a folder that does nothing but hold the class folders."""
    inner = defaultdict(list)
    for path in tree.folders:
        inner[path.rpartition('/')[0]].append(path)
    photos_in = {
        path.rpartition('/')[0] for path in tree.files if is_photo_name(path)
    }
    at = ''
    while len(inner[at]) == 1 and at not in photos_in:
        (only,) = inner[at]
        if only in photos_in or not inner[only]:
            break
        at = only
    return f'{at}/' if at else ''


def _refuse_split(tops: list[str], where: Path) -> None:
    names = {top.casefold() for top in tops}
    if names & TRAIN and names & HELD_OUT:
        raise UserError(
            f'{where} is already split ({", ".join(sorted(tops))}): its '
            'folders are sides, not classes.\nPut the photos of each class '
            f'together first, or prepare one side alone: {where / tops[0]}'
        )


def _classes(tops: list[str], where: Path) -> tuple[dict[str, int], list[str]]:
    """Map folder names to labels; the same name twice is refused."""
    if not tops:
        raise UserError(
            f'{where} holds no class folders.\nExpected: one folder per '
            f'class, e.g. {where / "daisy" / "photo.jpg"}'
        )
    # One spelling for what reads the same: macOS writes é as two characters.
    # Outer blanks go because readers strip the lines they stand in.
    names = {t: re.sub(r'^\s+|\s+$', '', _nfc(t)) for t in tops}
    seen: dict[str, str] = {}
    for top, name in names.items():
        if not name or class_name_fault(name):
            raise UserError(
                f'the class folder {shown(top)!r} in {where} has a name that '
                'cannot stand in a line of text; rename it'
            )
        twin = seen.setdefault(name.casefold(), top)
        if twin != top:
            raise UserError(
                f'{where} has two folders for one class: {twin!r} and '
                f'{top!r} differ only in case, blanks or accents.\n'
                'Rename one, or move its photos into the other.'
            )
    classes = sorted(names.values())
    index = {name: i for i, name in enumerate(classes)}
    return {top: index[name] for top, name in names.items()}, classes


def _nfc(text: str) -> str:
    return unicodedata.normalize('NFC', text)


def name_photos(photos: list[Photo], in_place: bool) -> None:
    """Give each photo the name that its line in the dataset carries.

    Names are told apart without regard to case, for the file systems that
    do not. The later one of two gets the start of its sha256.
    """
    taken = set()
    for photo in photos:
        inside = photo.path.partition('/')[2]
        if in_place:
            photo.name = inside
            continue
        name = PurePosixPath(_nfc(inside.replace('/', '_')))
        if photo.fix:
            name = name.with_suffix('.png')
        number = photo.sha256.hex()[:8]
        if (photo.label, str(name).casefold()) in taken:
            name = name.with_name(f'{name.stem}-{number}{name.suffix}')
        copy = 1
        while (photo.label, str(name).casefold()) in taken:
            # The same bytes under the same name, e.g. a/b_c.jpg, a_b/c.jpg.
            copy += 1
            stem = name.stem.partition(f'-{number}')[0]
            name = name.with_name(f'{stem}-{number}-{copy}{name.suffix}')
        taken.add((photo.label, str(name).casefold()))
        photo.name = str(name)
