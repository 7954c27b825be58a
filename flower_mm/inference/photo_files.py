"""What the PHOTOS of a command line name: files, folders, patterns, archives.

Nothing is decoded here. What is no photo, or not there, shows when it is its
turn to be read.
"""

import codecs
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from glob import has_magic
from pathlib import Path
from tempfile import TemporaryDirectory

from flower_mm.errors import UserError
from flower_mm.inference.classifier import Unread
from flower_mm.prepare.archive import unpack
from flower_mm.prepare.class_folders import (
    is_clutter,
    is_photo_name,
    list_folder,
)

ARCHIVES = (
    '.zip', '.tar', '.tgz', '.tbz2', '.txz', '.tar.gz', '.tar.bz2', '.tar.xz',
)  # fmt: skip
STDIN = '-'


@dataclass(frozen=True, slots=True)
class Found:
    """A photo; `name` is its path as it was asked for."""

    name: str
    file: str  # where its bytes are


def find(names: list[str], stack: ExitStack) -> Iterator[Found | Unread]:
    """Each photo once, those of a folder in the order of their names.

    Archives are unpacked into folders that go when `stack` is closed.
    """
    seen = set()
    for name in names:
        for one in _named(name, stack):
            if isinstance(one, Unread):
                yield one
            elif one.name not in seen:
                seen.add(one.name)
                yield one


def _named(name: str, stack: ExitStack) -> Iterator[Found | Unread]:
    if name == STDIN:
        for line in _lines():
            yield from _there(line, stack)
    elif has_magic(name) and not os.path.lexists(name):
        # Where the shell leaves patterns to the program, as on Windows.
        yield from _matching(name, stack)
    else:
        yield from _there(name, stack)


def _lines() -> list[str]:
    """The names on standard input, as ls or `find -print0` write them."""
    if sys.stdin is None:
        raise UserError('- stands for standard input, and that is closed')
    if sys.stdin.isatty():
        print('names of photos, one a line; Ctrl-D ends them', file=sys.stderr)
    text = sys.stdin.buffer.read().removeprefix(codecs.BOM_UTF8)
    if b'\0' in text:
        lines = text.split(b'\0')
    else:
        lines = [line.removesuffix(b'\r') for line in text.split(b'\n')]
    return [os.fsdecode(line) for line in lines if line]


def _matching(pattern: str, stack: ExitStack) -> Iterator[Found | Unread]:
    parts = Path(pattern).parts
    fixed = next(i for i, part in enumerate(parts) if has_magic(part))
    try:
        # pathlib's ** stays out of linked folders, which may form circles.
        matches = sorted(Path(*parts[:fixed]).glob('/'.join(parts[fixed:])))
    except ValueError as error:
        yield Unread(pattern, f'no pattern ({error})')
        return
    found = False
    for path in matches:
        inner = path.parts[fixed:]
        wanted = (
            is_photo_name(path.name)
            or is_archive_name(pattern)
            or path.is_dir()
        )
        if wanted and not any(map(is_clutter, inner)):
            found = True
            yield from _there(str(path), stack)
    if not found:
        yield Unread(pattern, 'no photo has such a name')


def is_archive_name(name: str) -> bool:
    return name.casefold().endswith(ARCHIVES)


def _there(name: str, stack: ExitStack) -> Iterator[Found | Unread]:
    """What one name stands for that is taken as it is."""
    # Where Path has an exception for a name that is too long, os.path has no.
    if os.path.isdir(name):  # noqa: PTH112
        inside, what = list_folder(Path(name)).files, 'a folder'
        archives = [
            file for path, file in inside.items() if is_archive_name(path)
        ]
        found = {
            file: file for path, file in inside.items() if is_photo_name(path)
        }
    elif is_archive_name(name) and os.path.isfile(name):  # noqa: PTH113
        into = stack.enter_context(TemporaryDirectory(prefix='flower_mm-'))
        try:
            inside = unpack(Path(name), Path(into)).files
        except UserError as error:
            why = str(error).partition('\n')[0].removeprefix(f'{name} ')
            yield Unread(name, why)
            return
        what = 'an archive'
        archives = [
            f'{name}/{path}' for path in inside if is_archive_name(path)
        ]
        found = {
            f'{name}/{path}': file
            for path, file in inside.items()
            if is_photo_name(path)
        }
    else:
        yield Found(name, name)
        return
    if not found and not archives:
        yield Unread(name, f'{what} without photos')
    for archive in sorted(archives):
        yield Unread(archive, f'an archive within {what}; name it by itself')
    yield from (Found(name, found[name]) for name in sorted(found))
