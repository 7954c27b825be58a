"""Accuracy, F1 and their intervals, checked against scikit-learn."""

import json
import math

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from made_up import FLOWERS, predictions

from flower_mm.report import metrics
from flower_mm.report.report_data import figures


@pytest.mark.parametrize('classes', [2, 5, 40])
def test_figures_are_those_of_scikit_learn(classes):
    found = predictions(
        300, [f'class {i}' for i in range(classes)], surety=1.5
    )
    made = figures(found.labels, found.scores, found.classes)
    labels, said = found.labels, found.predicted
    here = np.unique(labels)
    assert made['result']['top1'] == pytest.approx(
        100 * sklearn.metrics.accuracy_score(labels, said)
    )
    assert made['result']['balanced_accuracy'] == pytest.approx(
        100 * sklearn.metrics.balanced_accuracy_score(labels, said)
    )
    assert made['result']['macro_f1'] == pytest.approx(
        100
        * sklearn.metrics.f1_score(labels, said, average='macro', labels=here)
    )
    assert (
        made['confusion']
        == sklearn.metrics.confusion_matrix(labels, said).tolist()
    )
    rows = [made['per_class'][i] for i in here]
    for name, theirs in zip(
        ('precision', 'recall', 'f1'),
        sklearn.metrics.precision_recall_fscore_support(
            labels, said, labels=here, zero_division=0
        ),
        strict=False,
    ):
        ours = [row[name] or 0 for row in rows]
        assert ours == pytest.approx((100 * theirs).tolist())
    if classes > 5:
        assert made['result']['top5'] == pytest.approx(
            100
            * sklearn.metrics.top_k_accuracy_score(labels, found.scores, k=5)
        )


def test_drawing_cells_is_drawing_photos():
    """Our bootstrap against one that does draw photos."""
    found = predictions(120, surety=1.5)
    labels, said = found.labels, found.predicted
    rng = np.random.default_rng(1)
    drawn = rng.integers(0, 120, (3000, 120))
    top1 = 100 * (labels == said)[drawn].mean(axis=1)
    macro = [
        100
        * sklearn.metrics.f1_score(
            labels[row],
            said[row],
            average='macro',
            labels=np.unique(labels[row]),
        )
        for row in drawn[:800]
    ]
    matrix = metrics.confusion(labels, said, 5)
    ours = metrics.result(matrix, FLOWERS, seed=0)
    for interval, theirs in (
        (ours['top1_bootstrap'], top1),
        (ours['macro_f1_interval'], macro),
    ):
        expected = np.quantile(theirs, (0.025, 0.975))
        # One photo is 0.8 %; their own scatter is about as much.
        assert interval == pytest.approx(expected.tolist(), abs=1.7)


def test_the_same_seed_gives_the_same_interval():
    matrix = np.array([[20, 5], [3, 22]])
    one, two = (metrics.result(matrix, ['a', 'b'], 0) for _ in range(2))
    assert one == two


def test_all_right_is_not_a_hundred_per_cent_for_certain():
    made = metrics.result(np.diag([10, 15]), ['a', 'b'], seed=0)
    # Wilson's by hand: 25 / (25 + 1.96 ** 2).
    assert made['top1_interval'] == pytest.approx([86.68, 100], abs=0.01)
    assert made['top1_interval_by'] == 'Wilson'
    none = metrics.result(np.array([[0, 10], [15, 0]]), ['a', 'b'], seed=0)
    assert none['top1_interval'] == pytest.approx([0, 13.32], abs=0.01)


@pytest.mark.parametrize('photos', [20, 50, 153, 569])
def test_one_more_wrong_never_looks_better(photos, monkeypatch):
    monkeypatch.setattr(metrics, 'RESAMPLES', 10)  # not what is asked here
    made = [
        metrics.result(
            np.array([[photos - wrong, wrong], [0, 0]]), ['a', 'b'], seed=0
        )['top1_interval']
        for wrong in range(photos + 1)
    ]
    low, high = np.array(made).T
    assert (np.diff(low) < 0).all()
    assert (np.diff(high) < 0).all()
    assert made[0][1] == 100
    assert high[1] < 99.99
    assert low[-2] > 0.01
    assert made[-1][0] == 0


@pytest.mark.parametrize('wrong', [0, 1, 4, 5, 6])
def test_averages_have_an_interval_that_ends_below_100_or_none(wrong):
    matrix = np.array([[40 - wrong, wrong], [0, 40]])
    for cells in (matrix, matrix[::-1]):  # and as few right
        made = metrics.result(cells, ['a', 'b'], seed=0)
        for name in ('macro_f1', 'balanced_accuracy'):
            found = made[f'{name}_interval']
            if wrong < 5:
                assert found is None
            else:
                assert 0 < found[0] < made[name] < found[1] < 100


def test_wilson_interval():
    # Newcombe 1998, table I: 81 of 263, and 0 of 20.
    assert metrics.wilson(81, 263) == pytest.approx([25.53, 36.62], abs=0.01)
    assert metrics.wilson(0, 20) == pytest.approx([0, 16.11], abs=0.01)
    assert metrics.wilson(0, 0) is None


def test_a_class_without_photos_is_in_no_average():
    labels, said = np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1])
    matrix = metrics.confusion(labels, said, 4)
    made = metrics.result(matrix, list('abcd'), seed=0)
    assert made['balanced_accuracy'] == 75
    assert made['macro_f1'] == pytest.approx(100 * (2 / 3 + 1) / 2)
    rows = metrics.per_class(matrix, list('abcd'))
    assert rows[2]['recall'] is None
    assert rows[2]['precision'] == 0
    assert rows[3]['precision'] is None


def test_always_the_largest_class():
    matrix = np.array([[3, 1], [0, 2]])
    made = metrics.result(matrix, ['many', 'few'], seed=0)
    assert made['always_largest']['class'] == 'many'
    assert made['always_largest']['top1'] == pytest.approx(100 * 4 / 6)


def test_pairs_are_counted_both_ways():
    matrix = np.array([[5, 1, 0], [3, 5, 0], [2, 0, 5]])
    first, second = metrics.confused_pairs(matrix, ['a', 'b', 'c'])
    assert first == {
        'class': 'b',
        'taken_for': 'a',
        'times': 3,
        'of': 8,
        'the_other_way': 1,
        'of_the_other': 6,
    }
    assert (second['class'], second['taken_for']) == ('c', 'a')


@given(st.integers(1, 40), st.integers(2, 7), st.integers(0, 2**32 - 1))
def test_whatever_is_predicted_the_figures_are_numbers(photos, classes, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, photos)
    # Certain ones, ties, and classes that nobody sees.
    scores = rng.integers(0, 3, (photos, classes)) + (rng.random() < 0.5)
    scores[scores.sum(1) == 0, 0] = 1
    scores = (scores / scores.sum(1, keepdims=True)).astype(np.float32)
    names = [f'class {i}' for i in range(classes)]
    made = figures(labels, scores, names)
    json.dumps(made, allow_nan=False)
    low, high = made['result']['top1_interval']
    assert 0 <= low <= made['result']['top1'] <= high <= 100
    assert not math.isnan(made['calibration']['ece'])


@pytest.mark.parametrize(
    ('wrong', 'why'),
    [
        (0, 'no photo is wrong'),
        (1, 'only 1 photo is wrong'),
        (4, 'only 4 photos are wrong'),
        (5, None),
        (55, None),
        (58, 'only 2 photos are right'),
        (60, 'no photo is right'),
    ],
)
def test_averages_without_an_interval_say_why(wrong, why):
    right = 60 - wrong
    made = metrics.result(np.array([[right, wrong], [0, 0]]), ['a', 'b'], 0)
    assert made['why_no_averages_interval'] == why
    for name in ('macro_f1', 'balanced_accuracy'):
        assert (made[f'{name}_interval'] is None) == (why is not None)


def test_of_equal_scores_the_earlier_classes_are_said():
    labels = np.arange(6).repeat(4)
    scores = np.full((24, 6), 1 / 6, np.float32)
    names = [f'class {i}' for i in range(6)]
    made = figures(labels, scores, names)['result']
    assert made['top1'] == pytest.approx(100 / 6)
    assert made['top5'] == pytest.approx(100 * 5 / 6)
    for k in range(1, 7):
        assert metrics.top_k(labels, scores, k) == pytest.approx(k / 6)


@given(st.integers(30, 90), st.integers(0, 2**32 - 1))
def test_the_order_of_the_photos_changes_nothing(photos, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, photos)
    scores = rng.integers(1, 4, (photos, 3))  # many are equally sure
    scores = (scores / scores.sum(1, keepdims=True)).astype(np.float32)
    same = rng.integers(0, photos, photos)
    order = rng.permutation(photos)
    one, other = (
        figures(labels[i], scores[i], list('abc'), same=same[i])
        for i in (np.arange(photos), order)
    )
    assert one == other


def test_equal_photos_prove_no_more_than_one():
    found = predictions(40, surety=1.5)
    alone = figures(found.labels, found.scores, FLOWERS)['result']
    labels, scores = found.labels.repeat(5), found.scores.repeat(5, axis=0)
    five = figures(labels, scores, FLOWERS, same=np.arange(40).repeat(5))[
        'result'
    ]
    assert (five['photos'], five['different']) == (200, 40)
    assert five['top1_interval_photos'] == pytest.approx(40)
    assert five['top1_interval'] == pytest.approx(alone['top1_interval'])
    for name in ('macro_f1_interval', 'top1_bootstrap'):
        assert five[name] == pytest.approx(alone[name], abs=1.5)
    plain = figures(labels, scores, FLOWERS)['result']
    low, high = plain['top1_interval']
    assert five['top1_interval'][0] < low < high < five['top1_interval'][1]
    nobody = figures(labels, scores, FLOWERS, same=np.arange(200))
    assert nobody['result'] == plain


def test_equal_wrong_photos_are_few():
    labels = np.zeros(60, int)
    scores = np.tile(np.float32([0.9, 0.1]), (60, 1))
    scores[:10] = scores[:10, ::-1]
    same = np.arange(60)
    same[:10] = same[:10] // 5
    made = figures(labels, scores, ['a', 'b'], same=same)['result']
    assert made['why_no_averages_interval'] == (
        'only 2 different photos are wrong'
    )
    assert made['macro_f1_interval'] is None


@pytest.mark.parametrize(
    ('sizes', 'rate'),
    [([5] * 21, 0.8), ([5] * 10 + [1] * 50, 0.95), ([2] * 30 + [1] * 40, 0.9)],
)
def test_the_interval_of_equal_photos_holds_the_truth(sizes, rate):
    """A model that is right on all of a group or on none."""
    rng = np.random.default_rng(0)
    sizes = np.array(sizes)
    worth = sizes.sum() ** 2 / (sizes**2).sum()
    right = (rng.random((2000, len(sizes))) < rate) @ sizes / sizes.sum()
    held = [
        low <= 100 * rate <= high
        for low, high in (metrics.wilson(v * worth, worth) for v in right)
    ]
    assert 0.93 <= np.mean(held) <= 0.985
