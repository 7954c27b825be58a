"""Copying photos into a folder a class."""

import filecmp
import hashlib
import itertools
import os
import re
import shutil
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from flower_mm.errors import UserError
from flower_mm.files import (
    NO_ROOM,
    make_public,
    no_room,
    sweep,
    temporary_file,
)
from flower_mm.inference.photo_files import Found
from flower_mm.links import is_inside, leads_out

# What Windows keeps for itself, with any ending.
RESERVED = re.compile(
    r'(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])\s*(\..*)?', re.IGNORECASE
)
ILLEGAL = frozenset('/\\:*?"<>|')
LONGEST = 200  # bytes of a name; file systems take 255
COPY = 'copy'  # in the name of a file that is not whole yet


class Sorter:
    """Puts copies into `folder`; a file that is there stays as it is.

    The same photo under the same name is not copied again, so that doing it
    twice is doing it once.
    """

    def __init__(self, folder: Path, labels: list[str]) -> None:
        self.folder = folder
        self.copied = self.there = 0
        self._names = folder_names(labels)
        self._inside: dict[str, bool] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise UserError(
                f'{folder} is a file; name a folder for the sorted photos'
            ) from None
        for name in self._names.values():
            inside = folder / name
            if not is_inside(inside, folder):
                raise UserError(leads_out(inside, folder, '--sort-into'))
            if inside.is_dir():
                sweep(inside, COPY)

    @property
    def result(self) -> str:
        there = f', {self.there} were there already' if self.there else ''
        return f'{self.folder}: {self.copied} copied{there}'

    def holds(self, photo: Found) -> bool:
        """Whether it lies in one of the class folders, as an earlier copy."""
        parent = str(Path(photo.file).parent)
        if parent not in self._inside:
            real = Path(os.path.realpath(parent))
            root = Path(os.path.realpath(self.folder))
            self._inside[parent] = real.is_relative_to(root) and (
                real.relative_to(root).parts[:1]
                in {(name,) for name in self._names.values()}
            )
        return self._inside[parent]

    def copy(self, photo: Found, label: str) -> None:
        """Copy under its own name, or with a number where that is taken."""
        folder = self.folder / self._names[label]
        folder.mkdir(exist_ok=True)
        for name in _candidates(photo):
            target = folder / name
            if not os.path.lexists(target):
                break
            if target.is_file() and filecmp.cmp(photo.file, target, False):
                self.there += 1
                return
        file, part = temporary_file(folder / COPY)
        try:
            with file, Path(photo.file).open('rb') as source:
                shutil.copyfileobj(source, file)
            make_public(part, 0o666)
            # Its date. Not every file system takes all of it.
            with suppress(OSError):
                shutil.copystat(photo.file, part)
            part.rename(target)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            size = Path(photo.file).stat().st_size
            raise UserError(no_room(error, target, size)) from error
        finally:
            part.unlink(missing_ok=True)
        self.copied += 1


def _candidates(photo: Found) -> Iterator[str]:
    name = safe_name(Path(photo.name).name)
    yield name
    stem, ending = _split(name)
    with Path(photo.file).open('rb') as file:
        number = hashlib.file_digest(file, 'sha256').hexdigest()[:8]
    yield f'{stem}-{number}{ending}'
    for copy in itertools.count(2):
        yield f'{stem}-{number}-{copy}{ending}'


def folder_names(labels: list[str]) -> dict[str, str]:
    """A name for each; no file system takes two of them for one."""
    names, taken = {}, set()
    for label in labels:
        first = name = safe_name(label)
        for number in itertools.count(2):
            key = unicodedata.normalize('NFC', name).casefold()
            if key not in taken:
                break
            name = f'{first}-{number}'
        names[label] = name
        taken.add(key)
    return names


def safe_name(text: str) -> str:
    """The text as a file name that every system takes and that stays here.

    No dot at its start: what begins with one is hidden.
    """
    name = ''.join('_' if _is_illegal(c) else c for c in text).strip(' ')
    stem, ending = _split(name)
    room = LONGEST - len(ending.encode())
    if room > 0:
        name = _cut(stem, room) + ending
    name = _cut(name, LONGEST).rstrip(' .')
    if not name or name.startswith('.') or RESERVED.fullmatch(name):
        name = f'_{name}'
    return name


def _is_illegal(char: str) -> bool:
    # Control characters, bytes that are no UTF-8, line separators.
    kinds = ('Cc', 'Cs', 'Zl', 'Zp')
    return char in ILLEGAL or unicodedata.category(char) in kinds


def _split(name: str) -> tuple[str, str]:
    path = PurePosixPath(name)
    return path.stem, path.suffix


def _cut(text: str, most: int) -> str:
    return text.encode()[:most].decode(errors='ignore')
