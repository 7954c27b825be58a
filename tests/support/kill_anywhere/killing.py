"""Carrying out a plan, two runs at a time."""

import shutil
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from itertools import count

from kill_anywhere.bench import Bench
from kill_anywhere.plan import Plan
from kill_anywhere.trial import Trial

JOBS = 2


def kill(bench: Bench, plan: Plan, numbers: dict[str, int]) -> Iterator[Trial]:
    """Yield so many trials of each kind as they end.

    Where the run was over before the kill, another is drawn. Folders of
    trials with problems are left.
    """
    trials = count()

    def carry_out(trial: Trial) -> Trial:
        folder = bench.folder / f'trial_{next(trials)}'
        trial.carry_out(bench, folder)
        if not trial.problems:
            shutil.rmtree(folder)
        return trial

    with ThreadPoolExecutor(JOBS) as pool:
        running = {
            pool.submit(carry_out, plan.draw(what))
            for what, number in numbers.items()
            for _ in range(number)
        }
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for trial in (future.result() for future in done):
                if trial.missed and not trial.problems:
                    another = plan.draw(trial.what)
                    running.add(pool.submit(carry_out, another))
                else:
                    yield trial
