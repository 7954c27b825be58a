"""Running trainings, several at a time, until none is left."""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flower_mm import console
from flower_mm.cli import Terminated
from flower_mm.compare.trial import LOG, Trial

LOOK_EVERY = 0.5  # seconds


@dataclass
class Running:
    trial: Trial
    process: subprocess.Popen
    counted: int = 0  # epochs that the progress bar has

    def news(self) -> int:
        """Epochs since it was asked last."""
        done = max(self.counted, self.trial.epochs_done())
        new, self.counted = done - self.counted, done
        return new


def run_all(
    trials: list[Trial],
    jobs: int,
    devices: list[str],
    ended: Callable[[Trial, int], None],
) -> None:
    """Train what is not done yet; tell `ended` of each exit code."""
    # Closing the terminal stops the trainings, too; they have a session of
    # their own, so that each is told to stop once, and by us.
    if hasattr(signal, 'SIGHUP'):
        signal.signal(signal.SIGHUP, Terminated.on_signal)
    waiting = deque(trial for trial in trials if not trial.done())
    running: dict[int, Running] = {}
    total = sum(trial.epochs for trial in trials)
    before = total - sum(trial.epochs for trial in waiting)
    with console.progress(total, 'epochs', start=before) as advance:
        try:
            while waiting or running:
                for slot in range(jobs):
                    if waiting and slot not in running:
                        device = devices[slot % len(devices)]
                        running[slot] = _start(waiting.popleft(), device, jobs)
                time.sleep(LOOK_EVERY)
                for slot, one in list(running.items()):
                    code = one.process.poll()
                    if new := one.news():
                        advance(new)
                    if code is not None:
                        one.trial.end()
                        del running[slot]
                        ended(one.trial, code)
        except BaseException:
            _stop(list(running.values()))
            raise


def _start(trial: Trial, device: str, jobs: int) -> Running:
    flags = trial.begin()
    tool = Path(sys.argv[0]).with_name('train.py')
    environment = dict(os.environ)
    if jobs > 1:
        # Each would take all cores, and wait for the others.
        threads = max(1, (os.cpu_count() or 1) // jobs)
        environment.setdefault('OMP_NUM_THREADS', str(threads))
    with (trial.folder / LOG).open('a', encoding='utf-8') as log:
        process = subprocess.Popen(
            [
                *(sys.executable, tool, *flags),
                *('--device', device, '--work-dir', trial.folder),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
    return Running(trial, process)


def _stop(running: list[Running]) -> None:
    """As Ctrl-C does: each keeps its whole epochs."""
    for one in running:
        if os.name != 'nt':  # there, Ctrl-C has reached it already
            one.process.send_signal(signal.SIGINT)
    for one in running:
        one.process.wait()
        one.trial.end()
