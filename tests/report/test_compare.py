import math
from fractions import Fraction

import numpy as np
import pytest
from made_up import predictions

from flower_mm.report import compare
from flower_mm.report.predictions import Predictions
from flower_mm.report.verdict import compared, signed
from flower_mm.report.words import NBSP


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
    # Of 12 that differ 10 are better: 51.59 to 97.91 % (Clopper-Pearson).
    assert (low, high) == pytest.approx((0.190, 5.750), abs=0.01)
    assert made['more_than_chance']
    assert not compare.difference(2, 10, 200, tests=3)['more_than_chance']
    words = compared({'first': 'A', 'second': 'B', 'why': None, **made})
    assert words[0].startswith('B is right on 10 photos that A got wrong')
    assert 'hardly chance' in words[1]
    assert f'95{NBSP}% interval +0.2 to +5.7' in words[0]
    three = compare.difference(2, 10, 200, tests=3)
    words = compared({'first': 'A', 'second': 'B', 'why': None, **three})
    assert f'98.3{NBSP}% interval \u22120.6 to' in words[0]
    same = compare.difference(0, 0, 200)
    assert same['difference_interval'] is None
    assert same['p'] == 1
    words = compared({'first': 'A', 'second': 'B', 'why': None, **same})
    assert words == ['B is right and wrong on the same photos as A.']


@pytest.mark.parametrize('tests', [1, 2, 5])
def test_the_interval_and_the_test_never_contradict(tests):
    seen = set()
    for worse in range(16):
        for better in range(1, 30):
            made = compare.difference(worse, better, 153, tests)
            low, high = made['difference_interval']
            assert low < made['difference'] <= high + 1e-9
            assert (low > 0 or high < 0) == made['more_than_chance']
            other = compare.difference(better, worse, 153, tests)
            back = [-v for v in other['difference_interval'][::-1]]
            assert [low, high] == pytest.approx(back)
            seen.add(made['more_than_chance'])
    assert seen == {True, False}


@pytest.mark.parametrize(('hits', 'count'), [(0, 5), (3, 9), (700, 1500)])
def test_clopper_pearson_is_that_of_the_beta_distribution(hits, count):
    beta = pytest.importorskip('scipy.stats').beta
    low, high = compare.clopper_pearson(hits, count, 0.05)
    expected = beta.ppf(0.025, hits, count - hits + 1) if hits else 0
    assert low == pytest.approx(expected)
    assert high == pytest.approx(beta.ppf(0.975, hits + 1, count - hits))


def test_what_is_not_nothing_does_not_look_like_it():
    shown = [signed(v) for v in (0.0, 0.04, -0.04, 0.06)]
    assert shown == ['+0.0', '+0.04', '\u22120.04', '+0.1']
