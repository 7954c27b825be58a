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
    names = short_names(first.photos)
    if not len(place) == len(second.photos) == len(names):
        return None
    if set(names) != place.keys():
        return None
    order = np.array([place[name] for name in names])
    if (first.labels != second.labels[order]).any():
        return None
    one, two = first.correct, second.correct[order]
    return Paired(
        np.flatnonzero(one & ~two), np.flatnonzero(~one & two), order
    )


def difference(worse: int, better: int, photos: int, tests: int = 1) -> dict:
    """Second minus first run in percentage points, with interval and test.

    For several `tests` the level and the interval are Bonferroni-corrected.
    """
    p_value, level = mcnemar(worse, better), ALPHA / tests
    return {
        'only_first_correct': worse,
        'only_second_correct': better,
        'photos': photos,
        'difference': 100 * (better - worse) / photos,
        'difference_interval': [
            100 * end for end in tango(worse, better, photos, level)
        ],
        'confidence_level': 100 * (1 - level),
        'p_value': p_value,
        'significance_level': level,
        'significant': p_value < level,
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


def mcnemar(worse: int, better: int) -> float:
    """The p-value of the exact McNemar test.

    If exactly one of two equally good models is correct, it is either one
    with probability 1/2.
    """
    count = worse + better
    tail, ways = 0, 1  # binomial coefficients
    for k in range(min(worse, better) + 1):
        tail += ways
        ways = ways * (count - k) // (k + 1)
    # Python divides integers of any size exactly.
    return min(1.0, 2 * tail / 2**count)
