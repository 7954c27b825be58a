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

AVERAGES = ('macro_f1', 'balanced_accuracy')


def overall(matrix: list | np.ndarray) -> dict:
    return metrics.overall(np.array(matrix), list('abcd')[: len(matrix)], 0)


@pytest.mark.parametrize('classes', [2, 5, 40])
def test_figures_are_those_of_scikit_learn(classes):
    names = [f'class {i}' for i in range(classes)]
    found = predictions(300, names, surety=1.5)
    made = figures(found.labels, found.scores, names)
    pair = labels, predicted = found.labels, found.predicted
    here = np.unique(labels)
    expected = {
        'top1': sklearn.metrics.accuracy_score(*pair),
        'balanced_accuracy': sklearn.metrics.balanced_accuracy_score(*pair),
        'macro_f1': sklearn.metrics.f1_score(
            *pair, average='macro', labels=here
        ),
    }
    if classes > 5:
        expected['top5'] = sklearn.metrics.top_k_accuracy_score(
            labels, found.scores, k=5
        )
    for name, value in expected.items():
        assert made['metrics'][name] == pytest.approx(100 * value)
    matrix = sklearn.metrics.confusion_matrix(labels, predicted)
    assert made['confusion_matrix'] == matrix.tolist()
    scores = sklearn.metrics.precision_recall_fscore_support(
        labels, predicted, labels=here, zero_division=0
    )
    for name, theirs in zip(
        ('precision', 'recall', 'f1'), scores, strict=False
    ):
        ours = [made['per_class'][i][name] or 0 for i in here]
        assert ours == pytest.approx((100 * theirs).tolist())


def test_resampling_cells_is_resampling_photos():
    """Our bootstrap against one that does draw photos."""
    found = predictions(120, surety=1.5)
    labels, predicted = found.labels, found.predicted
    drawn = np.random.default_rng(1).integers(0, 120, (800, 120))
    macro = [
        sklearn.metrics.f1_score(
            labels[row],
            predicted[row],
            average='macro',
            labels=np.unique(labels[row]),
        )
        for row in drawn
    ]
    matrix = metrics.confusion_matrix(labels, predicted, 5)
    ours = metrics.overall(matrix, FLOWERS, seed=0)
    theirs = 100 * np.quantile(macro, (0.025, 0.975))
    # One photo is 0.8 %; their own scatter is about as much.
    assert ours['macro_f1_interval'] == pytest.approx(theirs.tolist(), abs=1.7)
    assert ours == metrics.overall(matrix, FLOWERS, seed=0)


def test_wilson_interval():
    # Newcombe 1998, table I: 81 of 263, and 0 of 20.
    assert metrics.wilson(81, 263) == pytest.approx([25.53, 36.62], abs=0.01)
    assert metrics.wilson(0, 20) == pytest.approx([0, 16.11], abs=0.01)
    assert metrics.wilson(0, 0) is None
    # By hand: 25 / (25 + 1.96 ** 2).
    assert metrics.wilson(25, 25) == pytest.approx([86.68, 100], abs=0.01)


@pytest.mark.parametrize('photos', [20, 153, 569])
def test_one_more_error_never_looks_better(photos):
    intervals = [metrics.wilson(right, photos) for right in range(photos + 1)]
    low, high = np.array(intervals).T
    assert (np.diff(low) > 0).all()
    assert (np.diff(high) > 0).all()
    assert (low[0], high[-1]) == (0, 100)
    assert high[-2] < 99.99
    assert low[1] > 0.01


@pytest.mark.parametrize('errors', [0, 1, 4, 5, 6])
def test_averages_have_an_interval_below_100_or_none(errors):
    matrix = np.array([[40 - errors, errors], [0, 40]])
    for cells in (matrix, matrix[::-1]):  # and as few correct photos
        made = overall(cells)
        for name in AVERAGES:
            interval = made[f'{name}_interval']
            if errors < metrics.MIN_COUNT:
                assert interval is None
            else:
                assert 0 < interval[0] < made[name] < interval[1] < 100


def test_a_class_without_photos_is_in_no_average():
    labels, predicted = np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1])
    matrix = metrics.confusion_matrix(labels, predicted, 4)
    made = overall(matrix)
    assert made['balanced_accuracy'] == 75
    assert made['macro_f1'] == pytest.approx(100 * (2 / 3 + 1) / 2)
    rows = metrics.per_class(matrix, list('abcd'))
    assert rows[2]['recall'] is None
    assert rows[2]['precision'] == 0
    assert rows[3]['precision'] is None


def test_the_majority_class_is_the_baseline():
    made = overall([[1, 0], [3, 2]])['majority_class']
    assert made == {'class': 'b', 'top1': pytest.approx(100 * 5 / 6)}


def test_confused_pairs_count_both_directions():
    matrix = np.array([[5, 1, 0], [3, 5, 0], [2, 0, 5]])
    first, second = metrics.confused_pairs(matrix, ['a', 'b', 'c'])
    assert first == {
        'label': 'b',
        'predicted': 'a',
        'count': 3,
        'photos': 8,
        'reverse_count': 1,
        'reverse_photos': 6,
    }
    assert (second['label'], second['predicted']) == ('c', 'a')


@given(st.integers(1, 40), st.integers(2, 7), st.integers(0, 2**32 - 1))
def test_any_predictions_give_finite_figures(photos, classes, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, photos)
    # With certain predictions, ties, and classes without photos.
    scores = rng.integers(0, 3, (photos, classes)) + (rng.random() < 0.5)
    scores[scores.sum(1) == 0, 0] = 1
    scores = (scores / scores.sum(1, keepdims=True)).astype(np.float32)
    made = figures(labels, scores, [f'class {i}' for i in range(classes)])
    json.dumps(made, allow_nan=False)
    low, high = made['metrics']['top1_interval']
    assert 0 <= low <= made['metrics']['top1'] <= high <= 100
    assert not math.isnan(made['calibration']['ece'])


def test_of_equal_scores_the_earlier_class_is_predicted():
    labels = np.arange(6).repeat(4)
    scores = np.full((24, 6), 1 / 6, np.float32)
    for k in range(1, 7):
        assert metrics.top_k(labels, scores, k) == pytest.approx(k / 6)


@given(st.integers(30, 90), st.integers(0, 2**32 - 1))
def test_the_order_of_the_photos_changes_no_figure(photos, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, photos)
    scores = rng.integers(1, 4, (photos, 3))  # with equal confidences
    scores = (scores / scores.sum(1, keepdims=True)).astype(np.float32)
    groups = rng.integers(0, photos, photos)
    one, other = (
        figures(labels[i], scores[i], list('abc'), groups=groups[i])
        for i in (np.arange(photos), rng.permutation(photos))
    )
    assert one == other


def test_near_duplicates_count_as_one_photo():
    found = predictions(40, surety=1.5)
    alone = figures(found.labels, found.scores, FLOWERS)['metrics']
    labels, scores = found.labels.repeat(5), found.scores.repeat(5, axis=0)
    made, plain, unique = (
        figures(labels, scores, FLOWERS, groups=groups)['metrics']
        for groups in (np.arange(40).repeat(5), None, np.arange(200))
    )
    assert (made['photos'], made['unique_photos']) == (200, 40)
    assert made['effective_photos'] == pytest.approx(40)
    assert made['top1_interval'] == pytest.approx(alone['top1_interval'])
    name = 'macro_f1_interval'
    assert made[name] == pytest.approx(alone[name], abs=1.5)
    low, high = plain['top1_interval']
    assert made['top1_interval'][0] < low < high < made['top1_interval'][1]
    assert unique == plain


def test_near_duplicate_errors_are_few():
    labels = np.zeros(60, int)
    scores = np.tile(np.float32([0.9, 0.1]), (60, 1))
    scores[:10] = scores[:10, ::-1]
    groups = np.arange(60)
    groups[:10] //= 5
    made = figures(labels, scores, ['a', 'b'], groups=groups)['metrics']
    assert made['macro_f1_interval'] is None


@pytest.mark.parametrize(
    ('sizes', 'rate'),
    [([5] * 21, 0.8), ([5] * 10 + [1] * 50, 0.95), ([2] * 30 + [1] * 40, 0.9)],
)
def test_the_interval_of_near_duplicates_contains_the_truth(sizes, rate):
    """A model that is correct on all photos of a group or on none."""
    rng = np.random.default_rng(0)
    sizes = np.array(sizes)
    effective = sizes.sum() ** 2 / (sizes**2).sum()
    shares = (rng.random((2000, len(sizes))) < rate) @ sizes / sizes.sum()
    intervals = [metrics.wilson(v * effective, effective) for v in shares]
    contained = [low <= 100 * rate <= high for low, high in intervals]
    assert 0.93 <= np.mean(contained) <= 0.985
