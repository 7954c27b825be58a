"""Run a system from outside and note when it knew what."""

import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

# MMEngine's name for its scalars; what a loop says on stdout is put there.
ANSWERS = 'scalars.json'
LOOK = 0.1  # seconds; how exact the times of the validations are
# Seconds from one look at the memory to the next. The system counts each page
# for it, which takes 0.1 s.
WEIGH = 10.0


class RivalError(Exception):
    """One system could not be measured; the others can."""


@dataclass
class Run:
    """What was seen of one run; seconds count from the command's start."""

    # Seconds and top-1, %, of each validation.
    validations: list[tuple[float, float]] = field(default_factory=list)
    seconds: float = 0.0  # until it ended
    cpu_seconds: float = 0.0  # of it and its workers
    peak: int = 0  # bytes, of it and its workers


def watch(
    command: list[str],
    folder: Path,
    log: Path,
    speaks: bool = False,
    cwd: Path | None = None,
) -> Run:
    """Run a command that writes its scalars into or under `folder`.

    One that speaks has its answers on stdout.
    """
    run = Run()
    weighed = 0.0
    with (
        log.open('w') as errors,
        (folder / ANSWERS if speaks else Path(os.devnull)).open('w') as said,
    ):
        start = time.monotonic()
        process = subprocess.Popen(
            command,
            stdout=said if speaks else errors,
            stderr=errors,
            cwd=cwd,
            # On the CPU, all of them.
            env=os.environ | {'CUDA_VISIBLE_DEVICES': ''},
            start_new_session=True,
        )
        try:
            while process.returncode is None:
                ended, status, usage = os.wait4(process.pid, os.WNOHANG)
                now = time.monotonic() - start
                _hear(run, folder, now)
                if ended:
                    process.returncode = os.waitstatus_to_exitcode(status)
                    run.seconds = now
                    run.cpu_seconds = usage.ru_utime + usage.ru_stime
                elif now - weighed >= WEIGH:
                    weighed = now
                    run.peak = max(run.peak, memory_of(process.pid))
                if not ended:
                    time.sleep(LOOK)
        finally:
            # Its workers too, should it have left any.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode or not run.validations:
        raise RivalError(f'failed ({process.returncode}): {log}')
    return run


def answers_in(folder: Path) -> list[float]:
    """Top-1, %, of all validations known by now; the last line may grow."""
    found = []
    for path in folder.rglob(ANSWERS):
        *whole, _ = path.read_text('utf-8').split('\n')
        for line in whole:
            if line.startswith('{'):
                answer = json.loads(line)
                top1 = answer.get('accuracy/top1', answer.get('top1'))
                if top1 is not None:
                    found.append(top1)
    return found


def _hear(run: Run, folder: Path, now: float) -> None:
    for top1 in answers_in(folder)[len(run.validations) :]:
        run.validations.append((now, top1))


def memory_of(session: int) -> int:
    """Bytes of a session's processes, a shared page counted once (Linux)."""
    total = 0
    for stat in Path('/proc').glob('[0-9]*/stat'):
        with suppress(OSError, IndexError, ValueError):
            # Behind the name, which may hold spaces: state, parent, group,
            # session.
            if int(stat.read_text().rpartition(')')[2].split()[3]) == session:
                total += _share(stat.parent)
    return total


def _share(process: Path) -> int:
    for line in (process / 'smaps_rollup').read_text().splitlines():
        if line.startswith('Pss:'):
            return int(line.split()[1]) * 1024
    return 0
