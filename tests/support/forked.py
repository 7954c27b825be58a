"""The tools as processes of their own, without paying for imports each time.

A fork server imports torch and MMPretrain once; each run is a fork of it,
with its own session, arguments and exit code, and may be killed like any
process. What imports do is tested by the tests that use `subprocess`.
"""

import multiprocessing
import os
import runpy
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

# What the tools import, and what their libraries import when they are used.
PRELOADED = [
    *('flower_mm.engine.train', 'flower_mm.engine.test'),
    *('flower_mm.checks.run', 'flower_mm.inference.predict'),
    *('flower_mm.report.html', 'flower_mm.report.evaluate'),
    *('flower_mm.share.model_card', 'flower_mm.export.verify_export'),
    *('mmpretrain.engine', 'mmpretrain.visualization'),
    *('matplotlib.pyplot', 'matplotlib.backends.backend_agg'),
    *('torch.utils.tensorboard', 'onnxruntime'),
    'torch.onnx._internal.exporter._core',
]
ROOT = Path(__file__).parents[2]
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
    curves: bool = False,
    errors: Path | None = None,
    cwd: str | Path | None = None,
) -> Run:
    """Start tools/`tool`.py; `first` is a script to be run before it.

    Without the report and the curves at the end of a training, which take
    longer than the small trainings do. `errors` is a file for stderr alone.
    """
    if tool == 'train' and not report:
        args = ('--no-report', *args)
    # One thread each: two OpenMP pools on two cores wait for each other.
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    log.touch()
    process = server.Process(
        target=_main,
        args=(
            (str(log), str(errors or log)),
            [str(ROOT / 'tools' / f'{tool}.py'), *map(str, args)],
            first,
            {**os.environ, **(env or {})},
            str(cwd or Path.cwd()),
            report or curves,
        ),
    )
    process.start()
    return Run(process, log)


def finish(log: Path, tool: str, *args: str | Path, **kwargs) -> Run:
    """Run to the end; anything but success is an error."""
    run = start(log, tool, *args, **kwargs)
    code = run.wait()
    assert code == 0, f'exit code {code}:\n{run.text}'
    return run


def start_ranks(
    folder: Path,
    tool: str,
    *args: str | Path,
    count: int = 2,
    env: dict[str, str] | None = None,
    **kwargs,
) -> list[Run]:
    """Start the processes of a distributed run; logs are folder/RANK.log."""
    with socket.create_server(('127.0.0.1', 0)) as free:
        port = str(free.getsockname()[1])
    group = {'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': port}
    group['WORLD_SIZE'] = str(count)
    return [
        start(
            folder / f'{rank}.log',
            tool,
            *args,
            *('--launcher=pytorch', '--device=cpu'),
            env=group | {'RANK': rank, 'LOCAL_RANK': rank} | (env or {}),
            **kwargs,
        )
        for rank in map(str, range(count))
    ]


def finish_ranks(folder: Path, tool: str, *args, **kwargs) -> list[Run]:
    """Run all ranks to the end; anything but success is an error."""
    runs = start_ranks(folder, tool, *args, **kwargs)
    codes = [run.wait() for run in runs]
    assert not any(codes), [run.text for run in runs]
    return runs


def _main(
    streams: tuple[str, str],
    argv: list[str],
    first: str,
    env: dict[str, str],
    cwd: str,
    curves: bool,
) -> None:
    os.setsid()
    # As in a process that was started by a shell.
    multiprocessing.set_start_method(None, force=True)
    # Appended to, because both streams may go into one file.
    how = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    for number, path in enumerate(streams, 1):
        handle = os.open(path, how, 0o666)
        os.dup2(handle, number)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    if not curves:
        from flower_mm.engine.hooks import run_record

        run_record.draw_curves = lambda scalars, out: None
    if first:
        runpy.run_path(first)
    sys.argv = argv
    runpy.run_path(argv[0], run_name='__main__')
