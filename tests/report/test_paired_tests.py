"""Paired tests of two runs."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from made_up import predictions

from flower_mm.report import paired_tests
from flower_mm.report.paired_tests import short_names
from flower_mm.report.predictions import Predictions


@pytest.mark.parametrize(
    'pair',
    [(0, 0), (0, 1), (5, 5), (1, 9), (9, 1), (0, 20), (30, 61), (600, 700)],
)
def test_mcnemar_is_an_exact_binomial_test(pair):
    count, least = sum(pair), min(pair)
    ways = sum(math.comb(count, k) for k in range(least + 1))
    expected = min(1, Fraction(2 * ways, 2**count))
    assert paired_tests.mcnemar(*pair) == float(expected)


def moved(found: Predictions, old: str, new: str) -> Predictions:
    photos = [photo.replace(old, new) for photo in found.photos]
    return replace(found, photos=photos)


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
    made = paired_tests.pair(found, moved(there, '/', '\\'))
    assert made is not None
    assert not made.worse.size
    assert not made.better.size


def test_what_changed_is_found_by_photo():
    found = predictions(30, surety=8)
    scores = found.scores.copy()
    scores[4] = np.roll(scores[4], 1)
    other = replace(found, scores=scores)
    made = paired_tests.pair(found, shuffled(other))
    assert made.worse.tolist() == [4]
    assert made.better.tolist() == []
    back = paired_tests.pair(shuffled(other), found)
    assert len(back.better) == 1


@pytest.mark.parametrize(
    'changes',
    [
        {'photos': ['same.jpg'] * 30},
        {'photos': [*predictions(30).photos[1:], '/photos/val/x.jpg']},
        {'labels': (predictions(30).labels + 1) % 5},
        {'classes': list('abcde')},
    ],
    ids=str,
)
def test_other_photos_are_not_compared(changes):
    other = replace(predictions(30), **changes)
    assert paired_tests.pair(predictions(30), other) is None
    assert paired_tests.pair(predictions(30), predictions(31)) is None


def test_names_are_without_what_all_share():
    assert short_names(['/a/b/rose/1.jpg', '/a/b/tulip/1.jpg']) == [
        'rose/1.jpg',
        'tulip/1.jpg',
    ]
    assert short_names(['/a/b/rose/1.jpg']) == ['1.jpg']
    assert short_names(['C:\\a\\1.jpg', 'C:\\a\\2.jpg']) == [
        '1.jpg',
        '2.jpg',
    ]


def test_a_difference_has_an_interval_and_a_test():
    made = paired_tests.difference(2, 10, 200)
    assert made['difference'] == 4
    low, high = made['difference_interval']
    assert low < 4 < high
    assert made['significant']
    assert made['confidence_level'] == 95
    three = paired_tests.difference(2, 10, 200, tests=3)
    assert not three['significant']
    assert three['confidence_level'] == pytest.approx(98.33, abs=0.01)
    same = paired_tests.difference(0, 0, 200)
    # z^2 / (n + z^2), as Wilson's for none of 200.
    assert same['difference_interval'] == pytest.approx(
        [-1.885, 1.885], abs=0.001
    )
    assert same['p_value'] == 1


def likelihood(shift: float, worse: int, better: int, photos: int) -> float:
    """The likeliest share right, then wrong under `shift`, by trying."""
    share = np.linspace(max(0, -shift), (1 - shift) / 2, 200_001)[1:-1]
    logs = (
        worse * np.log(share)
        + better * np.log(share + shift)
        + (photos - worse - better) * np.log(1 - 2 * share - shift)
    )
    return float(share[logs.argmax()])


@pytest.mark.parametrize('pair', [(2, 10, 200), (9, 3, 97), (20, 21, 60)])
def test_the_ends_are_where_a_score_test_just_refuses(pair):
    worse, better, photos = pair
    for end in paired_tests.tango(*pair, 0.05):
        share = likelihood(end, *pair)
        off = better - worse - photos * end
        deviation = math.sqrt(photos * (2 * share + end * (1 - end)))
        assert abs(off / deviation) == pytest.approx(1.96, abs=2e-3)


@pytest.mark.parametrize('tests', [1, 5])
def test_an_interval_is_around_its_difference_and_turns_with_it(tests):
    for worse in range(12):
        for better in range(1, 12):
            made = paired_tests.difference(worse, better, 30, tests)
            low, high = made['difference_interval']
            assert -100 <= low < made['difference'] - 0.1
            assert made['difference'] + 0.1 < high <= 100
            other = paired_tests.difference(better, worse, 30, tests)
            back = [-v for v in other['difference_interval'][::-1]]
            assert [low, high] == pytest.approx(back)


@pytest.mark.parametrize(
    ('photos', 'lost', 'won'),
    [
        (97, 0.06, 0.02),
        (97, 0.4, 0.01),
        (97, 0.1, 0.0),
        (97, 0.05, 0.05),
        (500, 0.1, 0.02),
        (2848, 0.02, 0.005),
    ],
)
def test_an_interval_holds_the_truth_in_19_of_20(photos, lost, won):
    """Of draws in which the number of photos that differ is chance."""
    rng = np.random.default_rng(0)
    truth, held, known = 100 * (won - lost), 0, {}
    for worse, better, _ in rng.multinomial(
        photos, [lost, won, 1 - lost - won], 1000
    ).tolist():
        if (worse, better) not in known:
            known[worse, better] = paired_tests.difference(
                worse, better, photos
            )
        low, high = known[worse, better]['difference_interval']
        held += low <= truth <= high
    # 950 with a deviation of 7; intervals of counts are a little off.
    assert 925 <= held <= 985


def test_the_interval_and_the_stricter_test_may_disagree():
    made = paired_tests.difference(0, 5, 153)
    assert made['difference_interval'][0] > 0
    assert not made['significant']
