"""One training of a comparison: a config with a seed, in its own folder."""

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path

from flower_mm.files import replacing

NOTE = 'trial.json'  # which training the folder is of, and when it ran
LOG = 'train.log'


@dataclass(frozen=True)
class Trial:
    config: Path
    seed: int
    epochs: int
    folder: Path
    flags: tuple[str, ...]  # of tools/train.py
    sha256: str  # of all that decides what comes out

    @property
    def name(self) -> str:
        return f'{self.config.stem}, seed {self.seed}'

    def done(self) -> bool:
        """Whether this very training has come to its end here."""
        return self._begun() and self.record().get('status') == 'finished'

    def begin(self) -> list[str]:
        """Note that it runs from now on; return the flags that it takes.

        What another training left in the folder is set aside by train.py.
        """
        resumes = self._begun()
        sessions = self._note()['sessions'] if resumes else []
        self._write([*sessions, {'begun': time.time(), 'ended': None}])
        return [*self.flags, *(['--resume'] if resumes else [])]

    def end(self) -> None:
        sessions = self._note()['sessions']
        sessions[-1]['ended'] = time.time()
        self._write(sessions)

    def seconds(self) -> float:
        """From command to end, of all times that it ran.

        Where it was not this process that saw the end, until the run last
        wrote of itself.
        """
        seen = (self.folder / 'run.json').stat().st_mtime
        return sum(
            max(0.0, (one['ended'] or seen) - one['begun'])
            for one in self._note()['sessions']
        )

    def record(self) -> dict:
        """What the run has written of itself up to now."""
        return _read(self.folder / 'run.json')

    def epochs_done(self) -> int:
        result = self.record().get('result', {})
        return result.get('epochs') or 0

    def _begun(self) -> bool:
        return self._note().get('sha256') == self.sha256

    def _note(self) -> dict:
        return _read(self.folder / NOTE)

    def _write(self, sessions: list[dict]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(self.folder / NOTE, 'w') as file:
            json.dump({'sha256': self.sha256, 'sessions': sessions}, file)


def digest(*parts: object) -> str:
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _read(path: Path) -> dict:
    """Empty where there is none; a run replaces its files in one step."""
    try:
        return json.loads(path.read_text('utf-8'))
    except FileNotFoundError:
        return {}
