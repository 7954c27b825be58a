"""Temperature, sets of classes and working points from validation photos."""

import math

import numpy as np
import pytest
import torch

from flower_mm.errors import UserError
from flower_mm.inference.calibration import (
    MOST_PHOTOS,
    Calibration,
    calibration_of,
    lower_bound,
    measure,
    set_of_classes,
)

CLASSES = 5


def made(
    count: int, seed: int = 0, ahead: float = 1.8
) -> tuple[np.ndarray, np.ndarray]:
    """Labels and overconfident probabilities, right for seven in ten."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    logits = rng.normal(size=(count, CLASSES))
    logits[np.arange(count), labels] += ahead
    powers = np.exp(1.3 * logits)
    return labels, (powers / powers.sum(1, keepdims=True)).astype(np.float32)


def calibration(labels: np.ndarray, scores: np.ndarray) -> Calibration:
    meta = {'calibration': {'temperature': None, **measure(labels, scores)}}
    return calibration_of(meta, CLASSES, 'best.pth')


@pytest.mark.parametrize('per_class', [False, True])
def test_the_share_of_sets_with_the_true_class(per_class):
    """Over 100 draws, the mean is within the band of the theory."""
    shares = []
    for seed in range(100):
        labels, scores = made(600, seed)
        known = calibration(labels[:300], scores[:300])
        limits = np.array(
            [
                known.mass_limit(0.9, i if per_class else None)
                for i in range(CLASSES)
            ]
        )
        shares.append(
            np.mean(
                [
                    label in set_of_classes(row, limits)
                    for label, row in zip(
                        labels[300:], scores[300:], strict=True
                    )
                ]
            )
        )
    photos = 300 / CLASSES if per_class else 300
    error = np.std(shares) / math.sqrt(len(shares))
    assert 0.9 - 3 * error < np.mean(shares)
    assert np.mean(shares) < 0.9 + 1 / (photos + 1) + 3 * error


def test_the_photo_of_the_limit_is_inside():
    labels, scores = made(99)
    known = calibration(labels, scores)
    for coverage in (0.5, 0.9, 0.99):
        limits = np.full(CLASSES, known.mass_limit(coverage))
        inside = sum(
            label in set_of_classes(row, limits)
            for label, row in zip(labels, scores, strict=True)
        )
        assert inside >= 100 * coverage - 1e-9


def test_a_set_begins_with_the_most_probable_class():
    limits = np.zeros(3)
    assert set_of_classes(np.array([0.2, 0.5, 0.3]), limits) == [1]
    equal = np.array([1, 1, 1], np.float32) / 3
    assert set_of_classes(equal, limits) == [0]
    limits = np.array([0.9, 0.0, 0.0])
    assert set_of_classes(np.array([0.2, 0.5, 0.3]), limits) == [1, 0]


@pytest.mark.parametrize(
    ('photos', 'coverage', 'enough'),
    [(19, 0.95, True), (18, 0.95, False), (9, 0.9, True), (0, 0.5, False)],
)
def test_too_few_photos_for_a_coverage(photos, coverage, enough):
    known = calibration(*made(photos)) if photos else Calibration()
    if enough:
        known.mass_limit(coverage)
        return
    with pytest.raises(UserError, match=f'got {photos}'):
        known.mass_limit(coverage)


def test_a_working_point_keeps_its_promise():
    known = calibration(*made(2000))
    point = known.working_point(0.95)
    above = known.confidence >= point.threshold
    assert above.sum() == point.photos
    right = (known.outranking[above] == 0).sum()
    assert right == point.right
    assert 0.95 <= right / point.photos < 0.97
    assert 0.9 < point.at_least < right / point.photos
    with pytest.raises(UserError, match='best is'):
        calibration(*made(400, ahead=0.0)).working_point(0.999)


def test_the_bound_of_a_chosen_working_point_holds():
    labels, scores = made(100_000, seed=1)
    right, confidence = scores.argmax(1) == labels, scores.max(1)
    broken = 0
    for seed in range(2, 62):
        point = calibration(*made(200, seed)).working_point(0.9)
        share = right[confidence >= point.threshold].mean()
        broken += share < point.at_least
    # One in twenty at most; more than 7 of 60 have a chance of 1 %.
    assert broken <= 7


def test_photos_of_equal_confidence_are_on_one_side():
    known = Calibration(
        None, np.zeros(4, int), np.full(4, 0.8), np.array([0, 0, 0, 0.8])
    )
    assert known.working_point(0.75).photos == 4
    with pytest.raises(UserError):
        known.working_point(0.8)


def test_the_lower_bound_is_exact():
    """One side of Clopper and Pearson: 0.05 to the power of 1/n."""
    assert lower_bound(299, 299) == pytest.approx(0.05 ** (1 / 299), abs=1e-5)
    assert lower_bound(0, 10) == 0
    low = lower_bound(9, 10)
    tail = 10 * low**9 * (1 - low) + low**10
    assert tail == pytest.approx(0.05, abs=1e-4)


def test_a_part_of_many_photos_is_kept():
    labels, scores = made(2 * MOST_PHOTOS + 1)
    found = measure(labels, scores)
    assert len(found['labels']) <= MOST_PHOTOS
    assert found['labels'][:3] == labels[[0, 3, 6]].tolist()


@pytest.mark.parametrize('number', ['0.9', torch.tensor([0.9])])
def test_numbers_of_other_types_are_converted(number):
    labels, scores = made(40)
    values = measure(labels, scores) | {
        'temperature': number, 'precision': number,
    }  # fmt: skip
    found = calibration_of({'calibration': values}, CLASSES, 'a.pth')
    assert type(found.temperature) is float
    assert type(found.precision) is float
    assert found.calibrated(scores).shape == scores.shape


@pytest.mark.parametrize(
    'change',
    [
        {'temperature': 0.0}, {'temperature': 'hot'},
        {'temperature': math.nan}, {'labels': [0] * 7},
        {'labels': [9] * 20}, {'labels': [-1] * 20},
        {'confidence': [2.0] * 20}, {'confidence': [math.nan] * 20},
        {'outranking': 'text'}, {'outranking': [[0.0]] * 20},
        {'labels': [0] * 6000, 'confidence': [0] * 6000,
         'outranking': [0] * 6000},
    ],
)  # fmt: skip
def test_values_of_a_crafted_file_are_refused(change):
    values = {'temperature': 1.5, **measure(*made(20))}
    calibration_of({'calibration': values}, CLASSES, 'a.pth')
    with pytest.raises(UserError, match=r'in a\.pth'):
        calibration_of({'calibration': values | change}, CLASSES, 'a.pth')
    for other in ([], 'text', {'temperature': None}):
        with pytest.raises(UserError):
            calibration_of({'calibration': other}, CLASSES, 'a.pth')
    assert calibration_of({}, CLASSES, 'a.pth').temperature is None
