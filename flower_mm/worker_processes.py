"""Processes of this machine that run a function for one item after another."""

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any

from flower_mm.console import hide_library_warnings
from flower_mm.errors import UserError

POLL_SECONDS = 1.0
START_METHOD = 'spawn'  # a forked process could not use a GPU
END_SECONDS = 10.0  # for a process to end by itself


@dataclass
class Task:
    """An item, and how often its process died."""

    item: Any
    losses: int = 0


@dataclass(frozen=True)
class Lost:
    """Stands for the result of an item whose processes died."""

    reason: str  # for the end of the last one


@dataclass(frozen=True)
class Raised:
    """Stands for the result of a function that raised an exception."""

    error: Exception


def call(function: Callable, item: object) -> object:
    """Return what the function returns, or what it raises as Raised."""
    try:
        return function(item)
    except UserError as error:
        return Raised(error)
    except Exception as error:
        # Some exceptions cannot be pickled, and none with its traceback.
        text = ''.join(traceback.format_exception(error))
        return Raised(RuntimeError(text))


class LocalPool:
    """Processes of this machine.

    Args:
        function: What they run for each item.
        workers: Their largest number.
        threads: OpenMP's, of each of them.
    """

    def __init__(self, function: Callable, workers: int, threads: int) -> None:
        self.function, self.workers = function, workers
        self.threads = threads
        self.idle: list[_Process] = []
        self.busy: dict[object, tuple[_Process, Task]] = {}  # by pipe

    def free(self) -> int:
        """Return how many tasks can be submitted now."""
        return self.workers - len(self.busy)

    def submit(self, task: Task) -> None:
        worker = self.idle.pop() if self.idle else self._start()
        self.busy[worker.pipe] = worker, task
        with suppress(OSError):  # of a dead process, which `wait` will see
            worker.pipe.send(task.item)

    def _start(self) -> '_Process':
        context: Any = multiprocessing.get_context(START_METHOD)
        pipe, other = context.Pipe()
        process = context.Process(target=_serve, args=(other, self.threads))
        process.start()
        other.close()
        pipe.send(self.function)
        return _Process(process, pipe)

    def wait(self) -> list[tuple[Task, object]]:
        """Return tasks that have ended meanwhile, with their results."""
        ended: list[tuple[Task, object]] = []
        for pipe in connection.wait(
            [worker.pipe for worker, _ in self.busy.values()], POLL_SECONDS
        ):
            worker, task = self.busy.pop(pipe)
            try:
                ended.append((task, worker.pipe.recv()))
                self.idle.append(worker)
            except (EOFError, OSError):
                ended.append((task, Lost(worker.end())))
        return ended

    def close(self) -> None:
        workers = [*self.idle, *(worker for worker, _ in self.busy.values())]
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.end()


@dataclass
class _Process:
    process: Any  # of multiprocessing's context
    pipe: connection.Connection

    def end(self) -> str:
        """Wait for the end of the process; return its reason."""
        self.pipe.close()
        self.process.join(END_SECONDS)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        code = self.process.exitcode
        if code < 0:
            return f'killed by signal {signal.Signals(-code).name}'
        return f'ended with exit code {code}'


def _serve(pipe: connection.Connection, threads: int) -> None:
    """Run the function for the items that come through a pipe."""
    # The terminal sends Ctrl-C to the parent as well, which ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    hide_library_warnings()
    # OpenMP reads it when the module of the function imports torch.
    os.environ['OMP_NUM_THREADS'] = str(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, OSError):
        function = pipe.recv()
        while True:
            pipe.send(call(function, pipe.recv()))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
