"""Whether one run is better than another, and on which photos."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from flower_mm.report.predictions import Predictions

SURE = 0.05  # a difference that chance makes more seldom counts as one


@dataclass(frozen=True)
class Paired:
    """Two runs on the same photos."""

    worse: np.ndarray  # places in the first's photos: right, then wrong
    better: np.ndarray  # wrong, then right
    order: np.ndarray  # [place in the first] = place in the second


def short_names(photos: list[str]) -> list[str]:
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
    place = {name: i for i, name in enumerate(short_names(second.photos))}
    wanted = short_names(first.photos)
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
    each has to be the surer, and its interval the wider (Bonferroni).
    """
    p, needed = mcnemar(worse, better), SURE / tests
    return {
        'right_then_wrong': worse,
        'wrong_then_right': better,
        'photos': photos,
        'difference': 100 * (better - worse) / photos,
        'difference_interval': [
            100 * end for end in tango(worse, better, photos, needed)
        ],
        'interval_level': 100 * (1 - needed),
        'interval_by': 'Tango',
        'p': p,
        'p_by': 'exact McNemar',
        'p_needed': needed,
        'more_than_chance': p < needed,
    }


def tango(
    worse: int, better: int, photos: int, beyond: float
) -> tuple[float, float]:
    """Tango's score interval (1998) for the difference of paired shares.

    The differences that a score test does not refuse at the level `beyond`.
    The number of photos on which the two differ is chance as well: it is
    not taken as given.
    """
    z = NormalDist().inv_cdf(1 - beyond / 2)
    low = -_highest(better, worse, photos, z)
    return low, _highest(worse, better, photos, z)


def _highest(worse: int, better: int, photos: int, z: float) -> float:
    """The highest difference that is at most `z` deviations off."""
    low, high = (better - worse) / photos, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        off = photos * middle - (better - worse)
        if off <= z * _deviation(worse, better, photos, middle):
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _deviation(worse: int, better: int, photos: int, shift: float) -> float:
    """Of `better` - `worse`, if `shift` is the true difference.

    The share that is right, then wrong is the likeliest one under that: the
    root of a quadratic equation.
    """
    b = (2 * photos + worse - better) * shift - worse - better
    c = -worse * shift * (1 - shift)
    share = (math.sqrt(max(0.0, b * b - 8 * photos * c)) - b) / (4 * photos)
    return math.sqrt(max(0.0, photos * (2 * share + shift * (1 - shift))))


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
