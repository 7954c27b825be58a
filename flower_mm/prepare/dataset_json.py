"""dataset.json: the contents of a dataset, one line per photo."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path, PurePath
from typing import IO, TYPE_CHECKING, Any

import numpy as np

import flower_mm
from flower_mm.commands import command
from flower_mm.errors import UserError
from flower_mm.layout import DatasetDir
from flower_mm.links import read_file
from flower_mm.plain_text import class_name_fault, escape_controls
from flower_mm.prepare.groups import members_of
from flower_mm.prepare.photo import Photo, Photos
from flower_mm.prepare.stored_photos import StoredSplits

if TYPE_CHECKING:
    from flower_mm.prepare.prepare_dataset import Options

FORMAT = 1

# split: {'class/name': sha256}, with sorted paths
Files = Mapping[str, Mapping[str, str]]


def names_of_splits(splits: list[str], options: 'Options') -> list[str]:
    """Return the splits that a dataset has, even without photos."""
    return [
        split
        for split in DatasetDir.SPLITS
        if split != 'test' or options.test or split in splits
    ]


def files_of(
    photos: list[Photo],
    splits: list[str],
    classes: list[str],
    options: 'Options',
) -> Files:
    """Return the files of photos that have names and splits."""
    files: dict[str, dict[str, str]] = {
        split: {} for split in names_of_splits(splits, options)
    }
    for photo, split in zip(photos, splits, strict=True):
        files[split][_path(photo, classes)] = photo.sha256.hex()
    return {split: dict(sorted(of.items())) for split, of in files.items()}


def make(files: Files, classes: list[str], options: 'Options') -> dict:
    """Return the content of dataset.json, before the photos are written."""
    return {
        'format': FORMAT,
        'tool': f'flower_mm {flower_mm.__version__}',
        'source': '',
        # The folder of the class folders that the lists refer to; null for
        # the folder of the split beside this file.
        'photos': None,
        'options': asdict(options),
        'classes': classes,
        'counts': counts(files, classes),
        'left_out': {},
        'equal': [],
        'rewritten': {},
        'sha256': digest(files),
        'files': files,
    }


def groups(
    photos: Photos, numbers: np.ndarray, classes: list[str]
) -> list[list[str]]:
    """Return the near-duplicates as groups of paths in the dataset."""
    return sorted(
        sorted(_path(photos[i], classes) for i in same)
        for same in members_of(numbers)
    )


def note_rewritten(
    record: dict, photo: Photo, split: str, sha256: bytes
) -> None:
    """Put the new sha256 of a rewritten photo into `record`."""
    path = _path(photo, record['classes'])
    record['files'][split][path] = sha256.hex()
    record['rewritten'][path] = {
        'from': photo.sha256.hex(),
        'path': escape_controls(photo.path),
        'why': photo.rewrite_reason,
    }


def _path(photo: Photo, classes: list[str]) -> str:
    return f'{classes[photo.label]}/{photo.name}'


def digest(files: Files) -> str:
    """The sha256 of the sorted lines `sha256  split/class/name`.

    `sha256sum` prints these lines for a copied dataset.
    """
    sha256 = hashlib.sha256()
    lines: Iterable[str]
    if isinstance(files, StoredSplits):
        lines = files.lines()
    else:
        lines = sorted(
            f'{sha}  {split}/{path}\n'
            for split, photos in files.items()
            for path, sha in photos.items()
        )
    for line in lines:
        sha256.update(line.encode())
    return sha256.hexdigest()


def counts(files: Files, classes: list[str]) -> dict[str, dict[str, int]]:
    """Count the photos of each class in each split."""
    table = {split: dict.fromkeys(classes, 0) for split in files}
    for split, photos in files.items():
        for path in photos:
            table[split][path.partition('/')[0]] += 1
    return table


def annotation(photos: Iterable[str], classes: list[str]) -> Iterator[str]:
    """Yield the lines of a list such as train.txt: `class/name index`."""
    index = {name: i for i, name in enumerate(classes)}
    for path in photos:
        yield f'{path} {index[path.partition("/")[0]]}'


def texts(record: dict) -> dict[str, str]:
    """Return the contents of classes.txt and of the lists by file name."""
    return {
        name: ''.join(f'{line}\n' for line in lines)
        for name, lines in lines_of(record).items()
    }


def lines_of(record: dict) -> dict[str, Iterable[str]]:
    """Return the lines of classes.txt and of the lists by file name."""
    classes = record['classes']
    lines: dict[str, Iterable[str]] = {DatasetDir.CLASSES: classes}
    for split, photos in record['files'].items():
        lines[DatasetDir.list_of(split)] = annotation(photos, classes)
    return lines


def dump(dataset: dict, file: IO[str]) -> None:
    """Write as JSON with one photo a line, so that `diff` shows photos."""

    def text(value: object) -> str:
        return json.dumps(value, ensure_ascii=False)

    file.write('{\n')
    for key, value in dataset.items():
        if key != 'files':
            file.write(f'{text(key)}: {text(value)},\n')
    file.write('"files": {')
    for i, (split, photos) in enumerate(dataset['files'].items()):
        file.write(f'{"," if i else ""}\n{text(split)}: {{')
        for j, (path, sha) in enumerate(photos.items()):
            file.write(f'{"," if j else ""}\n{text(path)}: {text(sha)}')
        file.write('\n}')
    file.write('\n}\n}\n')


def load(folder: Path) -> dict:
    """Read and validate dataset.json; raise UserError if it is invalid."""
    path = folder / DatasetDir.RECORD
    try:
        dataset = json.loads(read_file(path).decode())
    except FileNotFoundError:
        raise UserError(
            f'{folder} is not a prepared dataset: {DatasetDir.RECORD} is '
            'missing.\n'
            f'Create one: {command("prepare", "PHOTOS", "--out", folder)}'
        ) from None
    except (ValueError, OSError, RecursionError) as error:
        raise UserError(f'{path} cannot be read: {error}') from error
    fault = ''
    if not isinstance(dataset, dict) or dataset.get('format') != FORMAT:
        fault = f'unknown format: expected "format": {FORMAT}'
    elif key := _invalid_key(dataset):
        fault = f'invalid {key!r}'
    if fault:
        raise UserError(
            f'{path}: {fault}.\nPrepare the photos again into another folder: '
            + command('prepare', 'PHOTOS', '--out', 'OTHER')
        )
    return dataset


def _invalid_key(dataset: dict) -> str:
    """Return the first key that is missing or invalid, or ''."""
    for key, is_valid in _CHECKS.items():
        try:
            if is_valid(dataset[key], dataset):
                continue
        except (KeyError, TypeError, AttributeError):
            pass
        return key
    return ''


def _is_text(value: object) -> bool:
    return isinstance(value, str) and escape_controls(value) == value != ''


def _is_sha(value: Any) -> bool:
    return bool(re.fullmatch('[0-9a-f]{64}', value))


def _is_photo_path(path: str, classes: list[str]) -> bool:
    """Whether it is below the folder of a class."""
    name, _, inside = path.partition('/')
    pure = PurePath(path)
    is_safe = not pure.anchor and '..' not in pure.parts
    return _is_text(path) and name in classes and inside != '' and is_safe


_NUMBER, _TEXT = (int, float), (str,)
_OPTIONS = {'val': _NUMBER, 'test': _NUMBER, 'seed': (int,), 'how': _TEXT,
            'on_conflict': _TEXT}  # fmt: skip
# Of the values that are read again, given the value and the whole record.
_CHECKS = {
    'classes': lambda names, _: (
        isinstance(names, list)
        and all(_is_text(n) and not class_name_fault(n) for n in names)
        and len(set(names)) == len(names)
    ),
    'photos': lambda folder, _: folder is None or _is_text(folder),
    'options': lambda options, _: all(
        type(options[key]) in kinds for key, kinds in _OPTIONS.items()
    ),
    'files': lambda files, record: all(
        split in DatasetDir.SPLITS
        and _is_photo_path(path, record['classes'])
        and _is_sha(sha)
        for split, photos in files.items()
        for path, sha in photos.items()
    ),
    'rewritten': lambda fixes, _: all(
        _is_sha(fix['from']) for fix in fixes.values()
    ),
    'counts': lambda counts, _: isinstance(counts, dict),
    'sha256': lambda sha, _: _is_sha(sha),
}


def origins(dataset: dict) -> Files:
    """Return the files with the sha256 of the original of rewritten ones."""
    rewritten = dataset['rewritten']
    made = {path: entry['from'] for path, entry in rewritten.items()}
    return {
        split: {path: made.get(path, sha) for path, sha in photos.items()}
        for split, photos in dataset['files'].items()
    }


def splits(dataset: dict) -> dict[bytes, str]:
    """Return the split of each photo by the sha256 of its original."""
    return {
        bytes.fromhex(sha): split
        for split, photos in origins(dataset).items()
        for sha in photos.values()
    }
