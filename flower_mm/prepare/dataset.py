"""dataset.json: what a dataset is, one line per photo."""

import hashlib
import json
from pathlib import Path
from typing import IO

from flower_mm.errors import UserError

NAME = 'dataset.json'
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
        dataset = json.loads((folder / NAME).read_text(encoding='utf-8'))
    except FileNotFoundError:
        raise UserError(
            f'{folder} is not a prepared dataset: it has no {NAME}.\nMake one '
            f'with: python tools/prepare_dataset.py PHOTOS --out {folder}'
        ) from None
    except (ValueError, OSError) as error:
        raise UserError(f'{folder / NAME} cannot be read: {error}') from error
    if not isinstance(dataset, dict) or dataset.get('format') != FORMAT:
        raise UserError(
            f'{folder / NAME} is of a format that this version does not know.'
            '\nMake the dataset again into another folder with: python '
            'tools/prepare_dataset.py PHOTOS --out OTHER'
        )
    return dataset


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
