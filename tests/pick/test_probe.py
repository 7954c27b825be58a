"""A photo is predicted by a classifier that was fitted without it."""

import time

import numpy as np
import pytest
import torch

from flower_mm.pick.probe import TimeIsUpError, predict_out_of_fold
from flower_mm.pick.train_photos import FOLDS

CLASSES = 4


@pytest.fixture
def labels() -> torch.Tensor:
    return torch.arange(200) % CLASSES


@pytest.fixture
def folds() -> np.ndarray:
    return np.random.default_rng(0).integers(1, FOLDS + 1, 200)


def accuracy(features, labels, folds, seconds=60.0) -> float:
    deadline = time.monotonic() + seconds
    predicted = predict_out_of_fold(features, labels, folds, CLASSES, deadline)
    return float((predicted == labels.numpy()).mean())


def test_features_of_the_class_are_enough(labels, folds):
    features = torch.eye(CLASSES)[labels]
    assert accuracy(features, labels, folds) == 1


def test_features_of_the_photo_alone_are_not(labels, folds):
    """A classifier that had seen the photo would be right each time."""
    features = 10 * torch.eye(200)
    assert accuracy(features, labels, folds) < 0.4


def test_an_empty_fold_and_a_missing_class(labels, folds):
    folds[folds == 2] = 1
    folds[labels.numpy() == 3] = 1
    features = torch.eye(CLASSES)[labels]
    assert accuracy(features, labels, folds) == pytest.approx(0.75)


def test_it_ends_when_the_time_is_up(labels, folds):
    with pytest.raises(TimeIsUpError):
        accuracy(torch.eye(CLASSES)[labels], labels, folds, seconds=0)
