"""Calibration and selective prediction."""

import numpy as np
import pytest
from made_up import predictions

from flower_mm.inference.temperature import best_temperature, nll
from flower_mm.report import confidence


def miscalibrated(temperature: float, photos: int = 4000, seed: int = 0):
    """Labels from true probabilities, and scores at another temperature."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=2, size=(photos, 4))
    powers = np.exp(logits)
    true = powers / powers.sum(1, keepdims=True)
    drawn = rng.random((photos, 1)) < true.cumsum(1)
    powers = np.exp(temperature * logits)
    scores = powers / powers.sum(1, keepdims=True)
    return drawn.argmax(1), scores.astype(np.float32)


@pytest.mark.parametrize('true', [0.5, 2.0])
def test_calibration_recovers_the_temperature(true):
    labels, scores = miscalibrated(true)
    made = confidence.calibration(labels, scores, seed=0)
    assert made['temperature'] == pytest.approx(true, rel=0.08)
    assert made['ece'] > made['ece_if_calibrated_95']
    assert made['ece_scaled'] < made['ece'] / 2
    assert made['nll_scaled'] < made['nll']


def test_the_temperature_has_the_lowest_loss():
    labels, scores = miscalibrated(1.7, 500)
    best = best_temperature(labels, scores)
    least = nll(labels, scores, best)
    for other in (0.8 * best, 0.97 * best, 1.03 * best, 1.25 * best):
        assert nll(labels, scores, other) > least


def test_a_calibrated_model_is_within_chance():
    """In 40 draws about two exceed what one case of twenty exceeds."""
    beyond = 0
    for seed in range(40):
        labels, scores = miscalibrated(1.0, 200, seed)
        made = confidence.calibration(labels, scores, seed=0)
        beyond += made['ece'] > made['ece_if_calibrated_95']
    assert beyond <= 7  # 8 or more: once in 2,000 runs of 40


def test_ece_by_hand():
    correct = np.array([True, True, False, True])
    stated = np.array([0.6, 0.8, 0.9, 0.7])
    # One bin: 3 of 4 correct, mean confidence 0.75.
    assert confidence.ece(correct, stated) == pytest.approx(0)
    assert confidence.ece(correct[:3], stated[:3]) == pytest.approx(10)


@pytest.mark.parametrize('errors', [0, 1, 4])
def test_few_errors_give_no_temperature(errors):
    found = predictions(50, surety=12)
    labels = found.predicted.copy()
    labels[:errors] = (labels[:errors] + 1) % 5
    made = confidence.calibration(labels, found.scores, seed=0)
    assert made['temperature'] is made['ece_scaled'] is None


def test_the_model_abstains_on_the_least_confident():
    stated = np.array([0.9, 0.6, 0.8, 0.7, 0.95] * 4)
    scores = np.stack([stated, 1 - stated], axis=1)
    labels = np.where(stated < 0.75, 1, 0)  # wrong where unsure
    made = confidence.selective_prediction(labels, scores)
    five, _, twenty = made['table']
    assert [row['photos'] for row in made['table']] == [1, 2, 4]
    assert five['selective_accuracy'] == pytest.approx(100 * 12 / 19)
    assert twenty['errors'] == 4
    assert twenty['selective_accuracy'] == pytest.approx(75)
    assert twenty['confidence_threshold'] == pytest.approx(70)
    assert made['curve'][0] == [0, 60]
    assert made['curve'][-1] == [95, 100]


def test_each_row_abstains_on_a_photo():
    for photos, rows in ((2, []), (4, [20]), (12, [5, 10, 20])):
        scores = np.full((photos, 2), 0.5)
        made = confidence.selective_prediction(np.zeros(photos, int), scores)
        assert [row['abstention'] for row in made['table']] == rows
        assert all(row['photos'] for row in made['table'])


@pytest.mark.parametrize(
    ('photos', 'errors', 'is_reliable'),
    [(49, 20, False), (50, 4, False), (50, 5, True), (200, 0, False)],
)
def test_reliability_needs_photos_and_errors(photos, errors, is_reliable):
    scores = np.tile([0.9, 0.1], (photos, 1))
    labels = (np.arange(photos) < errors).astype(int)
    made = confidence.selective_prediction(labels, scores)
    assert made['is_reliable'] is is_reliable


def test_the_most_confident_errors_come_first():
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.3, 0.7]])
    labels = np.array([0, 0, 0, 0])
    order = confidence.most_confident_errors(labels, scores)
    assert order.tolist() == [1, 3, 2]


def test_equal_confidences_are_never_divided_by_chance():
    labels = np.repeat([0, 1], [60, 40])
    scores = np.tile(np.float32([0.75, 0.25]), (100, 1))
    selective = confidence.selective_prediction(labels, scores)
    for row in selective['table']:
        assert row['selective_accuracy'] == pytest.approx(60)
        assert row['errors'] == pytest.approx(0.4 * row['photos'])
    assert {round(top1, 6) for _, top1 in selective['curve']} == {60}
    made = confidence.calibration(labels, scores, 0)
    assert made['ece'] == pytest.approx(15)
    assert all(row['accuracy'] == pytest.approx(60) for row in made['bins'])
    # Of 100 of confidence 0.75 correct: deviation 4.3, mean deviation 3.5.
    assert made['ece_if_calibrated'] == pytest.approx(3.5, abs=0.4)


@pytest.mark.parametrize(('accuracy', 'stated'), [(0.5, 0.99), (0.97, 0.5001)])
def test_a_temperature_beyond_its_bounds_is_null(accuracy, stated):
    correct = np.random.default_rng(0).random(200) < accuracy
    scores = np.tile(np.float32([stated, 1 - stated]), (200, 1))
    made = confidence.calibration((~correct).astype(int), scores, 0)
    assert (~correct).sum() >= 5
    assert made['temperature'] is None
