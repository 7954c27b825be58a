"""Kill training at a hundred moments, resume it, and see what became of it.

python -m benchmarks.kill_anywhere [--kills 100] [--seed 0]

A small model is trained for three epochs, with no workers and with two, and
killed with SIGKILL: at a step of a write (tests/support/faults.py), once at
least at each step of each file; at a random moment from outside; while
resuming; while the files of an earlier run are set aside. A power cut, which
loses what was not synced as well, is played on top of these. After each kill
the files have to be whole, and `--resume` has to end as the run did that
nobody killed, but for what measures time. Rows go to results/robustness.csv.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.record import record

sys.path.append(str(Path(__file__).parents[1] / 'tests' / 'support'))
from kill_anywhere.bench import Bench
from kill_anywhere.killing import kill
from kill_anywhere.plan import SHARES, Plan, kind_of
from kill_anywhere.trial import Trial


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--kills', type=int, default=100)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix='kill_anywhere_'))
    start = time.monotonic()
    bench = Bench(folder)
    numbers = {
        what: max(1, round(args.kills * share / 100))
        for what, share in SHARES.items()
    }
    total = sum(numbers.values())
    trials = []
    for trial in kill(bench, Plan(bench, args.seed), numbers):
        trials.append(trial)
        for problem in trial.problems:
            print(f'{trial}\n  {problem}', flush=True)
        if len(trials) % 10 == 0:
            print(
                f'{len(trials)} of {total}, '
                f'{sum(map(survived, trials))} survived, '
                f'{time.monotonic() - start:.0f} s',
                flush=True,
            )
    rows = table(trials, args)
    for line in rows:
        print(f'{line["what"]}: {line["survived"]} of {line["tried"]}')
    print(record('robustness', rows, key=('what',)))
    if all(map(survived, trials)):
        shutil.rmtree(folder)
        return 0
    print(f'what is left of those that did not survive: {folder}')
    return 1


def survived(trial: Trial) -> bool:
    return not trial.problems


def table(trials: list[Trial], args: argparse.Namespace) -> list[dict]:
    """A row for each kind of kill, the sum of those by SIGKILL first."""
    kinds = {
        what: [trial for trial in trials if trial.what == what]
        for what in SHARES
    }
    by_signal = [trial for trial in trials if not trial.power_cut]
    rows = []
    for what, some in {'SIGKILL, all of them': by_signal, **kinds}.items():
        steps = {
            kind_of(kill)
            for trial in some
            for kill in trial.kills
            if isinstance(kill, str)
        }
        facts = {
            'kills': sum(trial.hits for trial in some),
            'kinds of step': len(steps),
            'runs killed twice': sum(trial.hits > 1 for trial in some),
            'runs with workers': sum(trial.workers > 0 for trial in some),
        }
        rows.append({
            'what': what,
            'tried': len(some),
            'survived': sum(map(survived, some)),
            'detail': ', '.join(f'{n} {f}' for f, n in facts.items() if n),
            'seconds': f'{sum(trial.seconds for trial in some):.0f}',
            'command': 'python -m benchmarks.kill_anywhere '
            f'--kills {args.kills} --seed {args.seed}',
        })  # fmt: skip
    return rows


if __name__ == '__main__':
    sys.exit(main())
