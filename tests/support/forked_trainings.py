"""Let a comparison fork its trainings, without paying for their imports.

To be run in the process before the tool, as `first` of forked.start.
"""

import os
import runpy
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import IO

from flower_mm.sweep import run_trials


class ForkedProcess:
    """As much of a `subprocess.Popen` as a comparison uses."""

    def __init__(
        self, command: list, stdout: IO, env: dict[str, str], **_: object
    ) -> None:
        self.returncode: int | None = None
        sys.stdout.flush()
        self.pid = os.fork()
        if not self.pid:
            os._exit(_train(command, stdout, env))

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float = 300) -> int:
        until = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired('training', timeout)
            time.sleep(0.01)
        return self.returncode

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def _train(command: list, log: IO, env: dict[str, str]) -> int:
    """Be the training, in a session of its own; the exit code."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    for stream in (1, 2):
        os.dup2(log.fileno(), stream)
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    os.environ.clear()
    os.environ.update(env)
    module = command.index('-m') + 1
    sys.argv = [command[module], *map(str, command[module + 1 :])]
    code: object = 0
    try:
        runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else int(code is not None)


run_trials.POLL_SECONDS = 0.05
run_trials.subprocess = SimpleNamespace(
    Popen=ForkedProcess,
    DEVNULL=subprocess.DEVNULL,
    TimeoutExpired=subprocess.TimeoutExpired,
)
# A script of a test that has more to change.
if more := os.environ.get('THEN_RUN'):
    runpy.run_path(str(Path(more)))
