"""Getting a file of weights: verified, then put in its place."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flower_mm.commands import command
from flower_mm.errors import UserError
from flower_mm.files import NO_ROOM, no_room, sync_folder
from flower_mm.lock import open_unlinked, taken
from flower_mm.weights import file_hash, pretrained_table
from flower_mm.weights.http_transfer import (
    BrokenError,
    HomeError,
    attempt,
    forget,
)
from flower_mm.weights.pretrained_table import Entry, Home

PAUSES = (1.0, 3.0)  # seconds before the second and the third attempt
# What a home may send where the table knows no size: its largest is 242 MB.
# Where it does, a tenth more, for some count in MiB.
LARGEST, TOLERANCE = 4000.0, 1.1  # MB


class WrongFileError(HomeError):
    """An address gives another file."""


def fetch(
    entry: Entry,
    folder: Path,
    accept_unverified: bool = False,
    say: Callable[[str], None] = print,
) -> Path:
    """Return the verified file; every step and every detour is said."""
    path = pretrained_table.present(entry, folder)
    if path is not None:
        if accept_unverified:
            _accept(entry, path, say)
        how = pretrained_table.check(entry, path)
        say(f'{path} is here already, verified: {how}.')
        return path
    wrong = []
    for home in entry.homes:
        path = folder / home.file
        if not home.trusted and not accept_unverified:
            say(f'{home.url} is left out: {_doubt(home)}')
            continue
        say(f'{entry.name} from {home.url} (licence {home.licence})')
        try:
            with _alone(_part(path)):
                how = _get(home, path, say)
        except HomeError as error:
            say(f'  {error}; trying the next home')
            if isinstance(error, WrongFileError):
                wrong.append(f'{home.url}: {error}\n')
            continue
        say(f'{path}: {how}')
        return path
    nowhere = _nowhere(entry, folder, accept_unverified)
    raise UserError(''.join(wrong) + nowhere)


def _accept(entry: Entry, path: Path, say: Callable[[str], None]) -> None:
    """Record the hash of a file that no home's hash speaks about."""
    home = next(home for home in entry.homes if home.file == path.name)
    if home.sha256 or file_hash.recorded(path):
        return
    digest = file_hash.sha256_of(path)
    if entry.home_of(digest) is None:
        file_hash.record(path, digest)
        say(f'{path}: accepted unverified; sha256 {digest} recorded.')


def _doubt(home: Home) -> str:
    """Why a download from this home proves nothing."""
    if not home.sha256:
        return 'cannot be verified, nobody has published its hash'
    return (
        f'cannot be verified, the domain lapsed on {home.lapsed} and the '
        f'{len(home.sha256)} digits that are known can be forged'
    )


def _nowhere(entry: Entry, folder: Path, accepted: bool) -> str:
    best = entry.homes[0]
    by_hand = f'{best.url} by hand at {(folder / best.file).absolute()}'
    if accepted or all(home.trusted for home in entry.homes):
        return f'No home gave the weights of {entry.name}. Put\n  {by_hand}'
    return (
        f'No home gave verified weights of {entry.name}. Unverified ones are '
        'still loaded as data, never executed:\n'
        f'  {command("weights", entry.name, "--accept-unverified")}, or '
        f'put {by_hand}'
    )


@contextmanager
def _alone(part: Path) -> Iterator[None]:
    """Keep a second process from writing to the same part."""
    part.parent.mkdir(parents=True, exist_ok=True)
    lock = part.with_name(part.name + '.lock')
    with open_unlinked(lock, 'a') as file:
        # Whoever had the lock deletes its file: it may be gone, or a new one.
        if not (taken(file) and _is_at(lock, file.fileno())):
            raise UserError(
                f'another get_weights is writing {part}.\n'
                'Run this again when it has ended.'
            )
        try:
            yield
        finally:
            with suppress(PermissionError):  # Windows: while it is open
                lock.unlink()


def _is_at(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _get(home: Home, path: Path, say: Callable[[str], None]) -> str:
    """Fill the part and give it its name; say how it was verified."""
    # After a power cut its last bytes may be zeros.
    doubtful = _part(path).exists()
    while True:
        _fill(home, _part(path))
        try:
            return _settle(home, path, say)
        except WrongFileError:
            if not doubtful:
                raise
            say('  what an earlier run had left does not fit; all of it anew')
            doubtful = False


def _fill(home: Home, part: Path) -> None:
    """Bring `part` to its full length, in as many attempts as allowed."""
    most = int((home.megabytes or LARGEST) * TOLERANCE * 1e6)
    for pause in (*PAUSES, None):
        try:
            attempt(home.url, part, most)
            return
        except BrokenError as error:
            if pause is None:
                raise HomeError(str(error)) from error
            time.sleep(pause)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            raise UserError(
                f'{no_room(error, part)}.\nWhat came is kept: make room and '
                'run this again.'
            ) from error


def _settle(home: Home, path: Path, say: Callable[[str], None]) -> str:
    """Give the file its name if it is the right one; say why it is."""
    part = _part(path)
    digest = file_hash.sha256_of(part)
    if not digest.startswith(home.sha256):
        forget(part)
        raise WrongFileError(
            f'another file than the table knows came: sha256 {digest}, '
            f'expected {home.sha256}; it is deleted'
        )
    if not home.trusted:
        say(f'  {_doubt(home)}; accepted because you said so')
        file_hash.record(path, digest)
    with part.open('r+b') as file:
        os.fsync(file.fileno())
    part.replace(path)
    sync_folder(path.parent)
    forget(part)
    return (
        f'verified: {file_hash.how(home.sha256)}.'
        if home.trusted
        else f'NOT verified; sha256 {digest} recorded.'
    )


def _part(path: Path) -> Path:
    return path.with_name(path.name + '.part')
