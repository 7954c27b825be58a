"""Telling the right file from another one by its sha256."""

import hashlib
import re
from pathlib import Path

from flower_mm.commands import command
from flower_mm.errors import UserError
from flower_mm.files import replacing


def sha256_of(path: Path) -> str:
    with path.open('rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def how(expected: str) -> str:
    """Say what a file is compared with."""
    if not expected:
        return 'no published hash'
    whole = len(expected) == 64
    return 'sha256' if whole else f'first {len(expected)} digits of sha256'


def record(path: Path, digest: str) -> None:
    """Note the hash of a file that was accepted without one to compare."""
    with replacing(_note(path), 'w') as file:
        file.write(f'{digest}  {path.name}\n')


def recorded(path: Path) -> str:
    """The hash that was noted; '' where none was."""
    note = _note(path)
    if not note.is_file():
        return ''
    text = note.read_text('utf-8', errors='replace')
    found = re.match('[0-9a-f]{64}(?![^ \n])', text)
    if found is None:
        raise UserError(
            f'{note} should hold the sha256 of {path.name}, and does not. If '
            'you know where that file is from, delete the note and accept '
            'it again with\n  '
            + command('weights', 'NAME', '--accept-unverified')
        )
    return found[0]


def _note(path: Path) -> Path:
    # The form of sha256sum, so that `sha256sum -c` reads it.
    return path.with_name(path.name + '.sha256')
