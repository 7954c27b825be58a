"""The tools as processes of their own, without paying for imports each time.

A fork server imports torch and MMPretrain once; each run is a fork of it,
with its own session, arguments and exit code, and may be killed like any
process. What imports do is tested by the tests that use `helpers.tool`.
"""

import multiprocessing
import os
import runpy
import sys
from dataclasses import dataclass
from pathlib import Path

PRELOADED = ['flower_mm.engine.train', 'torch.utils.tensorboard']
ROOT = Path(__file__).parent.parent
LONGEST = 300  # seconds; a run that takes more hangs

server = multiprocessing.get_context('forkserver')
server.set_forkserver_preload(PRELOADED)


@dataclass
class Run:
    """A tool that was started."""

    process: multiprocessing.Process
    log: Path

    def wait(self) -> int:
        """The exit code; -9 for SIGKILL."""
        self.process.join(LONGEST)
        if self.process.is_alive():
            self.process.kill()
            raise TimeoutError(f'hangs:\n{self.text}')
        return self.process.exitcode

    @property
    def text(self) -> str:
        """What it has said so far, on both streams."""
        return self.log.read_text(encoding='utf-8', errors='replace')


def start(
    log: Path,
    tool: str,
    *args: str | Path,
    first: str = '',
    env: dict[str, str] | None = None,
    report: bool = False,
) -> Run:
    """Start tools/`tool`.py; `first` is a script to be run before it.

    Without the report at the end of a training, which takes longer than the
    small trainings do.
    """
    if tool == 'train' and not report:
        args = ('--no-report', *args)
    # One thread each: two OpenMP pools on two cores wait for each other.
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    log.touch()
    process = server.Process(
        target=_main,
        args=(str(log), tool, [str(arg) for arg in args], first, env or {}),
    )
    process.start()
    return Run(process, log)


def finish(log: Path, tool: str, *args: str | Path, **kwargs) -> Run:
    """Run to the end; anything but success is an error."""
    run = start(log, tool, *args, **kwargs)
    code = run.wait()
    assert code == 0, f'exit code {code}:\n{run.text}'
    return run


def _main(
    log: str, tool: str, args: list[str], first: str, env: dict[str, str]
) -> None:
    os.setsid()
    # As in a process that was started by a shell.
    multiprocessing.set_start_method(None, force=True)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.environ.update(env)
    if first:
        runpy.run_path(first)
    script = str(ROOT / 'tools' / f'{tool}.py')
    sys.argv = [script, *args]
    runpy.run_path(script, run_name='__main__')
