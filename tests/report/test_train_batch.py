"""The picture of augmented training photos."""

import numpy as np
from PIL import Image

from flower_mm.layout import RunDir
from flower_mm.report.train_batch import (
    read_train_batch,
    write_train_batch,
)


def test_photos_are_laid_side_by_side(tmp_path):
    photos = [np.full((224, 224, 3), 12 * n, np.uint8) for n in range(20)]
    write_train_batch(photos, tmp_path / RunDir.TRAIN_BATCH)
    with Image.open(tmp_path / RunDir.TRAIN_BATCH) as image:
        assert image.size == (8 * 112, 2 * 112)
        for n in (0, 7, 8, 15):
            place = (n % 8 * 112 + 56, n // 8 * 112 + 56)
            assert abs(image.getpixel(place)[0] - 12 * n) <= 2
    assert read_train_batch(tmp_path).startswith(b'\xff\xd8')


def test_normalised_photos_are_stretched(tmp_path):
    photo = np.linspace(-2, 2, 3 * 32 * 32).reshape(32, 32, 3)
    write_train_batch(
        [photo.astype(np.float32)], tmp_path / RunDir.TRAIN_BATCH
    )
    with Image.open(tmp_path / RunDir.TRAIN_BATCH) as image:
        low, high = image.convert('L').getextrema()
    assert low < 20
    assert high > 235


def test_other_files_are_ignored(tmp_path):
    assert read_train_batch(tmp_path) is None
    for content in (b'', b'\xff\xd8 no photo', b'<svg onload="x"/>'):
        (tmp_path / RunDir.TRAIN_BATCH).write_bytes(content)
        assert read_train_batch(tmp_path) is None
    Image.new('RGB', (5000, 5000)).save(tmp_path / RunDir.TRAIN_BATCH, 'JPEG')
    assert read_train_batch(tmp_path) is None
    Image.new('RGB', (50, 50)).save(tmp_path / RunDir.TRAIN_BATCH, 'PNG')
    assert read_train_batch(tmp_path) is None
