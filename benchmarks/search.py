"""What the driver of `flower-mm search` costs.

python -m benchmarks.search --data-root data/flower_dataset

- Overhead: the time of the driver for each trial, with trainings that take no
  time; the rest of a trial is training.
- Workers: real trainings with one and with two workers, one thread each.
- Recorded trials: what a study of 10,000 trials costs the driver: opening it,
  the parameters of the next trial and its start, the page, memory.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.trial import TrialState, create_trial
from sqlalchemy import event
from sqlalchemy.engine import Engine

from benchmarks.record import record
from flower_mm.cli.training_flags import parse_training
from flower_mm.sweep import run_trials
from flower_mm.sweep.plan_search import SearchPlan, plan_search
from flower_mm.sweep.search import Search
from flower_mm.sweep.search_results import write_results
from flower_mm.sweep.search_rules import earlier
from flower_mm.sweep.search_study import SearchStudy
from flower_mm.sweep.trial import Trial

CONFIG = 'configs/flower/demo_flower.py'


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--config', default=CONFIG)
    parser.add_argument('--data-root', required=True)
    parser.add_argument('--trials', type=int, default=100)
    parser.add_argument('--trainings', type=int, default=8)
    parser.add_argument('--recorded', type=int, default=10_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = [_overhead(args, Path(folder, 'overhead'))]
        if args.trainings:
            rows += _workers(args, Path(folder))
        rows += _recorded(args, Path(folder, 'recorded'))
    for row in rows:
        row['network'] = Path(args.config).name
        print(row)
    record('search', rows, key=('what', 'trials', 'machine'))


def _plan(args: argparse.Namespace, out: Path) -> SearchPlan:
    planned = argparse.Namespace(
        configs=[args.config], seeds=[0], out=out, device=['cpu'], seed=0,
        epochs=5, weights=None, data_root=args.data_root, from_scratch=True,
        head_only=False, amp=False, retry_nan=None, cfg_options=None,
        debug=False, jobs=None, space=None,
    )  # fmt: skip
    return plan_search(planned, parse_training)


def _study(plan: SearchPlan) -> SearchStudy:
    plan.folder.mkdir(exist_ok=True)
    plan.save()
    path = plan.folder.resolve() / 'study.db'
    url, name = f'sqlite:///{path}', plan.record['study']
    return SearchStudy(url, name, plan.space, plan.folder)


@dataclass
class Instant:
    """A training that has ended when it starts."""

    slots: int = 1

    def start(self, trial: Trial, slot: int) -> 'Instant':
        with trial.begin(1):
            trial.log.touch()
        scalars = [
            json.dumps({'step': step, 'accuracy/top1': 50.0 + step})
            for step in range(1, trial.epochs + 1)
        ]
        (trial.folder / 'scalars.json').write_text('\n'.join(scalars))
        result = {'epochs': trial.epochs, 'best_top1': 50.0 + trial.epochs}
        run = {'status': 'finished', 'result': result}
        (trial.folder / 'run.json').write_text(json.dumps(run))
        return self

    def poll(self) -> int:
        return 0


def _overhead(args: argparse.Namespace, out: Path) -> dict:
    run_trials.POLL_SECONDS = 0
    plan = _plan(args, out)
    state = Search(plan, _study(plan), Instant(), args.trials, None, 1, 'cpu')
    begun = time.perf_counter()
    run_trials.run_all(state._more, Instant(), state._end)
    seconds = (time.perf_counter() - begun) / args.trials
    return {
        'what': 'driver, each trial',
        'trials': args.trials,
        'milliseconds': f'{1000 * seconds:.0f}',
    }


def _workers(args: argparse.Namespace, folder: Path) -> list[dict]:
    """The search as a command, without its final trainings' share."""
    seconds = {}
    for jobs in (1, 2):
        out = folder / f'workers_{jobs}'
        begun = time.perf_counter()
        subprocess.run(
            [
                *(sys.executable, '-m', 'flower_mm', 'search', args.config),
                *('--data', args.data_root, '--trials', str(args.trainings)),
                *('--epochs', '5', '--from-scratch', '--final-seeds', '1'),
                *('--jobs', str(jobs), '--device', 'cpu', '--out', out),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            env={**os.environ, 'OMP_NUM_THREADS': '1'},
        )
        seconds[jobs] = time.perf_counter() - begun
    return [
        {
            'what': f'search with {jobs} worker{"s" if jobs > 1 else ""}',
            'trials': args.trainings,
            'seconds': f'{taken:.0f}',
            'speedup': f'{seconds[1] / taken:.2f}',
        }
        for jobs, taken in seconds.items()
    ]


def _recorded(args: argparse.Namespace, out: Path) -> list[dict]:
    plan = _plan(args, out)
    event.listen(Engine, 'connect', _leave_to_the_system)  # while it is filled
    study = _study(plan)
    event.remove(Engine, 'connect', _leave_to_the_system)
    sampler = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    study.study.add_trials(
        [
            create_trial(
                state=TrialState.COMPLETE,
                value=50 + index % 37,
                params=sampler.ask(plan.space).params,
                distributions=plan.space,
                user_attrs={'index': index, 'promoted': False},
                intermediate_values={20: 40.0, 60: 50.0},
            )
            for index in range(args.recorded)
        ]
    )
    before = _memory()
    opening = _timed(lambda: _study(plan))
    study = _study(plan)
    memory = _memory() - before

    def start() -> None:
        index = len(study.points)
        known = earlier([*study.points.values()], index, plan.group)
        study.end(
            study.start(index, plan.params(index, known)),
            TrialState.COMPLETE,
            50.0,
        )

    starts = statistics.median(_timed(start) for _ in range(8))
    page = _timed(lambda: write_results(plan, study, []))
    costs = {
        'opening a study': opening,
        'parameters, start and end of the next trial': starts,
        'search.csv and search.html': page,
    }
    rows: list[dict] = [
        {'what': what, 'trials': args.recorded,
         'milliseconds': f'{1000 * seconds:.0f}'}
        for what, seconds in costs.items()
    ]  # fmt: skip
    what = 'memory of a study that was opened'
    row = {'what': what, 'trials': args.recorded, 'megabytes': f'{memory:.0f}'}
    return [*rows, row]


def _leave_to_the_system(connection, _) -> None:
    connection.execute('PRAGMA synchronous = OFF')


def _timed(function) -> float:
    begun = time.perf_counter()
    function()
    return time.perf_counter() - begun


def _memory() -> float:
    """Megabytes at the peak so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


if __name__ == '__main__':
    main()
