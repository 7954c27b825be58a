"""Run trainings, several at a time.

An executor decides where they run. `LocalProcesses` runs them on this machine.
"""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from flower_mm.exit_codes import Terminated
from flower_mm.process_resources import cores
from flower_mm.sweep.trial import Trial

POLL_SECONDS = 0.5
STOP_SECONDS = 60  # for a training to end by itself


class Process(Protocol):
    """A training that was started, with the methods of subprocess.Popen."""

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def terminate(self) -> None:
        """Ask for a checkpoint and the end, as Ctrl-C does."""

    def kill(self) -> None: ...


class Executor(Protocol):
    """Starts trainings in numbered slots."""

    slots: int

    def start(self, trial: Trial, slot: int) -> Process:
        """Start a training, or resume it from its last checkpoint."""


@dataclass
class LocalProcesses:
    """Trainings as processes of this machine, on its devices in turn."""

    slots: int
    devices: list[str]

    def start(self, trial: Trial, slot: int) -> Process:
        device = self.devices[slot % len(self.devices)]
        return _start(trial, device, self.slots)


@dataclass
class Running:
    """A trial in training."""

    trial: Trial
    process: Process
    counted: int = 0  # epochs that were reported
    stopped: float | None = None  # when it was asked to stop

    def new_epochs(self) -> int:
        """Return the epochs since the last call."""
        done = max(self.counted, self.trial.epochs_done())
        new, self.counted = done - self.counted, done
        return new

    def stop(self) -> None:
        """Ask the training to stop, once; kill it if it does not."""
        now = time.monotonic()
        if self.stopped is None:
            self.stopped = now
            self.process.terminate()
        elif now - self.stopped > STOP_SECONDS:
            self.process.kill()


def run_all(
    more: Callable[[], list[Trial]],
    executor: Executor,
    on_end: Callable[[Trial, int], None],
    on_epochs: Callable[[int], None] = lambda new: None,
    is_unwanted: Callable[[Trial], bool] = lambda trial: False,
) -> None:
    """Run trainings until there are no more.

    Args:
        more: Returns trials that may start, each once. The run ends when it
            returns none while nothing waits or runs.
        executor: Starts the trainings.
        on_end: Takes each trial with its exit code.
        on_epochs: Takes the number of new epochs.
        is_unwanted: Whether a running trial should stop. It keeps its
            checkpoints.
    """
    waiting: deque[Trial] = deque()
    running: dict[int, Running] = {}
    abandoned: set[Trial] = set()  # run by a killed driver
    with _stop_signals() as signals:
        try:
            while not signals:
                waiting.extend(more())
                if not waiting and not running:
                    break
                busy = [trial for trial in waiting if trial.is_busy()]
                _announce(busy, abandoned)
                for trial in abandoned.difference(busy):
                    abandoned.remove(trial)
                    if trial.is_done():
                        waiting.remove(trial)
                        on_end(trial, 0)
                        on_epochs(trial.epochs)
                # Abandoned trainings count as jobs.
                slots = executor.slots
                free = sorted(set(range(slots)) - running.keys())
                for slot in free[: max(0, slots - len(running) - len(busy))]:
                    if unstarted := _next(waiting, busy):
                        process = executor.start(unstarted, slot)
                        running[slot] = Running(unstarted, process)
                time.sleep(POLL_SECONDS)
                for slot, run in list(running.items()):
                    code = run.process.poll()
                    if code is None and is_unwanted(run.trial):
                        run.stop()
                    new = run.new_epochs()
                    if code is not None:
                        del running[slot]
                        run.trial.end()
                        on_end(run.trial, code)
                        # The epochs that a failed training did not reach.
                        new += run.trial.epochs - run.counted
                    if new:
                        on_epochs(new)
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
    """Print the trainings that a killed driver left running."""
    for trial in busy:
        if trial not in abandoned:
            print(
                f'{trial.name}: waiting for a training that a killed command '
                'left',
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


def training_command(trial: Trial, device: str) -> list[str]:
    """Return the command that starts a training, or resumes it."""
    return [
        # -P: no module in the current folder hides another.
        *(sys.executable, '-P', '-m', 'flower_mm', 'train'),
        *(str(trial.config_copy), *trial.flags),
        '--resume',
        *('--device', device, '--work-dir', str(trial.folder)),
    ]


def _start(trial: Trial, device: str, at_once: int) -> Process:
    environment = dict(os.environ)
    if at_once > 1:
        # By default each training uses all cores.
        threads = max(1, cores() // at_once)
        environment.setdefault('OMP_NUM_THREADS', str(threads))
    with trial.begin(at_once), trial.log.open('a', encoding='utf-8') as log:
        return subprocess.Popen(
            training_command(trial, device),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )


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
