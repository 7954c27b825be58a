"""What MMPretrain leaves out, and what takes it longer."""

import cv2
import numpy as np
import pytest
from mmpretrain.datasets.transforms import ColorJitter

from flower_mm.datasets.transforms import GrowingCrop, QuickJitter


def photo(height: int, width: int) -> np.ndarray:
    """A smooth photo whose colours encode the position."""
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


@pytest.mark.parametrize(
    ('settings', 'most'),
    [
        ({'brightness': 0.5}, 1),
        ({'contrast': 0.5}, 1),
        ({'saturation': 0.5}, 1),
        # A step of the hue, of 256 here and in Pillow.
        ({'hue': (0.0, 0.5)}, 6),
        # Each of the steps rounds.
        ({'brightness': 0.4, 'contrast': 0.4, 'saturation': 0.4}, 5),
    ],
)
def test_quick_jitter_equals_color_jitter(settings, most):
    ours, theirs = QuickJitter(**settings), ColorJitter(**settings)
    changed = 0
    for seed in range(20):
        rng = np.random.RandomState(seed)
        noise = rng.randint(0, 256, (40, 50, 3)).astype(np.uint8)
        image = np.flip(cv2.GaussianBlur(noise, (0, 0), 3), axis=1)
        found = []
        for jitter in (ours, theirs):
            np.random.seed(seed)
            found.append(jitter({'img': image.copy()})['img'].astype(int))
        assert np.abs(found[0] - found[1]).max() <= most
        changed += not np.array_equal(found[0], image)
    assert changed > 15  # a factor may be as good as 1


def test_quick_jitter_turns_hues_both_ways():
    """mmcv's step takes no negative turn with numpy 2."""
    red = np.full((4, 4, 3), (0, 0, 200), np.uint8)
    there = QuickJitter(hue=(1 / 3, 1 / 3))({'img': red})['img']
    back = QuickJitter(hue=(-1 / 3, -1 / 3))({'img': red})['img']
    assert there[0, 0].tolist() == pytest.approx([0, 200, 0], abs=6)
    assert back[0, 0].tolist() == pytest.approx([200, 0, 0], abs=6)
