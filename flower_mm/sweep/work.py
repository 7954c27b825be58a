"""Running trainings, several at a time, until none is left."""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flower_mm import console
from flower_mm.cores import cores
from flower_mm.exit_codes import Terminated
from flower_mm.sweep.trial import Trial

LOOK_EVERY = 0.5  # seconds
PATIENCE = 60  # seconds, for one that was told to stop


@dataclass
class Running:
    trial: Trial
    process: subprocess.Popen
    counted: int  # epochs that the progress bar has

    def news(self) -> int:
        """Epochs since it was asked last."""
        done = max(self.counted, self.trial.epochs_done())
        new, self.counted = done - self.counted, done
        return new


def run_all(
    trials: list[Trial],
    done: Container[Trial],
    jobs: int,
    devices: list[str],
    ended: Callable[[Trial, int], None],
) -> None:
    """Train what is not done yet; tell `ended` of each exit code."""
    waiting = deque(trial for trial in trials if trial not in done)
    running: dict[int, Running] = {}
    left: set[Trial] = set()
    total = sum(trial.epochs for trial in trials)
    before = total - sum(trial.epochs for trial in waiting)
    at_once = max(1, min(jobs, len(waiting)))
    with (
        console.progress(total, 'epochs', start=before) as advance,
        _told_to_stop() as told,
    ):
        try:
            while (waiting or running) and not told:
                busy = [trial for trial in waiting if trial.busy()]
                _tell(busy, left)
                for trial in [one for one in left if one not in busy]:
                    left.remove(trial)
                    if trial.done():
                        waiting.remove(trial)
                        ended(trial, 0)
                        advance(trial.epochs)
                # One that is left of an earlier comparison takes a place, too.
                free = sorted(set(range(jobs)) - running.keys())
                for slot in free[: max(0, jobs - len(running) - len(busy))]:
                    if trial := _next(waiting, busy):
                        device = devices[slot % len(devices)]
                        running[slot] = _start(trial, device, at_once)
                time.sleep(LOOK_EVERY)
                for slot, one in list(running.items()):
                    code = one.process.poll()
                    new = one.news()
                    if code is not None:
                        del running[slot]
                        one.trial.end()
                        ended(one.trial, code)
                        # A failed one leaves none to wait for, either.
                        new += one.trial.epochs - one.counted
                    if new:
                        advance(new)
        finally:
            _stop(list(running.values()))
    if told:
        raise KeyboardInterrupt if told[0] == signal.SIGINT else Terminated


@contextmanager
def _told_to_stop() -> Iterator[list[int]]:
    """A list that gets each signal to stop.

    So that none comes between the start of a training and its place in the
    list of those that are to be stopped. Trainings have sessions of their
    own, where the terminal's Ctrl-C and its end do not reach them.
    """
    told: list[int] = []
    names = ('SIGINT', 'SIGTERM', 'SIGHUP')
    numbers = [
        getattr(signal, name) for name in names if hasattr(signal, name)
    ]
    before = {
        number: signal.signal(number, lambda got, _: told.append(got))
        for number in numbers
        if signal.getsignal(number) != signal.SIG_IGN  # as nohup asks for
    }
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(busy: list[Trial], left: set[Trial]) -> None:
    """Say of each training that is left from before that it is waited for."""
    for trial in busy:
        if trial not in left:
            print(
                f'{trial.name}: an earlier training goes on there, waiting '
                'for its end',
                flush=True,
            )
    left.update(busy)


def _next(waiting: deque[Trial], busy: list[Trial]) -> Trial | None:
    """The first whose folder nobody else writes to."""
    for trial in waiting:
        if trial not in busy:
            waiting.remove(trial)
            return trial
    return None


def _start(trial: Trial, device: str, at_once: int) -> Running:
    environment = dict(os.environ)
    if at_once > 1:
        # Each would take all cores, and wait for the others.
        threads = max(1, cores() // at_once)
        environment.setdefault('OMP_NUM_THREADS', str(threads))
    with trial.begun(at_once), trial.log.open('a', encoding='utf-8') as log:
        process = subprocess.Popen(
            [
                # -P: no module in the current folder hides another.
                *(sys.executable, '-P', '-m', 'flower_mm', 'train'),
                *(trial.planned, *trial.flags),
                '--resume',
                *('--device', device, '--work-dir', trial.folder),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
    return Running(trial, process, counted=0)


def _stop(running: list[Running]) -> None:
    """Each keeps its whole epochs, as after Ctrl-C."""
    if running:
        print('\nstopping: each training keeps its whole epochs', flush=True)
    for one in running:
        one.process.terminate()
    until = time.monotonic() + PATIENCE
    for one in running:
        try:
            one.process.wait(max(0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            one.process.kill()
            one.process.wait()
        one.trial.end()
