"""The table of pretrained weights, and where its files lie on this disk."""

import difflib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from flower_mm.commands import command
from flower_mm.errors import UserError
from flower_mm.weights import file_hash

TABLE = Path(__file__).with_name('table.json')
# What the texts of a home have to look like.
FORMS = {
    'source': '.+',
    'url': 'https?://[!-~]+',
    'licence': '.+',
    # A name in one folder, on Windows too.
    'file': r'\w[\w .()+-]{0,200}',
    'sha256': '|[0-9a-f]{8}|[0-9a-f]{64}',
    'lapsed': '.*',
}
# What a text that is no such table makes its reader run into.
_WRONG = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True)
class Home:
    """One address of one file; two homes may hold different trainings."""

    source: str
    url: str
    licence: str
    file: str
    # All 64 digits, the first 8 of them as in the file's name, or none.
    sha256: str = ''
    megabytes: float | None = None
    # The day since which anybody may own the domain.
    lapsed: str = ''

    @property
    def trusted(self) -> bool:
        """Whether the hash tells a forged file from the true one.

        Eight digits can be forged in minutes. They guard against accidents,
        which is enough where the owner of the address is known.
        """
        return len(self.sha256) == 64 or bool(self.sha256 and not self.lapsed)


@dataclass(frozen=True)
class Entry:
    """What stands behind one name: an architecture and its homes.

    The homes are in order of trust. `parameters` counts the backbone's and
    tells one architecture from another.
    """

    name: str
    architecture: str
    parameters: int
    homes: tuple[Home, ...]

    def home_of(self, digest: str) -> Home | None:
        """The home whose file has this sha256."""
        for home in self.homes:
            if home.sha256 and digest.startswith(home.sha256):
                return home
        return None


def read_table(path: Path | None = None) -> dict[str, Entry]:
    path = path or TABLE
    try:
        rows = json.loads(path.read_text(encoding='utf-8'))
        return {name: _entry(name, row) for name, row in rows.items()}
    except OSError as error:
        raise UserError(f'{path}: {error.strerror}') from error
    except _WRONG as error:
        raise UserError(
            f'{path} is no table of weights: {repr(str(error)[:200])[1:-1]}.'
            f'\nWrite it as {TABLE} is written.'
        ) from error


def _entry(name: str, row: dict) -> Entry:
    homes = tuple(_home(home) for home in row['homes'])
    entry = Entry(**{**row, 'name': name, 'homes': homes})
    numbered = isinstance(entry.parameters, int)
    if not (homes and numbered and isinstance(entry.architecture, str)):
        raise ValueError(f'{name} lacks an architecture or a home')
    return entry


def _home(row: dict) -> Home:
    home = Home(**{'file': row['url'].rpartition('/')[2], **row})
    for name, form in FORMS.items():
        if not re.fullmatch(form, getattr(home, name)):
            raise ValueError(f'{name} {getattr(home, name)!r}')
    if home.megabytes is not None and not 0 < home.megabytes < 1e6:
        raise ValueError(f'megabytes {home.megabytes}')
    return home


def find(name: str, table: Path | None = None) -> Entry:
    rows = read_table(table)
    if name in rows:
        return rows[name]
    close = difflib.get_close_matches(name, rows, n=1)
    hint = f'Did you mean {close[0]}? ' if close else ''
    raise UserError(
        f'No pretrained weights are called {name!r}. {hint}All names: '
        f'{command("weights", "--list")}'
    )


def folder() -> Path:
    """Where weights lie: one place for all, or one in each project."""
    chosen = os.environ.get('FLOWER_MM_CHECKPOINTS')
    return Path(chosen).expanduser() if chosen else Path('checkpoints')


def local_path(name: str) -> Path:
    """The file that is here; else the one that the best home would give."""
    entry = find(name)
    return present(entry, folder()) or folder() / entry.homes[0].file


def present(entry: Entry, where: Path) -> Path | None:
    """The first of the entry's files that lies there, verified or not."""
    paths = (where / home.file for home in entry.homes)
    return next((path for path in paths if path.is_file()), None)


def require(name: str) -> Path:
    """The verified file of these weights, or how to get it."""
    path = local_path(name)
    if path.is_file():
        check(find(name), path)
        return path
    raise UserError(
        f'The weights of {name} are not here. Fetch them with\n'
        f'  {command("weights", name)}\n'
        f'or put the file by hand at {path.absolute()}, or train without '
        'them: --from-scratch.'
    )


def check(entry: Entry, path: Path) -> str:
    """Say how the file was verified; raise when it was not."""
    digest = file_hash.sha256_of(path)
    home = entry.home_of(digest)
    recorded = file_hash.recorded(path)
    if home is not None and (home.trusted or not recorded):
        return f'{file_hash.how(home.sha256)}, from {home.source}'
    if recorded == digest:
        return 'the sha256 that was recorded when you accepted it'
    if recorded:
        raise UserError(
            f'{path} has changed since you accepted it: sha256 {digest}, '
            f'recorded was {recorded}. Move it away, then\n'
            f'  {command("weights", entry.name, "--accept-unverified")}'
        )
    home = next(home for home in entry.homes if home.file == path.name)
    if home.sha256:
        raise UserError(
            f'{path} is not the file of that name: its sha256 is {digest}, '
            f'expected {home.sha256}. Move it away, then\n'
            f'  {command("weights", entry.name)}'
        )
    raise UserError(
        f'{path} cannot be verified: nobody has published its hash. If you '
        'know where it is from, record the one it has with\n'
        f'  {command("weights", entry.name, "--accept-unverified")}'
    )
