import math
from fractions import Fraction

import numpy as np
import pytest
from made_up import predictions

from flower_mm.report import compare
from flower_mm.report.predictions import Predictions
from flower_mm.report.verdict import compared


def by_counting(worse: int, better: int) -> float:
    count = worse + better
    least = min(worse, better)
    ways = sum(math.comb(count, k) for k in range(least + 1))
    return float(min(1, Fraction(2 * ways, 2**count)))


@pytest.mark.parametrize(
    'pair', [(0, 0), (0, 1), (5, 5), (1, 9), (9, 1), (0, 20), (30, 61)]
)
def test_mcnemar_counts_exactly(pair):
    assert compare.mcnemar(*pair) == pytest.approx(by_counting(*pair))


def test_mcnemar_of_thousands():
    assert 0 < compare.mcnemar(4000, 4400) < 1e-4
    assert compare.mcnemar(4000, 4000) == 1


def moved(found: Predictions, old: str, new: str) -> Predictions:
    photos = [photo.replace(old, new) for photo in found.photos]
    return Predictions(photos, found.labels, found.scores, found.classes)


def shuffled(found: Predictions) -> Predictions:
    order = np.random.default_rng(0).permutation(len(found.photos))
    return Predictions(
        [found.photos[i] for i in order],
        found.labels[order],
        found.scores[order],
        found.classes,
    )


def test_photos_are_matched_in_any_folder_and_order():
    found = predictions(30)
    there = moved(shuffled(found), '/photos/val/', 'C:\\mine\\val\\')
    made = compare.pair(found, moved(there, '/', '\\'))
    assert made is not None
    assert not made.worse.size
    assert not made.better.size


def test_what_changed_is_found_by_photo():
    found = predictions(30, surety=8)
    scores = found.scores.copy()
    scores[4] = np.roll(scores[4], 1)
    other = Predictions(found.photos, found.labels, scores, found.classes)
    made = compare.pair(found, shuffled(other))
    assert made.worse.tolist() == [4]
    assert made.better.tolist() == []
    back = compare.pair(shuffled(other), found)
    assert len(back.better) == 1


@pytest.mark.parametrize(
    'other',
    [
        predictions(31),
        predictions(30, seed=1),
        moved(predictions(30), '0003.jpg', 'x.jpg'),
        Predictions(
            predictions(30).photos,
            (predictions(30).labels + 1) % 5,
            predictions(30).scores,
            predictions(30).classes,
        ),
        Predictions(
            predictions(30).photos,
            predictions(30).labels,
            predictions(30).scores,
            list('abcde'),
        ),
        Predictions(
            ['same.jpg'] * 30,
            predictions(30).labels,
            predictions(30).scores,
            predictions(30).classes,
        ),
    ],
    ids=['more', 'others', 'renamed', 'relabelled', 'classes', 'one'],
)
def test_other_photos_are_not_compared(other):
    assert compare.pair(predictions(30), other) is None


def test_names_are_without_what_all_share():
    assert compare.names(['/a/b/rose/1.jpg', '/a/b/tulip/1.jpg']) == [
        'rose/1.jpg',
        'tulip/1.jpg',
    ]
    assert compare.names(['/a/b/rose/1.jpg']) == ['1.jpg']
    assert compare.names(['C:\\a\\1.jpg', 'C:\\a\\2.jpg']) == [
        '1.jpg',
        '2.jpg',
    ]


def test_a_difference_is_told_with_what_chance_does():
    made = compare.difference(2, 10, 200)
    assert made['difference'] == 4
    low, high = made['difference_interval']
    # Normal approximation: 4 +- 1.96 * 100 * sqrt(12 / 200 - .04^2) / 14.1
    assert (low, high) == pytest.approx((0.65, 7.35), abs=0.4)
    assert made['more_than_chance']
    assert not compare.difference(2, 10, 200, tests=3)['more_than_chance']
    words = compared({'first': 'A', 'second': 'B', 'why': None, **made})
    assert words[0].startswith('B is right on 10 photos that A got wrong')
    assert 'hardly chance' in words[1]
    same = compare.difference(0, 0, 200)
    assert same['p'] == 1
    words = compared({'first': 'A', 'second': 'B', 'why': None, **same})
    assert words == ['B is right and wrong on the same photos as A.']
