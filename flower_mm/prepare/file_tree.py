"""The files of a folder or an archive, by their paths in it.

No file is opened here; `scan_photos` decides by content whether a file with
the name of a photo is one.
"""

import os
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


def is_clutter(name: str) -> bool:
    """Return whether a system or an editor makes files of this name."""
    return name.startswith('.') or name.casefold() in CLUTTER


def is_photo_name(name: str) -> bool:
    return PurePosixPath(name).suffix.casefold() in PHOTO_SUFFIXES


def list_folder(root: Path, leave_out: Path | None = None) -> FileTree:
    """List the files below `root`, except for the folder `leave_out`.

    Links are followed, but not in circles.
    """
    tree = FileTree()
    other = os.path.realpath(leave_out) if leave_out else None
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
            real = os.path.realpath(entry.path)
            if real == other:
                continue
            tree.folders.add(path)
            if real not in above:
                todo.append((entry.path, path + '/', (*above, real)))
    return tree
