"""Photos out of place are found by their features."""

import numpy as np
import pytest

from flower_mm.look.feature_map import (
    draw_map,
    find_outliers,
    similarity_to_classes,
)


def clusters(sizes: list[int], noise: float = 0.1) -> tuple:
    """Vectors of length 1 around one direction for each class."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    vectors = np.eye(len(sizes), 16)[labels] + noise * random.normal(
        size=(len(labels), 16)
    )
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), labels


def test_wrong_labels_are_closer_to_another_class():
    vectors, labels = clusters([30, 30, 30])
    wrong = labels.copy()
    wrong[[3, 40]] = 2, 0
    closer, _ = find_outliers(vectors, wrong, 3)
    assert {(outlier.index, outlier.nearest) for outlier in closer} == {
        (3, 0),
        (40, 1),
    }
    assert all(outlier.other > outlier.own for outlier in closer)
    assert find_outliers(vectors, labels, 3)[0] == []


def test_a_photo_of_something_else_is_unlike_its_class():
    vectors, labels = clusters([30, 30])
    odd = np.eye(1, 16, 9, dtype=np.float32)[0] * 0.8
    odd[0] = 0.6
    vectors[7] = odd
    closer, unlike = find_outliers(vectors, labels, 2)
    assert closer == []
    assert unlike[0].index == 7


def test_classes_of_one_photo_and_of_none():
    vectors, labels = clusters([1, 2, 12])
    table = similarity_to_classes(vectors, labels, 5)
    assert np.isnan(table[:, 3:]).all()
    assert np.isnan(table[0, 0])  # without itself, nothing is left
    assert not np.isnan(table[1:, :3]).any()
    closer, unlike = find_outliers(vectors, labels, 5)
    assert 0 not in {outlier.index for outlier in closer + unlike}


def test_the_similarity_is_that_of_the_other_photos():
    vectors = np.eye(3, dtype=np.float32)[[0, 0, 1]]
    table = similarity_to_classes(vectors, np.array([0, 0, 1]), 2)
    np.testing.assert_allclose(table[0], [1, 0])
    np.testing.assert_allclose(table[2, 0], 0)


@pytest.mark.parametrize('sizes', [[40, 40], [2, 1]])
def test_the_map_separates_classes(sizes):
    vectors, labels = clusters(sizes, noise=0.01)
    drawn = draw_map(vectors)
    assert drawn.positions.shape == (sum(sizes), 2)
    assert drawn.positions.min() >= 0
    assert drawn.positions.max() <= 1
    first = drawn.positions[labels == 0, 0]
    second = drawn.positions[labels == 1, 0]
    assert first.max() < second.min() or second.max() < first.min()
    assert 50 < drawn.explained <= 100


def test_equal_photos_have_a_map():
    drawn = draw_map(np.ones((4, 8), np.float32))
    assert np.isfinite(drawn.positions).all()
    assert drawn.explained == 0
    assert find_outliers(np.ones((4, 8), np.float32), np.arange(4), 4) == (
        [],
        [],
    )
