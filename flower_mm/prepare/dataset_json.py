"""dataset.json: what a dataset is, one line per photo."""

import hashlib
import json
import re
from pathlib import Path, PurePath
from typing import IO

from flower_mm.commands import command
from flower_mm.errors import UserError
from flower_mm.layout import DatasetDir
from flower_mm.links import read_file
from flower_mm.plain_text import class_name_fault
from flower_mm.prepare.class_folders import shown

FORMAT = 1

# side: {'class/name': sha256}
Files = dict[str, dict[str, str]]


def digest(files: Files) -> str:
    """One sha256 for all: of the sorted lines `sha256  side/class/name`.

    That is what `sha256sum` prints for a copied dataset, and what it checks.
    """
    lines = sorted(
        f'{sha}  {side}/{path}\n'
        for side, photos in files.items()
        for path, sha in photos.items()
    )
    whole = hashlib.sha256()
    for line in lines:
        whole.update(line.encode())
    return whole.hexdigest()


def counts(files: Files, classes: list[str]) -> dict[str, dict[str, int]]:
    table = {side: dict.fromkeys(classes, 0) for side in files}
    for side, photos in files.items():
        for path in photos:
            table[side][path.partition('/')[0]] += 1
    return table


def annotation(photos: dict[str, str], classes: list[str]) -> list[str]:
    """The lines of train.txt and its like: `class/name index`."""
    index = {name: i for i, name in enumerate(classes)}
    return [f'{path} {index[path.partition("/")[0]]}' for path in photos]


def dump(dataset: dict, file: IO[str]) -> None:
    """Write as JSON with one photo a line, so that `diff` shows photos."""

    def text(value: object) -> str:
        return json.dumps(value, ensure_ascii=False)

    file.write('{\n')
    for key, value in dataset.items():
        if key != 'files':
            file.write(f'{text(key)}: {text(value)},\n')
    file.write('"files": {')
    for i, (side, photos) in enumerate(dataset['files'].items()):
        file.write(f'{"," if i else ""}\n{text(side)}: {{')
        for j, (path, sha) in enumerate(photos.items()):
            file.write(f'{"," if j else ""}\n{text(path)}: {text(sha)}')
        file.write('\n}')
    file.write('\n}\n}\n')


def load(folder: Path) -> dict:
    try:
        dataset = json.loads(read_file(folder / DatasetDir.RECORD).decode())
    except FileNotFoundError:
        raise UserError(
            f'{folder} is not a prepared dataset: {DatasetDir.RECORD} is '
            'missing.\n'
            f'Make one: {command("prepare", "PHOTOS", "--out", folder)}'
        ) from None
    except (ValueError, OSError, RecursionError) as error:
        raise UserError(
            f'{folder / DatasetDir.RECORD} cannot be read: {error}'
        ) from error
    wrong = ''
    if not isinstance(dataset, dict) or dataset.get('format') != FORMAT:
        wrong = 'is of a format that this version does not know'
    elif key := _damaged(dataset):
        wrong = f'is damaged, under {key!r}'
    if wrong:
        raise UserError(
            f'{folder / DatasetDir.RECORD} {wrong}.\nMake the dataset again '
            'into another folder: '
            + command('prepare', 'PHOTOS', '--out', 'OTHER')
        )
    return dataset


def _damaged(dataset: dict) -> str:
    """The first key whose value `run` cannot have written; '' if none."""
    for key, is_right in _CHECKS.items():
        try:
            if is_right(dataset[key], dataset):
                continue
        except (KeyError, TypeError, AttributeError):
            pass
        return key
    return ''


def _is_text(value: object) -> bool:
    return isinstance(value, str) and shown(value) == value != ''


def _is_sha(value: object) -> bool:
    return bool(re.fullmatch('[0-9a-f]{64}', value))


def _is_place(path: str, classes: list[str]) -> bool:
    """Whether it lies in the folder of a class, and no path leads out."""
    name, _, inside = path.partition('/')
    way = PurePath(path)
    safe = not way.anchor and '..' not in way.parts
    return _is_text(path) and name in classes and inside != '' and safe


_NUMBER, _TEXT = (int, float), (str,)
_OPTIONS = {'val': _NUMBER, 'test': _NUMBER, 'seed': (int,), 'how': _TEXT,
            'on_conflict': _TEXT}  # fmt: skip
# Of what is read again; the first argument is the value, the second all.
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
    'files': lambda files, all_: all(
        side in DatasetDir.SPLITS
        and _is_place(path, all_['classes'])
        and _is_sha(sha)
        for side, photos in files.items()
        for path, sha in photos.items()
    ),
    'rewritten': lambda fixes, _: all(
        _is_sha(fix['from']) for fix in fixes.values()
    ),
    'counts': lambda counts, _: isinstance(counts, dict),
    'sha256': lambda sha, _: _is_sha(sha),
}


def origins(dataset: dict) -> Files:
    """The files, with the sha256 of what a rewritten one was made from."""
    made = {path: fix['from'] for path, fix in dataset['rewritten'].items()}
    return {
        side: {path: made.get(path, sha) for path, sha in photos.items()}
        for side, photos in dataset['files'].items()
    }


def sides(dataset: dict) -> dict[bytes, str]:
    """The side of each photo by the sha256 of its source."""
    return {
        bytes.fromhex(sha): side
        for side, photos in origins(dataset).items()
        for sha in photos.values()
    }
