"""The process that sends the scalars of a run to one tracker.

A process of its own, so that a slow or dead server cannot delay the training.
It reads scalars.json of the run. Its standard input has the job, and ends
with the training.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from flower_mm.errors import printable
from flower_mm.files import replacing
from flower_mm.layout import RunDir
from flower_mm.lock import open_unlinked, take_lock
from flower_mm.tracking.trackers import Job, Tracker, is_run_name

POLL = 1.0  # seconds
PAUSE = 5.0  # seconds after a failure
TRIES = 2  # when the training has ended
ARTEFACTS = (RunDir.BEST, RunDir.REPORT)
END = 'end'


class Sender:
    """Sends what scalars.json has and the tracker has not."""

    def __init__(self, job: Job, warn: Callable[[str], None]) -> None:
        self.job, self.warn = job, warn
        self.folder = Path(job.folder)
        self.state = self.folder / RunDir.tracking(job.tracker)
        self.run, self.sent = _read_state(self.state)
        self.lines = len(self._lines())
        self.tracker: Tracker | None = None
        self.has_warned = False

    def send(self) -> bool:
        """Send all new lines; return whether that was possible."""
        try:
            lines = self._lines()
            if len(lines) < self.lines:
                # The training went back to an earlier epoch.
                self.sent = min(self.sent, len(lines))
            self.lines = len(lines)
            if self.tracker is None:
                self._open()
            assert self.tracker is not None
            for line in lines[self.sent :]:
                with suppress(ValueError, KeyError):  # a damaged line
                    self.tracker.send_scalars(json.loads(line))
                self.sent += 1
            self._note()
        except Exception as error:
            self._failed(error)
            return False
        return True

    def _open(self) -> None:
        tracker = Tracker(self.job, self.run)
        is_new, self.run = self.run is None, tracker.run
        self._note()
        self.tracker = tracker
        if is_new:
            try:
                tracker.send_config()
            except Exception as error:
                self._failed(error)  # the scalars are worth more

    def finish(self, finished: bool) -> bool:
        """Attach the results and close the run."""
        if not self.send() or self.tracker is None:
            return False
        try:
            for name in ARTEFACTS:
                if (self.folder / name).is_file():
                    self.tracker.attach(self.folder / name)
            self.tracker.close(finished)
        except Exception as error:
            self._failed(error)
            return False
        return True

    def _failed(self, error: Exception) -> None:
        text = f'{self.job.tracker}: {type(error).__name__}: {error}'
        print(text, flush=True)
        if not self.has_warned:
            self.warn(
                f'warning: {printable(text)}\nThe training goes on, and what '
                f'could not be sent is tried again. Details: {self.log}'
            )
        self.has_warned = True

    @property
    def log(self) -> Path:
        return self.state.with_suffix('.log')

    def _lines(self) -> list[str]:
        """The complete lines of scalars.json."""
        path = self.folder / RunDir.SCALARS
        if not path.is_file():
            return []
        return path.read_text('utf-8', 'replace').split('\n')[:-1]

    def _note(self) -> None:
        with replacing(self.state, 'w') as file:
            json.dump({'run': self.run, 'sent': self.sent}, file)


def _read_state(path: Path) -> tuple[str | None, int]:
    """What an earlier process has sent, for a run that is resumed."""
    try:
        state: Any = json.loads(path.read_text('utf-8'))
        run, sent = state['run'], state['sent']
    except (OSError, ValueError, KeyError, TypeError):
        return None, 0
    if not is_run_name(run) or type(sent) is not int or sent < 0:
        return None, 0
    return run, sent


def status_of(folder: Path) -> object:
    """The status in run.json; None if there is none."""
    try:
        record = json.loads((folder / RunDir.RECORD).read_text('utf-8'))
    except (OSError, ValueError):
        return None
    return record.get('status') if isinstance(record, dict) else None


def main() -> None:
    job = Job(**json.loads(sys.stdin.readline()))
    terminal = os.fdopen(os.dup(1), 'w', encoding='utf-8')
    sender_log = Path(job.folder, RunDir.tracking(job.tracker))
    with open_unlinked(sender_log.with_suffix('.log'), 'a') as log:
        # Trackers print much.
        for number in (1, 2):
            os.dup2(log.fileno(), number)
        while not take_lock(log):
            time.sleep(POLL)  # the process of a killed training ends first

        ended = threading.Event()
        last: list[str] = []

        def wait_for_end() -> None:
            last.append(sys.stdin.readline())
            ended.set()

        threading.Thread(target=wait_for_end, daemon=True).start()

        def warn(text: str) -> None:
            with suppress(OSError):
                print(text, file=terminal, flush=True)

        sender = Sender(job, warn)
        while not ended.wait(POLL if sender.send() else PAUSE):
            pass
        status = status_of(Path(job.folder))
        finished = last == [f'{END}\n'] and status == 'finished'
        is_sent = any(sender.finish(finished) for _ in range(TRIES))
        # Hooks of the trackers at exit may wait for a dead server.
        os._exit(0 if is_sent else 1)


if __name__ == '__main__':
    main()
