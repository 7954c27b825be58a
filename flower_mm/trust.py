"""Trust in datasets that refer to photos outside their folder.

`photos` in dataset.json and symbolic links can refer to other folders. A
received dataset could refer to private photos, so these are read only if this
user prepared the dataset, or trusted it with `prepare --trust`. A file in the
user's home records a digest of the dataset's lists, so that a trusted dataset
can be moved but not changed.
"""

import hashlib
import os
from pathlib import Path

from flower_mm.commands import command
from flower_mm.errors import UserError, printable
from flower_mm.layout import DatasetDir
from flower_mm.links import read_file
from flower_mm.lock import open_unlinked

TEXTS = (
    DatasetDir.RECORD,
    DatasetDir.CLASSES,
    *map(DatasetDir.list_of, DatasetDir.SPLITS),
)
# For a home folder that is not writable.
_of_this_process: set[str] = set()


def trust(root: Path) -> None:
    """Let the dataset `root` refer to photos outside it."""
    if not (root / DatasetDir.CLASSES).is_file():
        raise UserError(
            f'{root} is not a dataset: {DatasetDir.CLASSES} is missing'
        )
    digest = _digest(root)
    if is_trusted(root):
        return
    _of_this_process.add(digest)
    try:
        _file().parent.mkdir(parents=True, exist_ok=True)
        with open_unlinked(_file(), 'a') as file:
            file.write(f'{digest}  {printable(str(root.absolute()), 500)}\n')
    except OSError as error:
        print(
            f'warning: {_file()} cannot be written ({error.strerror}): '
            f'{root} is trusted by this process only'
        )


def is_trusted(root: Path) -> bool:
    digest = _digest(root)
    if digest in _of_this_process:
        return True
    try:
        lines = _file().read_text('utf-8', errors='replace').splitlines()
    except OSError:
        return False
    return any(line.startswith(digest) for line in lines)


def require_trust(root: Path, where: str | Path) -> None:
    """Raise UserError unless `root` may refer to `where`, outside it."""
    if is_trusted(root):
        return
    raise UserError(
        f'the dataset {root} refers to photos outside it, '
        f'{printable(str(where), 500)}, and was prepared by someone else.\n'
        'If you trust it: '
        + command('prepare', '--trust', printable(str(root), 500))
    )


def _digest(root: Path) -> str:
    digest = hashlib.sha256()
    for name in TEXTS:
        try:
            text = read_file(root / name)
        except OSError:
            continue
        digest.update(f'{name} {len(text)}\n'.encode() + text)
    return digest.hexdigest()


def _file() -> Path:
    home = os.environ.get('XDG_STATE_HOME') or Path.home() / '.local/state'
    return Path(home) / 'flower_mm' / 'trusted_datasets.txt'
