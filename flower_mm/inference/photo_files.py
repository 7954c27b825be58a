"""List the photos of a command line: files, folders, patterns, archives.

No photo is opened here: reading it later reports a missing or invalid file.
"""

import codecs
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from glob import has_magic
from pathlib import Path
from tempfile import gettempdir

from flower_mm.errors import UserError
from flower_mm.files import temporary_folder
from flower_mm.inference.classifier import Unread
from flower_mm.lock import only_run_in
from flower_mm.prepare.archive import unpack
from flower_mm.prepare.file_tree import (
    is_clutter,
    is_photo_name,
    list_folder,
)

ARCHIVES = (
    '.zip', '.tar', '.tgz', '.tbz2', '.txz', '.tar.gz', '.tar.bz2', '.tar.xz',
)  # fmt: skip
STDIN = '-'


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """A photo to predict."""

    name: str  # the path that the user gave, or below it
    file: str  # where the bytes are


def list_photos(
    names: list[str], stack: ExitStack
) -> Iterator[PhotoFile | Unread]:
    """Yield each photo once, those of a folder in the order of their names.

    Archives are unpacked into folders that are deleted with `stack`.
    """
    listed = set()
    for name in names:
        for photo in _expand(name, stack):
            if isinstance(photo, Unread):
                yield photo
            elif photo.name not in listed:
                listed.add(photo.name)
                yield photo


def _expand(name: str, stack: ExitStack) -> Iterator[PhotoFile | Unread]:
    if name == STDIN:
        for line in _lines():
            yield from _photos_at(line, stack)
    elif has_magic(name) and not os.path.lexists(name):
        # Some shells pass patterns on, as on Windows.
        yield from _matches(name, stack)
    else:
        yield from _photos_at(name, stack)


def _lines() -> list[str]:
    """Read names from standard input, as ls or `find -print0` write them."""
    if sys.stdin is None:
        raise UserError('standard input (-) is closed')
    if sys.stdin.isatty():
        print(
            'enter names of photos, one per line; Ctrl-D ends the list',
            file=sys.stderr,
        )
    text = sys.stdin.buffer.read().removeprefix(codecs.BOM_UTF8)
    if b'\0' in text:
        lines = text.split(b'\0')
    else:
        lines = [line.removesuffix(b'\r') for line in text.split(b'\n')]
    return [os.fsdecode(line) for line in lines if line]


def _matches(pattern: str, stack: ExitStack) -> Iterator[PhotoFile | Unread]:
    parts = Path(pattern).parts
    fixed = next(i for i, part in enumerate(parts) if has_magic(part))
    try:
        # pathlib's ** skips linked folders, which may form circles.
        matches = sorted(Path(*parts[:fixed]).glob('/'.join(parts[fixed:])))
    except ValueError as error:
        yield Unread(pattern, f'invalid pattern ({error})')
        return
    matches = [
        path
        for path in matches
        if (
            is_photo_name(path.name)
            or is_archive_name(pattern)
            or path.is_dir()
        )
        and not any(map(is_clutter, path.parts[fixed:]))
    ]
    for path in matches:
        yield from _photos_at(str(path), stack)
    if not matches:
        yield Unread(pattern, 'matches no photo')


def is_archive_name(name: str) -> bool:
    return name.casefold().endswith(ARCHIVES)


def _photos_at(name: str, stack: ExitStack) -> Iterator[PhotoFile | Unread]:
    """Yield the photos of a folder or an archive, or the file itself."""
    # Path raises an exception for a name that is too long.
    if os.path.isdir(name):  # noqa: PTH112
        kind, listed = 'a folder', list_folder(Path(name)).files
        files = {file: file for file in listed.values()}
    elif is_archive_name(name) and os.path.isfile(name):  # noqa: PTH113
        try:
            listed = unpack(Path(name), unpacking_folder(stack)).files
        except UserError as error:
            reason = str(error).partition('\n')[0].removeprefix(f'{name} ')
            yield Unread(name, reason)
            return
        kind = 'an archive'
        files = {f'{name}/{path}': file for path, file in listed.items()}
    else:
        yield PhotoFile(name, name)
        return
    archives = sorted(filter(is_archive_name, files))
    photos = sorted(filter(is_photo_name, files))
    if not photos and not archives:
        yield Unread(name, f'{kind} without photos')
    for archive in archives:
        yield Unread(archive, f'an archive in {kind}: name it separately')
    yield from (PhotoFile(photo, files[photo]) for photo in photos)


def unpacking_folder(stack: ExitStack) -> Path:
    """Create a folder that is deleted with `stack`.

    The next run deletes that of a killed process.
    """
    folder = temporary_folder(Path(gettempdir(), 'flower_mm-photos'))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    stack.enter_context(only_run_in(folder))  # other processes leave it alone
    return folder
