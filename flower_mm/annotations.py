"""classes.txt and train.txt: read and checked, without torch.

Formats: classes.txt holds one class a line, its line number is the class
index; train.txt holds `class_name/image_name class_index` a line, split at
the last blank because names may hold blanks themselves.
"""

import hashlib
import json
import os
import re
from collections import Counter
from pathlib import Path, PurePath
from typing import NamedTuple

from flower_mm.commands import command
from flower_mm.errors import UserError, printable
from flower_mm.layout import DatasetDir
from flower_mm.links import is_inside, read_file
from flower_mm.plain_text import class_name_fault, shown_name
from flower_mm.trust import require_trust

SHOWN = 10  # problems printed; the rest is counted
# How run.json's `resumed_although` begins where photos may have come to val
# that were learned before.
OTHER_PHOTOS = 'the photos or classes of '


class Photo(NamedTuple):
    name: str  # relative to the folder of the split, with forward slashes
    label: int


def require_dataset(root: Path) -> None:
    """Stop with the command that makes a dataset when `root` is none."""
    if not (root / DatasetDir.CLASSES).is_file():
        what = 'has no classes.txt' if root.is_dir() else 'does not exist'
        raise UserError(
            f'the dataset folder {root} {what}.\n'
            f'Make one from your photos: {prepare_command(root)}\n'
            'or name another: --data-root FOLDER'
        )


def prepare_command(root: Path, options: str = '') -> str:
    """The command that makes the dataset `root` anew, from its photos."""
    words = options.split()
    if (root / DatasetDir.RECORD).is_file():
        return command(
            'prepare', 'PHOTOS', '--out', root, *words, '--overwrite'
        )
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return command('prepare', 'PHOTOS', '--out', root, *words)
    # `prepare` refuses to replace a folder that it did not make.
    new = command('prepare', 'PHOTOS', '--out', 'NEW', *words)
    return f'{new}, then --data-root NEW'


def read_classes(root: Path) -> list[str]:
    """Return the class names in the order of their indices."""
    require_dataset(root)
    path = root / DatasetDir.CLASSES
    names = [line.strip() for line in _lines(path)]
    names = [name for name in names if name]
    for name in names:
        if fault := class_name_fault(name):
            raise UserError(
                f'{path} holds an invalid class name, {shown_name(name)}: '
                f'{fault}.\nRename the class there and in the lists of photos'
            )
    twice = [printable(name) for name, n in Counter(names).items() if n > 1]
    if twice:
        more = f' and {len(twice) - SHOWN} more' if len(twice) > SHOWN else ''
        raise UserError(
            f'{path} names a class twice: {", ".join(twice[:SHOWN])}{more}'
        )
    if len(names) < 2:
        raise UserError(
            f'{path} names {len(names)} class(es); telling photos apart '
            'takes two or more'
        )
    return names


def photos_folder(root: Path, split: str) -> Path:
    """Return the folder that the lines of `split`.txt are relative to.

    That is `root/split`, or where the photos were left when the dataset was
    prepared without copying them.
    """
    named = describe(root).get('photos')
    if not named:
        return root / split
    if not is_inside(named, root):
        require_trust(root, named)
    return Path(named)


def describe(root: Path) -> dict:
    """Return what dataset.json says; nothing for a dataset made by hand."""
    path = root / DatasetDir.RECORD
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding='utf-8'))
        if not isinstance(found, dict):
            raise ValueError('it is no description of a dataset')
        photos, sha256 = found.get('photos'), found.get('sha256', '0' * 64)
        if not isinstance(photos, str | None):
            raise ValueError('its "photos" is no folder')
        if not re.fullmatch('[0-9a-f]{64}', str(sha256)):
            raise ValueError('its "sha256" is none')
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(
            f'{path} cannot be read ({error}).\n'
            f'See what is wrong: {command("prepare", "--check", root)}'
        ) from error
    return found


def lists_sha256(root: Path) -> str:
    """Tell one state of a dataset's train and val photos from another."""
    found = hashlib.sha256(str(describe(root).get('sha256')).encode())
    lists = map(DatasetDir.list_of, ('train', 'val'))
    for name in (DatasetDir.CLASSES, *lists):
        path = root / name
        found.update(b'\0' + (path.read_bytes() if path.is_file() else b''))
    return found.hexdigest()


def read_annotations(
    path: Path,
    folder: Path,
    classes: list[str],
    may_lack: bool = False,
    root: Path | None = None,
) -> list[Photo]:
    """Return the photos of one split, or fail with what is wrong in it.

    A photo that is not there is wrong, unless photos `may_lack`. One that a
    link leads to, out of the dataset `root`, takes the user's trust; by
    default that is the folder of the list.
    """
    photos, problems = [], []
    first_line: dict[str, int] = {}
    root = root or path.parent
    present = _PresentFiles(folder, root)
    outside = ''
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        photo, problem = _parse(line, classes)
        if photo and photo.name in first_line:
            problem = (
                f'again {printable(photo.name)}, as in line '
                f'{first_line[photo.name]}'
            )
        elif photo and not may_lack and photo.name not in present:
            problem = (
                f'{printable(photo.name)} is not in {printable(str(folder))}'
            )
        elif photo and not outside and present.leads_out(photo.name):
            outside = str(folder / photo.name)
        if problem:
            problems.append(f'line {number}: {problem}')
        else:
            first_line[photo.name] = number
            photos.append(photo)
    if problems:
        shown = problems[:SHOWN]
        if len(problems) > SHOWN:
            shown.append(f'… and {len(problems) - SHOWN} more')
        raise UserError(
            f'{path} has {len(problems)} problem(s):\n  '
            + '\n  '.join(shown)
            + '\nMend the file, or make the dataset anew: '
            + prepare_command(path.parent)
        )
    if not photos:
        raise UserError(f'{path} lists no photos')
    if outside:
        require_trust(root, outside)
    return photos


def _lines(path: Path) -> list[str]:
    try:
        # Notepad puts a byte-order mark first; it is no part of a name.
        return read_file(path).decode('utf-8-sig').splitlines()
    except FileNotFoundError as error:
        raise UserError(
            f'{path} does not exist.\nMake the dataset: '
            f'{prepare_command(path.parent)}'
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f'{path} cannot be read: {error}') from error


def _parse(line: str, classes: list[str]) -> tuple[Photo | None, str | None]:
    """Return the photo of a line and what is wrong with it, if anything."""
    name, _, number = line.strip().rpartition(' ')
    name = name.rstrip()
    path = PurePath(name)
    # No more than nine digits: Python takes no number of five thousand.
    if not path.parts or not re.fullmatch('[0-9]{1,9}', number):
        return None, (
            f'`{printable(line.strip())}` is not '
            '`class_name/image_name class_index`'
        )
    label = int(number)
    if path.anchor or '..' in path.parts:
        return None, f'{printable(name)} points out of the dataset'
    photo = Photo(path.as_posix(), label)
    if label >= len(classes):
        return photo, (
            f'index {label} of {printable(name)}, but classes.txt ends at '
            f'{len(classes) - 1}'
        )
    if len(path.parts) > 1 and path.parts[0] != classes[label]:
        return photo, (
            f'{printable(name)} has index {label}, which classes.txt calls '
            f'{printable(classes[label])}'
        )
    return photo, None


class _PresentFiles:
    """Which files are there: one listing a folder, not one look a file."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder = folder
        self.root = root
        # For each folder its files, and which of them are links.
        self.listed: dict[str, dict[str, bool]] = {}
        self.outside: dict[str, bool] = {}

    def __contains__(self, name: str) -> bool:
        parent, _, file = name.rpartition('/')
        return file in self._files(parent)

    def leads_out(self, name: str) -> bool:
        """Whether the photo is another file than one in the dataset."""
        parent, _, file = name.rpartition('/')
        if parent not in self.outside:
            inside = is_inside(self.folder / parent, self.root)
            self.outside[parent] = not inside
        if self.outside[parent]:
            return True
        is_link = self._files(parent).get(file, False)
        return is_link and not is_inside(self.folder / name, self.root)

    def _files(self, parent: str) -> dict[str, bool]:
        if parent not in self.listed:
            try:
                with os.scandir(self.folder / parent) as entries:
                    found = {
                        e.name: e.is_symlink() for e in entries if e.is_file()
                    }
            except (OSError, ValueError):  # a name with a null byte
                found = {}
            self.listed[parent] = found
        return self.listed[parent]
