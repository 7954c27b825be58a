"""A training of a comparison: a config with a seed, in its own folder."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flower_mm.files import replacing
from flower_mm.layout import RunDir
from flower_mm.lock import is_taken

SESSIONS = 'trial.json'  # when the training ran, and its place in the log
LOG = 'train.log'
# The first words of a warning, and of the lines that follow it.
WARNINGS = ('warn  ', 'note: ')
CONTINUED = '      '


@dataclass(frozen=True)
class Trial:
    """A training and its results.

    The name of the folder has a digest of everything that determines the
    result, so that a changed config gets a new folder.
    """

    config: Path
    seed: int
    epochs: int  # for the progress bar
    folder: Path
    text: str  # of the config when the comparison was started
    flags: tuple[str, ...]  # of `train`

    @property
    def name(self) -> str:
        return f'{self.config.stem}, seed {self.seed}'

    @property
    def config_copy(self) -> Path:
        """The config of the training, which later edits leave alone."""
        return self.folder.parent / self.config.name

    @property
    def log(self) -> Path:
        return self.folder / LOG

    def is_done(self) -> bool:
        finished = self.record().get('status') == 'finished'
        return finished and bool(self._sessions())

    def is_busy(self) -> bool:
        """Return whether a training of another comparison runs there."""
        return is_taken(self.folder)

    def record(self) -> dict:
        """Return run.json as far as it is written."""
        return _read(self.folder / RunDir.RECORD)

    def epochs_done(self) -> int:
        return self.record().get('result', {}).get('epochs') or 0

    @contextmanager
    def begin(self, at_once: int) -> Iterator[None]:
        """Record the start, unless the block raises.

        `at_once` is the number of trainings that share the cores.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(self.config_copy, 'w') as file:
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
        """Return the time of all sessions, including imports."""
        return sum(s['ended'] - s['begun'] for s in self._sessions())

    def at_once(self) -> int:
        """Return the largest number of simultaneous trainings."""
        return max(s.get('at_once', 1) for s in self._sessions())

    def started(self) -> float:
        return self._sessions()[0]['begun']

    def output(self) -> list[str]:
        """Return the lines that the last session printed."""
        with self.log.open('rb') as file:
            file.seek(self._sessions()[-1]['log'])
            text = file.read().decode(errors='replace')
        return [line for line in text.splitlines() if line.strip()]

    def warnings(self) -> list[str]:
        """Return the warnings of the training, with their fixes."""
        warnings, is_open = [], False
        for line in self.output():
            if line.startswith(WARNINGS):
                warnings.append(line)
                is_open = True
            elif is_open and line.startswith(CONTINUED):
                warnings[-1] += f'\n{line}'
            else:
                is_open = False
        return warnings

    def _sessions(self) -> list[dict]:
        """Return the sessions; a killed one ended at its last record."""
        sessions = _read(self.folder / SESSIONS).get('sessions', [])
        for session in sessions:
            if session['ended'] is None:
                record = self.folder / RunDir.RECORD
                written = record.stat().st_mtime if record.is_file() else 0.0
                session['ended'] = max(session['begun'], written)
        return sessions

    def _write(self, sessions: list[dict]) -> None:
        with replacing(self.folder / SESSIONS, 'w') as file:
            json.dump({'sessions': sessions}, file)


def _read(path: Path) -> dict:
    """Return a JSON object, empty if the file is missing or incomplete."""
    try:
        content = json.loads(path.read_text('utf-8'))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
