"""Whether one run is better than another, and on which photos."""

import math
from dataclasses import dataclass

import numpy as np

from flower_mm.report.predictions import Predictions

SURE = 0.05  # a difference that chance makes more seldom counts as one


@dataclass(frozen=True)
class Paired:
    """Two runs on the same photos."""

    worse: np.ndarray  # places in the first's photos: right, then wrong
    better: np.ndarray  # wrong, then right
    order: np.ndarray  # [place in the first] = place in the second


def names(photos: list[str]) -> list[str]:
    """The photos without the folder that they all share.

    Two copies of a dataset lie in two places, on two systems perhaps.
    """
    paths = [photo.replace('\\', '/').split('/') for photo in photos]
    first, last = min(paths), max(paths)  # all others lie between the two
    shared = 0
    while shared < len(first) - 1 and first[shared] == last[shared]:
        shared += 1
    return ['/'.join(path[shared:]) for path in paths]


def pair(first: Predictions, second: Predictions) -> Paired | None:
    """Match the photos of two runs; None where they are not the same."""
    if first.classes != second.classes:
        return None
    place = {name: i for i, name in enumerate(names(second.photos))}
    wanted = names(first.photos)
    if len(place) != len(second.photos) or set(wanted) != place.keys():
        return None
    order = np.array([place[name] for name in wanted])
    if (
        len(order) != len(place)
        or (first.labels != second.labels[order]).any()
    ):
        return None
    then, now = first.correct, second.correct[order]
    return Paired(
        np.flatnonzero(then & ~now), np.flatnonzero(~then & now), order
    )


def difference(worse: int, better: int, photos: int, tests: int = 1) -> dict:
    """Second minus first in per cent, and what chance has to do with it.

    Of so many `tests` the best one looks good by chance the more easily;
    each has to be the surer (Bonferroni). The interval is that of the share
    that `better` has of the photos on which the two differ, at the level of
    the test: it holds 0 just where the test finds no difference.
    """
    p, changed = mcnemar(worse, better), worse + better
    needed = SURE / tests
    return {
        'right_then_wrong': worse,
        'wrong_then_right': better,
        'photos': photos,
        'difference': 100 * (better - worse) / photos,
        'difference_interval': [
            100 * (2 * share - 1) * changed / photos
            for share in clopper_pearson(better, changed, needed)
        ]
        if changed
        else None,
        'interval_level': 100 * (1 - needed),
        'interval_by': 'exact McNemar, inverted (Clopper-Pearson)',
        'p': p,
        'p_by': 'exact McNemar',
        'p_needed': needed,
        'more_than_chance': p < needed,
    }


def clopper_pearson(
    hits: int, count: int, beyond: float
) -> tuple[float, float]:
    """The shares that make so many hits no rarer than `beyond` / 2 a side."""
    low = _share(count - hits, count, beyond / 2)
    return 1 - low, _share(hits, count, beyond / 2)


def _share(hits: int, count: int, tail: float) -> float:
    """The share with which at most so many hits are as rare as `tail`."""
    if hits == count:
        return 1.0
    k = np.arange(hits + 1)
    # Logarithms: the ways to choose are beyond a float from 1,030 photos on.
    ways = np.array([_log_ways(count, one) for one in k.tolist()])
    low, high = 0.0, 1.0
    for _ in range(50):
        share = (low + high) / 2
        logs = ways + k * math.log(share) + (count - k) * math.log1p(-share)
        if np.exp(logs).sum() > tail:
            low = share
        else:
            high = share
    return (low + high) / 2


def _log_ways(count: int, k: int) -> float:
    return (
        math.lgamma(count + 1)
        - math.lgamma(k + 1)
        - math.lgamma(count - k + 1)
    )


def mcnemar(worse: int, better: int) -> float:
    """How often equally good models differ so much, or more, by chance.

    Where just one of the two is right, it is either with probability 1/2.
    """
    count = worse + better
    if not count:
        return 1.0
    # Logarithms: 2**count is beyond a float from 1,024 photos on.
    logs = [
        _log_ways(count, k) - count * math.log(2)
        for k in range(min(worse, better) + 1)
    ]
    return min(1.0, 2 * math.fsum(map(math.exp, logs)))
