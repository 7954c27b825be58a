"""One training of a comparison: a config with a seed, in its own folder."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flower_mm.files import replacing
from flower_mm.layout import RunDir
from flower_mm.lock import is_taken

NOTE = 'trial.json'  # when it ran, and where in the log each time begins
LOG = 'train.log'
# How a line begins that warns, and the lines that go on with it.
WARNINGS = ('warn  ', 'note: ')
FIX = '      '


@dataclass(frozen=True)
class Trial:
    """A training that is to come about, or has.

    The folder's name has a digest of all that decides what comes out, so
    that another training never finds its results there.
    """

    config: Path
    seed: int
    epochs: int  # that the progress bar counts
    folder: Path
    text: str  # of the config, as it was planned
    flags: tuple[str, ...]  # of tools/train.py

    @property
    def name(self) -> str:
        return f'{self.config.stem}, seed {self.seed}'

    @property
    def planned(self) -> Path:
        """The config that is trained from, whatever becomes of the other."""
        return self.folder.parent / self.config.name

    @property
    def log(self) -> Path:
        return self.folder / LOG

    def done(self) -> bool:
        finished = self.record().get('status') == 'finished'
        return finished and bool(self._sessions())

    def busy(self) -> bool:
        """Whether a training goes on there that nobody waits for any more."""
        return is_taken(self.folder)

    def record(self) -> dict:
        """What the run has written of itself up to now."""
        return _read(self.folder / RunDir.RECORD)

    def epochs_done(self) -> int:
        return self.record().get('result', {}).get('epochs') or 0

    @contextmanager
    def begun(self, at_once: int) -> Iterator[None]:
        """Note that it runs from now on, unless starting it fails.

        As one of `at_once`, who take the cores from each other.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(self.planned, 'w') as file:
            file.write(self.text)
        sessions = self._sessions()
        size = self.log.stat().st_size if self.log.is_file() else 0
        now = {'begun': time.time(), 'ended': None}
        self._write([*sessions, {**now, 'log': size, 'at_once': at_once}])
        try:
            yield
        except BaseException:
            self._write(sessions)
            raise

    def end(self) -> None:
        *before, last = self._sessions()
        self._write([*before, {**last, 'ended': time.time()}])

    def seconds(self) -> float:
        """From command to end, of all times that it ran."""
        return sum(one['ended'] - one['begun'] for one in self._sessions())

    def at_once(self) -> int:
        """How many ran at a time, the most of all times that it ran."""
        return max(one.get('at_once', 1) for one in self._sessions())

    def started(self) -> float:
        return self._sessions()[0]['begun']

    def said(self) -> list[str]:
        """The lines of the last time that it ran."""
        with self.log.open('rb') as file:
            file.seek(self._sessions()[-1]['log'])
            text = file.read().decode(errors='replace')
        return [line for line in text.splitlines() if line.strip()]

    def warnings(self) -> list[str]:
        """What the training warned about, with the fixes.

        Random initial weights, or an accuracy below a baseline, say.
        """
        found, is_open = [], False
        for line in self.said():
            is_open = is_open and line.startswith(FIX)
            if line.startswith(WARNINGS):
                is_open = True
            if is_open:
                found.append(line)
        return found

    def _sessions(self) -> list[dict]:
        """Each with an end: where nobody saw it, when the run last wrote."""
        found = _read(self.folder / NOTE).get('sessions', [])
        for one in found:
            if one['ended'] is None:
                record = self.folder / RunDir.RECORD
                wrote = record.stat().st_mtime if record.is_file() else 0.0
                one['ended'] = max(one['begun'], wrote)
        return found

    def _write(self, sessions: list[dict]) -> None:
        with replacing(self.folder / NOTE, 'w') as file:
            json.dump({'sessions': sessions}, file)


def _read(path: Path) -> dict:
    """Empty where there is none that is whole."""
    try:
        found = json.loads(path.read_text('utf-8'))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
