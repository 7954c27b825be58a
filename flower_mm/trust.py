"""Which datasets may have their photos elsewhere.

A dataset can point to photos outside of its folder: `photos` in dataset.json,
or symbolic links. One that was received could point to private photos, so it
is followed only if prepare_dataset.py made it for this user, or the user said
so with `--trust`. That is noted in a file of the user's, which no dataset can
bring along: by a digest of the dataset's texts, so that a trusted dataset may
be moved but not exchanged.
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
# For a home folder that cannot be written to.
_of_this_process: set[str] = set()


def trust(root: Path) -> None:
    """Let the dataset `root` point to photos outside of it."""
    if not (root / DatasetDir.CLASSES).is_file():
        raise UserError(f'{root} is not a dataset: it has no classes.txt')
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
            f'{_file()} cannot be written ({error.strerror}): {root} is '
            'trusted by this process only'
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
    """Raise UserError unless `root` may point to `where`, outside of it."""
    if is_trusted(root):
        return
    place = printable(str(where), 500)
    raise UserError(
        f'the dataset {root} points to photos outside of it, {place}, and '
        'was not prepared by this user.\nIf it may read them: '
        + command('prepare', '--trust', printable(str(root), 500))
    )


def _digest(root: Path) -> str:
    whole = hashlib.sha256()
    for name in TEXTS:
        try:
            text = read_file(root / name)
        except OSError:
            continue
        whole.update(f'{name} {len(text)}\n'.encode() + text)
    return whole.hexdigest()


def _file() -> Path:
    home = os.environ.get('XDG_STATE_HOME') or Path.home() / '.local/state'
    return Path(home) / 'flower_mm' / 'trusted_datasets.txt'
