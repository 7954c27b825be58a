"""Run trainings, several at a time."""

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
from flower_mm.exit_codes import Terminated
from flower_mm.process_resources import cores
from flower_mm.sweep.trial import Trial

POLL_SECONDS = 0.5
STOP_SECONDS = 60  # for a training to end by itself


@dataclass
class Running:
    """A trial in training."""

    trial: Trial
    process: subprocess.Popen
    counted: int = 0  # epochs in the progress bar

    def new_epochs(self) -> int:
        """Return the epochs since the last call."""
        done = max(self.counted, self.trial.epochs_done())
        new, self.counted = done - self.counted, done
        return new


def run_all(
    trials: list[Trial],
    done: Container[Trial],
    jobs: int,
    devices: list[str],
    on_end: Callable[[Trial, int], None],
) -> None:
    """Run the trainings that are not done; pass each exit code to `on_end`."""
    waiting = deque(trial for trial in trials if trial not in done)
    running: dict[int, Running] = {}
    abandoned: set[Trial] = set()  # run by a killed comparison
    total = sum(trial.epochs for trial in trials)
    before = total - sum(trial.epochs for trial in waiting)
    at_once = max(1, min(jobs, len(waiting)))
    with (
        console.progress(total, 'epochs', start=before) as advance,
        _stop_signals() as signals,
    ):
        try:
            while (waiting or running) and not signals:
                busy = [trial for trial in waiting if trial.is_busy()]
                _announce(busy, abandoned)
                for trial in abandoned.difference(busy):
                    abandoned.remove(trial)
                    if trial.is_done():
                        waiting.remove(trial)
                        on_end(trial, 0)
                        advance(trial.epochs)
                # Abandoned trainings count as jobs.
                free = sorted(set(range(jobs)) - running.keys())
                for slot in free[: max(0, jobs - len(running) - len(busy))]:
                    if unstarted := _next(waiting, busy):
                        device = devices[slot % len(devices)]
                        running[slot] = _start(unstarted, device, at_once)
                time.sleep(POLL_SECONDS)
                for slot, run in list(running.items()):
                    code = run.process.poll()
                    new = run.new_epochs()
                    if code is not None:
                        del running[slot]
                        run.trial.end()
                        on_end(run.trial, code)
                        # The epochs that a failed training did not reach.
                        new += run.trial.epochs - run.counted
                    if new:
                        advance(new)
        finally:
            _stop(list(running.values()))
    if signals:
        raise KeyboardInterrupt if signals[0] == signal.SIGINT else Terminated


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """Yield a list that collects the signals to stop.

    An exception could come between the start of a training and its entry in
    the list of running ones. Trainings have sessions of their own, which the
    terminal's Ctrl-C and its end do not reach.
    """
    received: list[int] = []
    names = ('SIGINT', 'SIGTERM', 'SIGHUP')
    numbers = [
        getattr(signal, name) for name in names if hasattr(signal, name)
    ]
    before = {
        number: signal.signal(number, lambda got, _: received.append(got))
        for number in numbers
        if signal.getsignal(number) != signal.SIG_IGN  # set by nohup
    }
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _announce(busy: list[Trial], abandoned: set[Trial]) -> None:
    """Print the trainings that a killed comparison left running."""
    for trial in busy:
        if trial not in abandoned:
            print(
                f'{trial.name}: waiting for a training of an earlier '
                'comparison',
                flush=True,
            )
    abandoned.update(busy)


def _next(waiting: deque[Trial], busy: list[Trial]) -> Trial | None:
    """Remove and return the first that is not busy."""
    for trial in waiting:
        if trial not in busy:
            waiting.remove(trial)
            return trial
    return None


def _start(trial: Trial, device: str, at_once: int) -> Running:
    environment = dict(os.environ)
    if at_once > 1:
        # By default each training uses all cores.
        threads = max(1, cores() // at_once)
        environment.setdefault('OMP_NUM_THREADS', str(threads))
    with trial.begin(at_once), trial.log.open('a', encoding='utf-8') as log:
        process = subprocess.Popen(
            [
                # -P: no module in the current folder hides another.
                *(sys.executable, '-P', '-m', 'flower_mm', 'train'),
                *(str(trial.config_copy), *trial.flags),
                '--resume',
                *('--device', device, '--work-dir', str(trial.folder)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
    return Running(trial, process)


def _stop(running: list[Running]) -> None:
    """Stop the trainings as Ctrl-C does: they save a checkpoint."""
    if running:
        print('\nstopping: each training saves a checkpoint', flush=True)
    for run in running:
        run.process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for run in running:
        try:
            run.process.wait(max(0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            run.process.kill()
            run.process.wait()
        run.trial.end()
