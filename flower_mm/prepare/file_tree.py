"""The files of a folder or an archive, by their paths in it.

No file is opened here; `scan_photos` decides by content whether a file with
the name of a photo is one.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from flower_mm.errors import UserError
from flower_mm.plain_text import escape_controls

# Formats that this machine may lack a decoder for (HEIC) are included, so that
# such photos are reported as unreadable.
PHOTO_SUFFIXES = frozenset((
    '.jpg', '.jpeg', '.jpe', '.jfif', '.mpo', '.png', '.apng', '.bmp', '.dib',
    '.webp', '.tif', '.tiff', '.gif', '.avif', '.heic', '.heif', '.jp2',
    '.ppm', '.pgm', '.pbm', '.pnm',
))  # fmt: skip
CLUTTER = frozenset((
    '__macosx', 'thumbs.db', 'ehthumbs.db', 'desktop.ini', '@eadir',
    '$recycle.bin',
))  # fmt: skip


class FolderFiles(Mapping[str, str]):
    """The files of a folder by their paths below it, in sorted order.

    The names of each folder are packed: a million paths in a dictionary take
    300 MB.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._names: dict[str, bytes] = {}
        self._folders: dict[str, list[str]] = {}
        self._sets: dict[str, frozenset[str]] = {}  # of folders asked for
        self._count = 0

    def add(self, folder: str, names: list[str], folders: list[str]) -> None:
        """Add what is in a folder, '' or such as 'a/'."""
        self._names[folder] = os.fsencode('/'.join(names))
        self._folders[folder] = [f'{name}/' for name in folders]
        self._count += len(names)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:
        todo = [('', self._sorted(''))]  # the open folders
        while todo:
            folder, names = todo[-1]
            for name in names:
                if name.endswith('/'):
                    inner = folder + name
                    todo.append((inner, self._sorted(inner)))
                    break
                yield folder + name
            else:
                todo.pop()

    def _sorted(self, folder: str) -> Iterator[str]:
        folders = self._folders.get(folder, [])
        return iter(sorted([*self._in(folder), *folders]))

    def _in(self, folder: str) -> list[str]:
        names = os.fsdecode(self._names.get(folder, b''))
        return names.split('/') if names else []

    def __contains__(self, path: object) -> bool:
        if not isinstance(path, str):
            return False
        end = path.rfind('/') + 1
        folder, name = path[:end], path[end:]
        if folder not in self._sets:
            if folder not in self._names:
                return False
            self._sets[folder] = frozenset(self._in(folder))
        return name in self._sets[folder]

    def __getitem__(self, path: str) -> str:
        if path not in self:
            raise KeyError(path)
        return self.place_of(path)

    def place_of(self, path: str) -> str:
        """Return where a listed file is."""
        return os.path.join(self._root, path)  # noqa: PTH118, a million times


@dataclass
class FileTree:
    """Files by their path below the root, and the folders around them."""

    files: Mapping[str, str] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)

    def in_order(self) -> Iterable[str]:
        """Return the sorted paths."""
        if isinstance(self.files, FolderFiles):
            return self.files
        return sorted(self.files)

    def place_of(self, path: str) -> str:
        """Return where a file of the tree is."""
        if isinstance(self.files, FolderFiles):
            return self.files.place_of(path)
        return self.files[path]

    def add_folders_of(self, path: str) -> None:
        while '/' in path:
            path = path.rpartition('/')[0]
            if path in self.folders:
                return
            self.folders.add(path)


def is_clutter(name: str) -> bool:
    """Return whether a system or an editor makes files of this name."""
    return name.startswith('.') or name.casefold() in CLUTTER


def is_photo_name(name: str) -> bool:
    return PurePosixPath(name).suffix.casefold() in PHOTO_SUFFIXES


def list_folder(root: Path, leave_out: Path | None = None) -> FileTree:
    """List the files below `root`, except for the folder `leave_out`.

    Links are followed, but not in circles.
    """
    files = FolderFiles(root)
    tree = FileTree(files)
    other = os.path.realpath(leave_out) if leave_out else None
    # (folder, its path below the root, the real folders above it)
    todo: list[tuple[str, str, tuple[str, ...]]] = [
        (str(root), '', (os.path.realpath(root),))
    ]
    while todo:
        folder, below, above = todo.pop()
        names, folders = [], []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if is_clutter(entry.name):
                        continue
                    if not entry.is_dir():
                        names.append(entry.name)
                        continue
                    real = os.path.realpath(entry.path)
                    if real == other:
                        continue
                    tree.folders.add(below + entry.name)
                    if real not in above:
                        folders.append(entry.name)
                        todo.append(
                            (
                                entry.path,
                                f'{below}{entry.name}/',
                                (*above, real),
                            )
                        )
        except OSError as error:
            raise UserError(
                f'{escape_controls(folder)} cannot be read: {error.strerror}'
            ) from error
        files.add(below, sorted(names), folders)
    return tree
