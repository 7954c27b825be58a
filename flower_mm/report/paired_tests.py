"""Paired tests of two runs on the same photos."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from flower_mm.report.predictions import Predictions

ALPHA = 0.05  # level of significance


@dataclass(frozen=True)
class Paired:
    """Two runs on the same photos."""

    worse: np.ndarray  # photos of the first run: correct, then wrong
    better: np.ndarray  # wrong, then correct
    order: np.ndarray  # [place in the first] = place in the second


def short_names(photos: list[str]) -> list[str]:
    """The paths without the folder that all photos share.

    Two runs may use copies of a dataset in different places.
    """
    paths = [photo.replace('\\', '/').split('/') for photo in photos]
    first, last = min(paths), max(paths)  # all others lie between the two
    shared = 0
    while shared < len(first) - 1 and first[shared] == last[shared]:
        shared += 1
    return ['/'.join(path[shared:]) for path in paths]


def pair(first: Predictions, second: Predictions) -> Paired | None:
    """Match the photos of two runs; None if photos or labels differ."""
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
    """Second minus first run in percentage points, with interval and test.

    For several `tests` the level and the interval are Bonferroni-corrected.
    """
    p, needed = mcnemar(worse, better), ALPHA / tests
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

    It holds the differences that a score test accepts at the level `beyond`.
    The number of photos on which the runs differ is random, too.
    """
    z = NormalDist().inv_cdf(1 - beyond / 2)
    low = -_upper_end(better, worse, photos, z)
    return low, _upper_end(worse, better, photos, z)


def _upper_end(worse: int, better: int, photos: int, z: float) -> float:
    """The highest difference within `z` standard deviations."""
    low, high = (better - worse) / photos, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        off = photos * middle - (better - worse)
        if off <= z * _standard_deviation(worse, better, photos, middle):
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _standard_deviation(
    worse: int, better: int, photos: int, shift: float
) -> float:
    """The deviation of `better` - `worse` if `shift` is the true difference.

    The probability of `worse` is its most likely value under `shift`, the
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
    """The p-value of the exact McNemar test.

    If exactly one of two equally good models is correct, it is either one
    with probability 1/2.
    """
    count = worse + better
    if not count:
        return 1.0
    # In logarithms, because 2**1024 exceeds a float.
    logs = [
        _log_ways(count, k) - count * math.log(2)
        for k in range(min(worse, better) + 1)
    ]
    return min(1.0, 2 * math.fsum(map(math.exp, logs)))
