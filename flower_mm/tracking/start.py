"""Start the processes that send a run to experiment trackers."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from flower_mm.layout import RunDir
from flower_mm.tracking.send import END, status_of
from flower_mm.tracking.trackers import Job

# Seconds to wait at the end, for a server that is slow, and its variable.
WAIT, VARIABLE = 60.0, 'FLOWER_MM_LOG_WAIT'
INTERRUPTED = 10.0  # Slurm kills 30 seconds after SIGTERM


@contextmanager
def tracked(
    trackers: Sequence[str], folder: Path, dataset: str, config: dict
) -> Iterator[None]:
    """Send the run in `folder` to trackers while the block runs.

    Args:
        trackers: Their names.
        folder: Of the run.
        dataset: Name of the dataset.
        config: Resolved config, as plain values.
    """
    processes = {
        name: _start(Job(name, str(folder.resolve()), dataset, config))
        for name in dict.fromkeys(trackers)
    }
    try:
        yield
    finally:
        try:
            _end(processes, folder)
        finally:
            for process in processes.values():
                process.kill()
                process.wait()


def _start(job: Job) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, '-m', 'flower_mm.tracking.send'],
        stdin=subprocess.PIPE,
        text=True,
        encoding='utf-8',
        # Ctrl-C is for the training, which ends this process.
        start_new_session=True,
    )
    _tell(process, json.dumps(asdict(job), default=str))
    return process


def _tell(process: subprocess.Popen, line: str) -> None:
    assert process.stdin is not None
    with suppress(OSError):  # it has ended
        process.stdin.write(f'{line}\n')
        process.stdin.flush()


def _end(processes: dict[str, subprocess.Popen], folder: Path) -> None:
    """Let them send the rest, for a limited time."""
    wait = float(os.environ.get(VARIABLE) or WAIT)
    if status_of(folder) == 'interrupted':
        wait = min(wait, INTERRUPTED)
    deadline = time.monotonic() + wait
    for process in processes.values():
        _tell(process, END)
    for name, process in processes.items():
        state = RunDir.tracking(name)
        with suppress(subprocess.TimeoutExpired):
            if process.wait(max(0, deadline - time.monotonic())) == 0:
                run = json.loads((folder / state).read_text('utf-8'))['run']
                print(f'  {name}  run {run}', flush=True)
                continue
        log = (folder / state).with_suffix('.log')
        print(
            f'warning: {name} has not received everything ({VARIABLE}='
            f'{wait:.0f} seconds); see {log}',
            flush=True,
        )
