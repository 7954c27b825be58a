"""Calibration and selective prediction."""

import numpy as np
import pytest
from made_up import predictions

from flower_mm.report import confidence


def sure(temperature: float, photos: int = 4000, seed: int = 0):
    """Labels drawn from true probabilities, and scores too sure of them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=2, size=(photos, 4))
    powers = np.exp(logits)
    true = powers / powers.sum(1, keepdims=True)
    drawn = rng.random((photos, 1)) < true.cumsum(1)
    labels = drawn.argmax(1)
    said = np.exp(temperature * logits)
    return labels, (said / said.sum(1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize('true', [0.5, 2.0])
def test_the_temperature_that_was_taken_away_is_found(true):
    labels, scores = sure(true)
    made = confidence.calibration(labels, scores, seed=0)
    assert made['temperature'] == pytest.approx(true, rel=0.08)
    assert made['ece'] > made['ece_by_chance_95']
    # Measured on the other half each, so not below what chance gives.
    assert made['ece_after'] < made['ece'] / 2
    assert made['nll_after'] < made['nll']


def test_the_temperature_is_the_best_one():
    labels, scores = sure(1.7, 500)
    best = confidence.temperature(labels, scores)
    least = confidence.nll(labels, scores, best)
    for other in (0.8 * best, 0.97 * best, 1.03 * best, 1.25 * best):
        assert confidence.nll(labels, scores, other) > least


def test_a_calibrated_model_is_within_chance():
    """In 40 draws about two exceed what one case of twenty exceeds."""
    beyond = 0
    for seed in range(40):
        labels, scores = sure(1.0, 200, seed)
        made = confidence.calibration(labels, scores, seed=0)
        beyond += made['ece'] > made['ece_by_chance_95']
    assert beyond <= 7  # 8 or more: once in 2,000 runs of 40


def test_ece_by_hand():
    correct = np.array([True, True, False, True])
    stated = np.array([0.6, 0.8, 0.9, 0.7])
    # One bin: 3 of 4 right, 0.75 stated.
    assert confidence.ece(correct, stated) == pytest.approx(0)
    assert confidence.ece(correct[:3], stated[:3]) == pytest.approx(10)


def test_no_temperature_from_a_handful_of_mistakes():
    for wrong, why in (
        (0, 'no photo is wrong'),
        (1, 'only 1 photo is wrong'),
        (2, 'only 2 photos are wrong'),
    ):
        found = predictions(50, surety=12)
        labels = found.predicted.copy()
        labels[:wrong] = (labels[:wrong] + 1) % 5
        made = confidence.calibration(labels, found.scores, seed=0)
        assert made['temperature'] is None
        assert made['why_no_temperature'] == why


def test_the_least_sure_are_handed_over():
    stated = np.array([0.9, 0.6, 0.8, 0.7, 0.95] * 4)
    scores = np.stack([stated, 1 - stated], axis=1)
    labels = np.where(stated < 0.75, 1, 0)  # wrong where unsure
    made = confidence.selective_prediction(labels, scores)
    five, _, twenty = made['table']
    assert [row['photos'] for row in made['table']] == [1, 2, 4]
    assert five['top1_of_the_rest'] == pytest.approx(100 * 12 / 19)
    assert twenty['wrong_among_them'] == 4
    assert twenty['top1_of_the_rest'] == pytest.approx(75)
    assert twenty['below_confidence'] == pytest.approx(70)
    assert made['curve'][0] == [0, 60]
    assert made['curve'][-1] == [95, 100]


def test_no_row_hands_over_no_photo():
    for photos, rows in ((2, []), (4, [20]), (12, [5, 10, 20])):
        scores = np.full((photos, 2), 0.5)
        made = confidence.selective_prediction(np.zeros(photos, int), scores)
        assert [row['share'] for row in made['table']] == rows
        assert all(row['photos'] for row in made['table'])


@pytest.mark.parametrize(
    ('photos', 'wrong', 'little'),
    [(49, 20, True), (50, 4, True), (50, 5, False), (200, 0, True)],
)
def test_few_photos_or_few_mistakes_say_little(photos, wrong, little):
    scores = np.tile([0.9, 0.1], (photos, 1))
    labels = (np.arange(photos) < wrong).astype(int)
    assert (
        confidence.selective_prediction(labels, scores)['says_little']
        is little
    )


def test_the_surest_mistakes_come_first():
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.3, 0.7]])
    labels = np.array([0, 0, 0, 0])
    assert confidence.most_wrong(labels, scores).tolist() == [1, 3, 2]


def test_a_confidence_that_is_always_the_same_sorts_out_nothing():
    labels = np.repeat([0, 1], [60, 40])
    scores = np.tile(np.float32([0.75, 0.25]), (100, 1))
    handed = confidence.selective_prediction(labels, scores)
    for row in handed['table']:
        assert row['top1_of_the_rest'] == pytest.approx(60)
        assert row['wrong_among_them'] == pytest.approx(0.4 * row['photos'])
    assert {round(right, 6) for _, right in handed['curve']} == {60}
    found = confidence.calibration(labels, scores, 0)
    assert found['ece'] == pytest.approx(15)
    assert all(row['accuracy'] == pytest.approx(60) for row in found['bins'])
    # Of 100 of confidence 0.75 right: deviation 4.3, mean deviation 3.5.
    assert found['ece_by_chance'] == pytest.approx(3.5, abs=0.4)


@pytest.mark.parametrize(('surety', 'end'), [(0, '20 or'), (50, '0.05 or')])
def test_a_temperature_where_the_search_ends_is_none(surety, end):
    """Scores without sense want to be even; too timid ones to be sure."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 200)
    said = np.where(rng.random(200) < 0.5, labels, 1 - labels)
    own = 0.99
    if surety:
        said, own = labels.copy(), 0.5001
        said[:6] = 1 - said[:6]
    scores = np.full((200, 2), 1 - own, np.float32)
    scores[np.arange(200), said] = own
    found = confidence.calibration(labels, scores, 0)
    assert found['temperature'] is None
    assert end in found['why_no_temperature']
    assert 'where the search ends' in found['why_no_temperature']
    assert 'ece_after' not in found
