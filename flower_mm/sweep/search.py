"""Search for the settings of a training.

Trials run until their number or the time is used up. Then stopped trials that
would go on by today's results do so, and the best three are trained again with
new seeds, which decides the winner.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState

from flower_mm.commands import command
from flower_mm.config import use_data_root
from flower_mm.console import duration, progress
from flower_mm.errors import UserError
from flower_mm.exit_codes import interrupted
from flower_mm.files import replacing
from flower_mm.layout import RunDir
from flower_mm.lock import only_run_in
from flower_mm.report.formatting import TOP1
from flower_mm.report.learning_curves import phases, read_scalars
from flower_mm.sweep.compare import delete_checkpoints, print_result
from flower_mm.sweep.plan_search import SearchPlan, plan_search
from flower_mm.sweep.plan_trials import ParseTraining, as_file
from flower_mm.sweep.ray_trials import executor_of
from flower_mm.sweep.results_table import failure
from flower_mm.sweep.run_trials import Executor, run_all
from flower_mm.sweep.search_photos import measure
from flower_mm.sweep.search_rules import (
    RUNGS,
    Point,
    at_rung,
    earlier,
    is_open,
    is_promotable,
    up_to_the_end,
)
from flower_mm.sweep.search_study import STUDY, SearchStudy
from flower_mm.sweep.trial import Trial

BEST = 'best_config.py'
FINALISTS = 3
RETRIES = 2  # of a training that a signal killed


@dataclass
class Finalist:
    """A trial that was trained again with new seeds."""

    point: Point
    runs: list[Trial]
    top1: list[float] = field(default_factory=list)  # on deciding photos
    correct: list[np.ndarray] = field(default_factory=list)  # on the others

    @property
    def measured(self) -> list[float]:
        return [100 * float(run.mean()) for run in self.correct]


@dataclass
class Search:
    """A search in progress."""

    plan: SearchPlan
    study: SearchStudy
    executor: Executor
    limit: int | None  # trials
    ends: float | None  # time.monotonic() after which no trial starts
    final_seeds: int
    device: str  # that measures
    started: set[int] = field(default_factory=set)
    trials: dict[Trial, Point] = field(default_factory=dict)
    kills: dict[Trial, int] = field(default_factory=dict)
    again: list[Trial] = field(default_factory=list)
    # The points that decide about a promoted trial, fixed at its start.
    rivals: dict[int, list[Point]] = field(default_factory=dict)

    def run(self) -> list[Finalist]:
        done = sum(p.state.is_finished() for p in self.study.points.values())
        with progress(self.limit or 0, 'trials', start=done) as advance:
            self._run_all(self._more, lambda: advance(1))
        promoted = self._promote()
        if promoted:
            print(f'{len(promoted)} stopped trials go on', flush=True)
            self._run_all(lambda: self._hand_out(promoted), lambda: None)
        return self._finals()

    def _run_all(
        self, more: Callable[[], list[Trial]], on_end: Callable[[], None]
    ) -> None:
        def end(trial: Trial, code: int) -> None:
            if self._end(trial, code):
                on_end()

        def more_or_again() -> list[Trial]:
            again, self.again = self.again, []
            return again + more()

        run_all(more_or_again, self.executor, end, is_unwanted=self._watch)

    # --- trials --------------------------------------------------------------

    def _more(self) -> list[Trial]:
        """Return the trials whose parameters are decided by now."""
        points, ready = self.study.points, []
        index = len(self.started)
        while self._may_start(index):
            group = self.plan.group
            known = earlier([*points.values()], index, group)
            if not is_open(known, index, group):
                break
            point = points.get(index)
            if point is None:
                if self._has_work():
                    break
                params = self.plan.params(index, known)
                point = self.study.start(index, params)
            self.started.add(index)
            if not point.state.is_finished():
                ready += self._hand_out([point])
            index += 1
        return ready

    def _has_work(self) -> bool:
        """Return whether all slots have a trial."""
        running = sum(
            not point.state.is_finished() for point in self.trials.values()
        )
        return running >= self.executor.slots

    def _may_start(self, index: int) -> bool:
        if index in self.study.points:
            return True
        if self.limit is not None and index >= self.limit:
            return False
        self._require_success()
        return self.ends is None or not self._is_late()

    def _is_late(self) -> bool:
        """Return whether the final trainings need the rest of the time."""
        assert self.ends is not None
        runs = [
            trial.seconds()
            for trial, point in self.trials.items()
            if point.state == TrialState.COMPLETE
        ]
        turns = -(-FINALISTS * self.final_seeds // self.executor.slots)
        return time.monotonic() + max(runs, default=0) * turns > self.ends

    def _require_success(self) -> None:
        """Stop a search whose trials all fail."""
        points = list(self.study.points.values())
        failed = [p for p in points if p.state == TrialState.FAIL]
        if len(failed) == len(points) >= self.plan.group:
            raise UserError(
                f'all of the first {len(failed)} trials failed, the last one: '
                f'{failed[-1].error}\nTry one: '
                f'{command("check", *self.plan.paths.values())}'
            )

    def _hand_out(self, points: list[Point]) -> list[Trial]:
        """Return the trainings of points, each point once.

        A training that ended while no driver ran is recorded at once.
        """
        ready = []
        while points:
            point = points.pop(0)
            trial = self.plan.trial(point.index, point.params)
            self.trials[trial] = point
            is_over = trial.is_done() or self._watch(trial)
            if is_over and not trial.is_busy():
                self._end(trial, 0)
            else:
                ready.append(trial)
        return ready

    def _watch(self, trial: Trial) -> bool:
        """Record new accuracies; return whether the trial is behind."""
        point = self.trials[trial]
        counted, behind = up_to_the_end(
            accuracies(trial), self._rivals(point.index)
        )
        self.study.report(point, counted)
        return behind

    def _rivals(self, index: int) -> list[Point]:
        if index in self.rivals:
            return self.rivals[index]
        points = list(self.study.points.values())
        return earlier(points, index, self.plan.group)

    def _end(self, trial: Trial, code: int) -> bool:
        """Record the end of a training; return whether it is one."""
        point = self.trials[trial]
        if self._watch(trial):
            rung = max(
                r for r in RUNGS if at_rung(point.values, r) is not None
            )
            print(f'{trial.config.stem}: stopped at {rung} %', flush=True)
            self.study.end(point, TrialState.PRUNED)
            return True
        if code < 0 and self.kills.get(trial, 0) < RETRIES:
            self.kills[trial] = self.kills.get(trial, 0) + 1
            print(f'{trial.config.stem}: {failure(trial, code)}; resuming it')
            self.again.append(trial)
            return False
        print_result(trial, code, set())
        error = failure(trial, code)
        top1 = trial.record().get('result', {}).get('best_top1')
        if error or top1 is None:
            error = error or 'accuracy not measured'
            self.study.end(point, TrialState.FAIL, error=error)
        else:
            self.study.end(point, TrialState.COMPLETE, top1)
            delete_checkpoints(trial)
        return True

    def _promote(self) -> list[Point]:
        """Restart the stopped trials that are not behind by all results."""
        if self.ends is not None and self._is_late():
            return []
        originals = [
            Point(point.index, point.params, values=point.values)
            for point in self.study.points.values()
            if point.state != TrialState.FAIL
        ]
        promoted = []
        for point in self.study.latest():
            rivals = [p for p in originals if p.index != point.index]
            self.rivals[point.index] = rivals
            if point.state == TrialState.RUNNING:  # of a killed driver
                promoted.append(point)
            elif point.state == TrialState.PRUNED and is_promotable(
                point, [*rivals, point]
            ):
                promoted.append(
                    self.study.start(point.index, point.params, promoted=True)
                )
        return promoted

    # --- the winner ----------------------------------------------------------

    def _finals(self) -> list[Finalist]:
        """Train the best trials again; return them, the best first."""
        complete = [
            point
            for point in self.study.latest()
            if point.state == TrialState.COMPLETE
        ]
        ranked = sorted(complete, key=lambda p: (-(p.value or 0), p.index))
        finalists = [
            Finalist(
                point,
                [
                    self.plan.trial(
                        point.index, point.params, self.plan.seed + 1 + number
                    )
                    for number in range(self.final_seeds)
                ],
            )
            for point in ranked[:FINALISTS]
        ]
        runs = [trial for finalist in finalists for trial in finalist.runs]
        todo = [trial for trial in runs if not trial.is_done()]
        print(
            f'{len(runs)} trainings with new seeds: '
            f'{len(runs) - len(todo)} are done',
            flush=True,
        )

        def end(trial: Trial, code: int) -> None:
            print_result(trial, code, set())
            delete_checkpoints(trial)

        waiting = [todo]
        run_all(lambda: waiting.pop() if waiting else [], self.executor, end)
        return sorted(
            (finalist for finalist in finalists if self._measure(finalist)),
            key=lambda finalist: -mean(finalist.top1),
        )

    def _measure(self, finalist: Finalist) -> bool:
        """Add the accuracies; return whether a run of it succeeded."""
        for trial in finalist.runs:
            top1 = trial.record().get('result', {}).get('best_top1')
            if trial.is_done() and top1 is not None:
                checkpoint = trial.folder / RunDir.BEST
                finalist.top1.append(top1)
                finalist.correct.append(
                    measure(checkpoint, self.plan.photos, self.device)
                )
        return bool(finalist.top1)


def accuracies(trial: Trial) -> dict[int, float]:
    """Return the validation accuracy by the percentage of the epochs."""
    path = trial.folder / RunDir.SCALARS
    if not path.is_file():
        return {}
    _, validated = phases(read_scalars(path))
    values: dict[int, float] = {}
    for record in sorted(validated, key=lambda record: record['step']):
        # Of several epochs of one percentage the first, which never changes.
        values.setdefault(
            int(100 * record['step'] / trial.epochs), record[TOP1]
        )
    return values


def search(
    args: argparse.Namespace, parse_training: ParseTraining
) -> int | None:
    """Search, and write the winner and the pages; return the exit code."""
    from flower_mm.sweep.search_results import write_results

    begun = time.monotonic()
    executor = executor_of(args)
    args.jobs = executor.slots
    plan = plan_search(args, parse_training)
    folder = Path(args.out)
    with only_run_in(folder, '--out'):
        plan.save()
        study = SearchStudy(
            args.storage or f'sqlite:///{folder.resolve() / STUDY}',
            plan.record['study'],
            plan.space,
            folder,
        )
        state = Search(
            plan,
            study,
            executor,
            args.trials,
            begun + 3600 * args.hours if args.hours else None,
            args.final_seeds,
            args.device[0],
        )
        finalists: list[Finalist] = []
        try:
            finalists = state.run()
        except KeyboardInterrupt as stop:
            print('\nstopped; resume with the same command', flush=True)
            return interrupted(stop)
        except StorageInternalError as error:
            raise UserError(
                f'the database of the study failed: {error}.\nThe trainings '
                'keep their checkpoints: resume with the same command'
            ) from error
        finally:
            if study.points:
                write_results(plan, study, finalists)
        if not finalists:
            raise UserError(
                f'no trial has an accuracy. Logs: {folder}/trial_*/*/train.log'
            )
        _write_winner(plan, finalists[0])
    print(f'  page     {folder / "search.html"}')
    print(f'  trials   {folder / "search.csv"}')
    print(f'in {duration(time.monotonic() - begun)}. Train the winner:')
    print(f'  {winner_command(plan)}')
    return None


def _write_winner(plan: SearchPlan, winner: Finalist) -> None:
    """Write the config that `train` takes, with the whole val split."""
    cfg = plan.config(winner.point.params)
    use_data_root(cfg, str(plan.root))
    with replacing(plan.folder / BEST, 'w') as file:
        file.write(as_file(cfg, BEST))


def winner_command(plan: SearchPlan) -> str:
    """Return the command line that trains the winner."""
    flags: list[Any] = [flag for flag in plan.flags if flag != '--no-report']
    return command('train', plan.folder / BEST, *flags)
