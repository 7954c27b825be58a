"""Copy photos into a folder per class."""

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
from flower_mm.inference.photo_files import PhotoFile
from flower_mm.links import is_inside, leads_out
from flower_mm.plain_text import is_control

# Names that Windows reserves, with any suffix.
RESERVED = re.compile(
    r'(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])\s*(\..*)?', re.IGNORECASE
)
ILLEGAL = frozenset('/\\:*?"<>|')
MAX_BYTES = 200  # bytes of a name; file systems take 255
COPY = 'copy'  # in the name of an incomplete file


class Sorter:
    """Copies photos into `folder` without replacing files.

    A photo whose copy exists is skipped, so that a second run changes nothing.
    """

    def __init__(self, folder: Path, labels: list[str]) -> None:
        self.folder = folder
        self.copied = self.existing = 0
        self._names = folder_names(labels)
        self._inside: dict[str, bool] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise UserError(
                f'--sort-into {folder} is a file: expected a folder'
            ) from None
        for name in self._names.values():
            inside = folder / name
            if not is_inside(inside, folder):
                raise UserError(leads_out(inside, folder, '--sort-into'))
            if inside.is_dir():
                sweep(inside, COPY)

    @property
    def result(self) -> str:
        existing = f', {self.existing} existed' if self.existing else ''
        return f'{self.folder}: {self.copied} copied{existing}'

    def has_copy(self, photo: PhotoFile) -> bool:
        """Return whether the photo is in one of the class folders."""
        parent = str(Path(photo.file).parent)
        if parent not in self._inside:
            real = Path(os.path.realpath(parent))
            root = Path(os.path.realpath(self.folder))
            self._inside[parent] = real.is_relative_to(root) and (
                real.relative_to(root).parts[:1]
                in {(name,) for name in self._names.values()}
            )
        return self._inside[parent]

    def copy(self, photo: PhotoFile, label: str) -> None:
        """Copy under the same name, or with a suffix if that exists."""
        folder = self.folder / self._names[label]
        folder.mkdir(exist_ok=True)
        for name in _candidates(photo):
            target = folder / name
            if not os.path.lexists(target):
                break
            if target.is_file() and filecmp.cmp(photo.file, target, False):
                self.existing += 1
                return
        file, part = temporary_file(folder / COPY)
        try:
            with file, Path(photo.file).open('rb') as source:
                shutil.copyfileobj(source, file)
            make_public(part, 0o666)
            # The date; some file systems refuse other attributes.
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


def _candidates(photo: PhotoFile) -> Iterator[str]:
    name = safe_name(Path(photo.name).name)
    yield name
    stem, suffix = _split(name)
    with Path(photo.file).open('rb') as file:
        number = hashlib.file_digest(file, 'sha256').hexdigest()[:8]
    yield f'{stem}-{number}{suffix}'
    for copy in itertools.count(2):
        yield f'{stem}-{number}-{copy}{suffix}'


def folder_names(labels: list[str]) -> dict[str, str]:
    """Return a folder name for each label, distinct on all file systems."""
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
    """Return the text as a file name that is valid on all systems.

    Without a dot at its start, which would hide the file.
    """
    name = ''.join('_' if _is_illegal(c) else c for c in text).strip(' ')
    stem, suffix = _split(name)
    most = MAX_BYTES - len(suffix.encode())
    if most > 0:
        name = _cut(stem, most) + suffix
    name = _cut(name, MAX_BYTES).rstrip(' .')
    if not name or name.startswith('.') or RESERVED.fullmatch(name):
        name = f'_{name}'
    return name


def _is_illegal(char: str) -> bool:
    return char in ILLEGAL or is_control(char)


def _split(name: str) -> tuple[str, str]:
    path = PurePosixPath(name)
    return path.stem, path.suffix


def _cut(text: str, most: int) -> str:
    return text.encode()[:most].decode(errors='ignore')
