import numpy as np
import pytest

from flower_mm.report.label_errors import find_label_errors
from flower_mm.report.predictions import Predictions


def predicted(
    labels: np.ndarray, truth: np.ndarray, classes: int, rng
) -> Predictions:
    """A model that knows the true class of nineteen photos in twenty.

    Where it does not, it is mostly unsure.
    """
    strength = rng.normal(5, 2, len(truth))
    logits = rng.normal(0, 1, (len(truth), classes))
    logits[np.arange(len(truth)), truth] += strength
    scores = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return Predictions(
        [f'{i}.jpg' for i in range(len(truth))],
        labels,
        scores.astype(np.float32),
        [f'class {i}' for i in range(classes)],
    )


@pytest.mark.parametrize(('classes', 'seed'), [(3, 0), (5, 1), (12, 2)])
def test_planted_labels_come_first(classes, seed):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, 2000)
    planted = rng.choice(2000, 60, replace=False)
    labels = truth.copy()
    labels[planted] = (truth[planted] + 1) % classes
    found = find_label_errors(predicted(labels, truth, classes, rng))
    first = [error.index for error in found[:60]]
    assert len(set(first) & set(planted)) >= 40
    assert len(set(first) - set(planted)) <= 2
    # Of those found, nearly all get their own class back.
    right = [truth[s.index] == s.suggested for s in found[:40]]
    assert np.mean(right) > 0.9
    assert all(s.given == labels[s.index] for s in found)
    margins = [s.margin for s in found]
    assert margins == sorted(margins, reverse=True)
    assert 0 < min(margins) <= max(margins) <= 1


@pytest.mark.parametrize('seed', range(5))
def test_of_clean_labels_few_are_suspected(seed):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 5, 2000)
    found = find_label_errors(predicted(truth, truth, 5, rng))
    assert len(found) <= 3  # where the model errs in some ninety


def test_a_class_the_model_is_never_sure_of_is_judged_by_its_own_measure():
    """Of class 1 the model is never surer than 0.5; that is enough there."""
    sure = np.tile(np.array([[0.95, 0.03, 0.02]]), (20, 1))
    unsure = np.tile(np.array([[0.3, 0.5, 0.2]]), (20, 1))
    scores = np.concatenate([sure, unsure, [[0.3, 0.5, 0.2]]])
    labels = np.array([0] * 20 + [1] * 20 + [0])
    photos = [str(i) for i in range(41)]
    found = find_label_errors(
        Predictions(photos, labels, scores.astype(np.float32), list('abc'))
    )
    assert [(s.index, s.given, s.suggested) for s in found] == [(40, 0, 1)]


def test_a_class_without_photos_is_suggested_for_none():
    scores = np.array([[0.9, 0.1, 0], [0.1, 0.1, 0.8]], np.float32)
    found = find_label_errors(
        Predictions(['a', 'b'], np.array([0, 1]), scores, list('abc'))
    )
    assert found == []
