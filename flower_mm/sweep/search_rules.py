"""Which parameters a trial gets, and when it is stopped.

Both are functions of the seed and of the results of earlier groups, so that
the number of workers and the order in which trials end change nothing. Trials
are numbered and proposed in groups. Group n follows from the results of groups
0 to n - 2: while one group ends, the next one already runs.

Optuna's samplers and pruners decide by whatever has ended by now. Here the
sampler sees a copy of the study with the earlier groups alone, and the rule of
asynchronous successive halving (ASHA, arXiv:1810.05934) compares with them.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.trial import TrialState

from flower_mm.sweep.search_space import Space

GROUP = 4  # trials, and so workers that always have work
# At these percentages of its epochs a trial has to be among the best
# 1 / KEPT of the earlier ones. The base config warms up for 30 %, so that
# accuracies before the first rung say little.
RUNGS = (20, 60)
KEPT = 3


@dataclass
class Point:
    """The parameters of a trial and its results so far."""

    index: int
    params: dict[str, Any]
    state: TrialState = TrialState.RUNNING
    # Validation accuracy by the percentage of its epochs.
    values: dict[int, float] = field(default_factory=dict)
    value: float | None = None  # the best accuracy, of a complete trial
    error: str | None = None


def earlier(points: Iterable[Point], index: int, group: int) -> list[Point]:
    """Return the trials that may decide about the trial `index`."""
    limit = max(0, index // group - 1) * group
    return [point for point in points if point.index < limit]


def is_open(points: Sequence[Point], index: int, group: int) -> bool:
    """Return whether all trials that decide about `index` have ended."""
    known = earlier(points, index, group)
    return len(known) == max(0, index // group - 1) * group and all(
        point.state.is_finished() for point in known
    )


def propose(
    space: Space, seed: int, points: Iterable[Point], index: int, group: int
) -> dict[str, Any]:
    """Return the parameters of the trial `index`.

    `points` are those that `earlier` returns.
    """
    digest = hashlib.sha256(f'{seed} {index // group}'.encode()).digest()
    study = optuna.create_study(
        direction='maximize',
        sampler=optuna.samplers.TPESampler(
            seed=int.from_bytes(digest[:4]), n_startup_trials=GROUP
        ),
    )
    study.add_trials(
        [
            optuna.trial.create_trial(
                state=point.state,
                value=point.value,
                params=point.params,
                distributions=space,
                intermediate_values=point.values,
            )
            for point in sorted(points, key=lambda point: point.index)
            if point.state != TrialState.FAIL
        ]
    )
    # The trials of a group are asked for one after the other, each with the
    # ones before it as running.
    for _ in range(index % group + 1):
        params = study.ask(space).params
    return params


def is_behind(
    values: dict[int, float], points: Iterable[Point], rungs: Iterable[int]
) -> bool:
    """Return whether a trial is too far behind `points` at one of the rungs.

    Equal accuracies go on: few photos cannot tell which one is better.
    """
    others = [point.values for point in points]
    for rung in rungs:
        value = at_rung(values, rung)
        if value is None:
            return False
        rivals = [
            rival
            for rival in (at_rung(other, rung) for other in others)
            if rival is not None
        ]
        ranked = sorted([*rivals, value], reverse=True)
        kept = max(1, len(ranked) // KEPT)
        if rivals and value < ranked[kept - 1]:
            return True
    return False


def is_promotable(point: Point, points: Iterable[Point]) -> bool:
    """Return whether a stopped trial is among the best at its last rung.

    Of equal accuracies the first ones are: else a dozen could go on.
    """
    rung = max(r for r in RUNGS if at_rung(point.values, r) is not None)
    ranked = sorted(
        (-value, other.index)
        for other in points
        if (value := at_rung(other.values, rung)) is not None
    )
    best = ranked[: max(1, len(ranked) // KEPT)]
    return any(index == point.index for _, index in best)


def at_rung(values: dict[int, float], rung: int) -> float | None:
    """Return the first accuracy at this percentage or later."""
    steps = [step for step in values if rung <= step < 100]
    return values[min(steps)] if steps else None


def up_to_the_end(
    values: dict[int, float], points: Sequence[Point]
) -> tuple[dict[int, float], bool]:
    """Return the accuracies that count, and whether the trial was stopped.

    A trial that is stopped may have trained on for some epochs by then.
    """
    counted: dict[int, float] = {}
    for step in sorted(values):
        counted[step] = values[step]
        if is_behind(counted, points, RUNGS):
            return counted, True
    return counted, False
