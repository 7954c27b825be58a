"""Read and validate the lists of a dataset, without torch.

classes.txt has one class per line, in the order of the class indices.
train.txt has one `class_name/image_name class_index` per line, split at the
last blank because names can contain blanks.
"""

import hashlib
import json
import os
import re
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import NamedTuple

from flower_mm.commands import command
from flower_mm.errors import UserError, printable
from flower_mm.layout import DatasetDir
from flower_mm.links import is_inside, read_file
from flower_mm.plain_text import class_name_fault
from flower_mm.shards import NamesInShards, shards_in
from flower_mm.trust import require_trust

MAX_HEADER = 100  # lines above the files in dataset.json
SHOWN = 10  # faults in a message; the others are counted
# The first words of `resumed_although` in run.json if validation may contain
# photos of the earlier training.
OTHER_PHOTOS = 'the photos or classes of '


class Photo(NamedTuple):
    """A line of an annotation file."""

    name: str  # relative to the folder of the split, with forward slashes
    label: int


def require_dataset(root: Path) -> None:
    """Raise UserError if `root` is not a dataset."""
    if not (root / DatasetDir.CLASSES).is_file():
        fault = 'has no classes.txt' if root.is_dir() else 'does not exist'
        raise UserError(
            f'the dataset folder {root} {fault}.\n'
            f'Prepare one from your photos: {prepare_command(root)}\n'
            'or name another: --data FOLDER'
        )


def prepare_command(root: Path, options: str = '') -> str:
    """Return the command that prepares the dataset `root` again."""
    words = options.split()
    if (root / DatasetDir.RECORD).is_file():
        return command(
            'prepare', 'PHOTOS', '--out', root, *words, '--overwrite'
        )
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return command('prepare', 'PHOTOS', '--out', root, *words)
    # `prepare` refuses to replace another folder.
    new = command('prepare', 'PHOTOS', '--out', 'NEW', *words)
    return f'{new}, then --data NEW'


def read_classes(root: Path) -> list[str]:
    """Return the class names in the order of their indices."""
    require_dataset(root)
    path = root / DatasetDir.CLASSES
    names = [line.strip() for line in _lines(path)]
    names = [name for name in names if name]
    for name in names:
        if fault := class_name_fault(name):
            raise UserError(
                f'invalid class name {printable(name, 80)} in {path}: '
                f'{fault}.\nRename the class there and in the lists of photos'
            )
    counts = Counter(names)
    duplicates = [printable(name) for name in counts if counts[name] > 1]
    if duplicates:
        rest = len(duplicates) - SHOWN
        more = f' and {rest} more' if rest > 0 else ''
        raise UserError(
            f'duplicate classes in {path}: '
            f'{", ".join(duplicates[:SHOWN])}{more}'
        )
    if len(names) < 2:
        raise UserError(
            f'too few classes in {path}: expected at least 2, got {len(names)}'
        )
    return names


def photos_folder(root: Path, split: str) -> Path:
    """Return the folder that the paths in `split`.txt are relative to.

    It is `root/split`, or the folder of the original photos if the dataset
    refers to them.
    """
    photos = describe(root).get('photos')
    if not photos:
        return root / split
    if not is_inside(photos, root):
        require_trust(root, photos)
    return Path(photos)


def describe(root: Path, files: bool = False) -> dict:
    """Return dataset.json, empty for a dataset made by hand.

    Without its `files`, which take a hundred times as long for a million
    photos, unless they are asked for.
    """
    path = root / DatasetDir.RECORD
    if not path.is_file():
        return {}
    try:
        record = None if files else _header(path)
        if record is None:
            record = json.loads(path.read_text(encoding='utf-8'))
        if not isinstance(record, dict):
            raise ValueError('expected an object')
        photos, sha256 = record.get('photos'), record.get('sha256', '0' * 64)
        if not isinstance(photos, str | None):
            raise ValueError('invalid "photos"')
        if not re.fullmatch('[0-9a-f]{64}', str(sha256)):
            raise ValueError('invalid "sha256"')
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(
            f'{path} cannot be read ({error}).\n'
            f'Check the dataset: {command("prepare", "--check", root)}'
        ) from error
    return record


def _header(path: Path) -> dict | None:
    """Return what `prepare` wrote above the files; None for another file."""
    lines: list[str] = []
    with path.open(encoding='utf-8') as file:
        for line in file:
            if line == '"files": {\n':
                text = ''.join(lines).rstrip().removesuffix(',')
                try:
                    return json.loads(text + '}')
                except ValueError:
                    return None
            lines.append(line)
            if len(lines) > MAX_HEADER:
                return None
    return None


def lists_sha256(root: Path) -> str:
    """Return a digest of the classes and of the train and val photos."""
    digest = hashlib.sha256(str(describe(root).get('sha256')).encode())
    lists = map(DatasetDir.list_of, ('train', 'val'))
    for name in (DatasetDir.CLASSES, *lists):
        path = root / name
        digest.update(b'\0' + (path.read_bytes() if path.is_file() else b''))
    return digest.hexdigest()


def list_of(dataset: Mapping) -> Path:
    """The file that lists the photos of a dataset in a config."""
    name = DatasetDir.list_of(dataset.get('split', 'train'))
    return Path(dataset['data_root']) / (dataset.get('ann_file') or name)


def read_annotations(
    path: Path,
    folder: Path,
    classes: list[str],
    may_lack: bool = False,
    root: Path | None = None,
) -> list[Photo]:
    """Return the photos of a split, or raise UserError with its faults."""
    return list(iter_annotations(path, folder, classes, may_lack, root))


def iter_annotations(
    path: Path,
    folder: Path,
    classes: list[str],
    may_lack: bool = False,
    root: Path | None = None,
) -> Iterator[Photo]:
    """Yield the photos of a split; raise UserError with its faults at the end.

    A missing photo is a fault unless photos `may_lack`. A link that leads out
    of the dataset `root`, by default the folder of the list, requires the
    user's trust.
    """
    faults = _Faults()
    # Of the names, which would take 200 bytes each in a dictionary.
    hashes = array('q')
    root = root or path.parent
    present: _PresentFiles | NamesInShards
    shards = shards_in(root)
    if shards and folder.parent.absolute() == root.absolute():
        present = NamesInShards(shards, folder.name)
    else:
        present = _PresentFiles(folder, root)
    outside = ''
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        photo, fault = _parse(line, classes)
        if photo and not may_lack and photo.name not in present:
            fault = (
                f'{printable(photo.name)} is not in {printable(str(folder))}'
            )
        elif photo and not outside and present.leads_out(photo.name):
            outside = str(folder / photo.name)
        if photo and not fault:
            hashes.append(hash(photo.name))
            yield photo
        else:
            faults.add(number, f'{fault}')
    _find_duplicates(path, classes, hashes, faults)
    if faults.count:
        raise UserError(
            f'invalid lines in {path}: {faults.count}\n  '
            + '\n  '.join(faults.lines())
            + '\nFix the file, or prepare the dataset again: '
            + prepare_command(path.parent)
        )
    if not hashes:
        raise UserError(f'{path} is empty: expected photos')
    if outside:
        require_trust(root, outside)


class _Faults:
    """Counts the invalid lines and keeps the first ones."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[tuple[int, str]] = []

    def add(self, number: int, fault: str) -> None:
        self.count += 1
        self.first = sorted([*self.first, (number, fault)])[:SHOWN]

    def lines(self) -> list[str]:
        lines = [f'line {number}: {fault}' for number, fault in self.first]
        if self.count > SHOWN:
            lines.append(f'… and {self.count - SHOWN} more')
        return lines


def _find_duplicates(
    path: Path, classes: list[str], hashes: array, faults: _Faults
) -> None:
    """Report lines with the name of an earlier one."""
    several = _several(hashes)
    first_line: dict[str, int] = {}
    for number, line in enumerate(_lines(path) if several else (), 1):
        photo, fault = _parse(line, classes)
        if not photo or fault or hash(photo.name) not in several:
            continue
        first = first_line.setdefault(photo.name, number)
        if first != number:
            faults.add(
                number,
                f'duplicate {printable(photo.name)}, as in line {first}',
            )


def _several(hashes: array) -> set[int]:
    """Return the values that occur several times."""
    import numpy as np

    values = np.sort(np.frombuffer(hashes, np.int64))
    return set(values[1:][values[1:] == values[:-1]].tolist())


def _lines(path: Path) -> Iterator[str]:
    try:
        # utf-8-sig drops the byte-order mark that Notepad writes.
        text = read_file(path).decode('utf-8-sig')
    except FileNotFoundError as error:
        raise UserError(
            f'{path} does not exist.\nPrepare the dataset: '
            f'{prepare_command(path.parent)}'
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f'{path} cannot be read: {error}') from error
    start = 0
    while start < len(text):
        end = text.find('\n', start) + 1 or len(text)
        yield from text[start:end].splitlines()
        start = end


def _parse(line: str, classes: list[str]) -> tuple[Photo | None, str | None]:
    """Return the photo of a line and its fault, if any."""
    name, _, number = line.strip().rpartition(' ')
    name = name.rstrip()
    path = PurePath(name)
    # At most nine digits: int() raises for very long numbers.
    if not path.parts or not re.fullmatch('[0-9]{1,9}', number):
        return None, (
            'expected `class_name/image_name class_index`, got '
            f'`{printable(line.strip())}`'
        )
    label = int(number)
    if path.anchor or '..' in path.parts:
        return None, f'{printable(name)} points out of the dataset'
    photo = Photo(path.as_posix(), label)
    if label >= len(classes):
        return photo, (
            f'invalid class index of {printable(name)}: expected at most '
            f'{len(classes) - 1}, got {label}'
        )
    if len(path.parts) > 1 and path.parts[0] != classes[label]:
        return photo, (
            f'class index {label} of {printable(name)} is that of '
            f'{printable(classes[label])}'
        )
    return photo, None


class _PresentFiles:
    """The existing files, by one listing per folder instead of per file."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder = folder
        self.root = root
        # The sorted hashes of the names in each folder, and the links there.
        self.listed: dict[str, tuple[array, frozenset[str]]] = {}
        self.outside: dict[str, bool] = {}

    def __contains__(self, name: str) -> bool:
        parent, _, file = name.rpartition('/')
        hashes, _ = self._files(parent)
        wanted = hash(file)
        place = bisect_left(hashes, wanted)
        return place < len(hashes) and hashes[place] == wanted

    def leads_out(self, name: str) -> bool:
        """Return whether the photo is a file outside the dataset."""
        parent, _, file = name.rpartition('/')
        if parent not in self.outside:
            inside = is_inside(self.folder / parent, self.root)
            self.outside[parent] = not inside
        if self.outside[parent]:
            return True
        _, links = self._files(parent)
        return file in links and not is_inside(self.folder / name, self.root)

    def _files(self, parent: str) -> tuple[array, frozenset[str]]:
        if parent not in self.listed:
            hashes, links = array('q'), set()
            try:
                with os.scandir(self.folder / parent) as entries:
                    for entry in entries:
                        if entry.is_file():
                            hashes.append(hash(entry.name))
                            if entry.is_symlink():
                                links.add(entry.name)
            except (OSError, ValueError):  # a name with a null byte
                hashes = array('q')
            hashes = array('q', sorted(hashes))
            self.listed[parent] = hashes, frozenset(links)
        return self.listed[parent]
