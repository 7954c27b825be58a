"""A sentence about photos that differ from those of the validation."""

import numpy as np
import pytest

from flower_mm.inference.calibration import Calibration, measure
from flower_mm.inference.drift import (
    Seen,
    _same_shares,
    _same_values,
    difference,
)

CLASSES = ['daisy', 'rose', 'tulip']


def scores(count: int, seed: int, sharpness: float = 3.0, shares=None):
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, count, p=shares)
    logits = rng.normal(size=(count, 3)) + sharpness * np.eye(3)[labels]
    exp = np.exp(logits)
    return labels, exp / exp.sum(1, keepdims=True)


def seen_of(found: np.ndarray, unknown_share: float, seed: int) -> Seen:
    rng = np.random.default_rng(seed)
    return Seen(
        found.max(1).tolist(),
        found.argmax(1).tolist(),
        int(rng.binomial(len(found), unknown_share)),
    )


@pytest.fixture(scope='module')
def validation() -> Calibration:
    return Calibration.of(measure(*scores(500, 0)))


def test_photos_of_the_same_kind_get_no_sentence(validation):
    told = [
        difference(
            seen_of(scores(400, seed)[1], 0.05, seed), validation, 500, CLASSES
        )
        for seed in range(1, 201)
    ]
    # At most one of 300 by the risk of the tests.
    assert sum(map(bool, told)) <= 3


@pytest.mark.parametrize(
    ('found', 'unknown', 'words'),
    [
        (scores(400, 1, 1.0)[1], 0.05, 'confidence'),
        (scores(400, 1)[1], 0.3, 'unknown'),
        (scores(400, 1, shares=[0.7, 0.2, 0.1])[1], 0.05, 'daisy'),
    ],
)
def test_the_sentence_names_what_differs(found, unknown, words, validation):
    told = difference(seen_of(found, unknown, 2), validation, 500, CLASSES)
    assert words in told


def test_few_photos_and_old_files_get_no_sentence(validation):
    other = seen_of(scores(199, 1, 0.5)[1], 0.9, 1)
    assert not difference(other, validation, 500, CLASSES)
    other = seen_of(scores(400, 1, 0.5)[1], 0.9, 1)
    assert not difference(other, Calibration(), None, CLASSES)


def test_p_values_are_those_of_scipy():
    stats = pytest.importorskip('scipy.stats')
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=300), rng.normal(0.2, size=500)
    expected = stats.ks_2samp(one, other, method='asymp').pvalue
    assert _same_values(one, other) == pytest.approx(expected, rel=0.2)
    counts = np.array([[30, 50, 0, 20], [60, 45, 0, 25]])
    expected = stats.chi2_contingency(counts[:, [0, 1, 3]], False).pvalue
    assert _same_shares(*counts) == pytest.approx(expected, rel=1e-6)
