"""Crops that grow, and are the same part of a shrunk photo."""

import cv2
import numpy as np
import pytest

from flower_mm.datasets.transforms import GrowingCrop


def photo(height: int, width: int) -> np.ndarray:
    """A smooth one, whose colour tells the place."""
    down = np.linspace(0, 255, height, dtype=np.float32)[:, None]
    right = np.linspace(0, 255, width, dtype=np.float32)[None]
    planes = np.broadcast_arrays(down, right, (down + right) / 2)
    return np.stack(planes, axis=-1).astype(np.uint8)


@pytest.mark.parametrize(
    ('epochs', 'sides'),
    [
        (1, [16]),
        (2, [16, 24]),
        (3, [16, 24, 32]),
        (6, [16, 16, 24, 24, 32, 32]),
        (7, [16, 16, 16, 24, 24, 32, 32]),
    ],
)
def test_each_size_has_its_part_of_the_epochs(epochs, sides):
    crop = GrowingCrop(scales=[16, 24, 32])
    found = [
        crop({'img': photo(60, 80), 'progress': epoch / epochs})['img'].shape
        for epoch in range(epochs)
    ]
    assert found == [(side, side, 3) for side in sides]


def test_the_same_part_of_a_shrunk_photo():
    crop = GrowingCrop(scales=[64], crop_ratio_range=(0.3, 1.0))
    large = photo(300, 400)
    small = cv2.resize(large, (200, 150), interpolation=cv2.INTER_AREA)
    for seed in range(50):
        parts = []
        for img in (large, small):
            np.random.seed(seed)
            found = crop({'img': img, 'progress': 0.0})['img']
            parts.append(found.astype(float))
        # Rounded to pixels of the small one, each 1.7 of 255.
        assert np.abs(parts[0] - parts[1]).max() < 4


def test_crops_lie_all_over_the_photo():
    crop = GrowingCrop(scales=[8], crop_ratio_range=(0.1, 0.2))
    np.random.seed(0)
    found = np.array(
        [crop.rand_crop_params(photo(60, 80)) for _ in range(400)]
    )
    down, right, tall, wide = found.T
    assert (down + tall <= 60).all()
    assert (right + wide <= 80).all()
    assert (down == 0).any()
    assert (down + tall == 60).any()
    assert (right + wide == 80).any()
    share = tall * wide / 60 / 80
    assert 0.09 < share.min() < 0.11
    assert 0.19 < share.max() < 0.21


def test_a_photo_too_narrow_for_any_crop():
    crop = GrowingCrop(scales=[8], crop_ratio_range=(0.9, 1.0))
    assert crop({'img': photo(4, 90), 'progress': 0.5})['img'].shape[0] == 8
