"""The SHA-256 of a file, and the notes that record it beside the file."""

import hashlib
import re
from pathlib import Path

from flower_mm.commands import command
from flower_mm.errors import UserError
from flower_mm.files import replacing


def sha256_of(path: Path) -> str:
    with path.open('rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def description(expected: str) -> str:
    """Describe the published hash that a file is compared with."""
    if not expected:
        return 'sha256 not published'
    whole = len(expected) == 64
    return 'sha256' if whole else f'first {len(expected)} digits of sha256'


def record(path: Path, digest: str) -> None:
    """Note the hash of a file that the table has no hash of."""
    with replacing(_note(path), 'w') as file:
        file.write(f'{digest}  {path.name}\n')


def recorded(path: Path) -> str:
    """Return the noted hash, or '' without a note."""
    note = _note(path)
    if not note.is_file():
        return ''
    text = note.read_text('utf-8', errors='replace')
    match = re.match('[0-9a-f]{64}(?![^ \n])', text)
    if match is None:
        raise UserError(
            f'invalid {note}: expected the sha256 of {path.name}. If you '
            'trust the origin of that file, delete the note, then\n  '
            + command('weights', 'NAME', '--accept-unverified')
        )
    return match[0]


def _note(path: Path) -> Path:
    # The format of sha256sum, so that `sha256sum -c` reads it.
    return path.with_name(path.name + '.sha256')
