"""The split of class folders stays the same for the same seed."""

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from flower_mm.prepare.prepare_dataset import Options, prepare

# Of classes.txt, train.txt, val.txt and test.txt; a change gives the photos
# of everybody other splits.
GOLDEN = 'c36a558d65c220357e3185d66bdfb224b2a1955bb13cecac07c3641acdc76ce7'


def make_bitmaps(folder: Path) -> Path:
    """Photos whose bytes are the same with each version of Pillow."""
    for label, name in enumerate(('daisy', 'rose', 'tulip')):
        (folder / name).mkdir(parents=True)
        for number in range(14 + 3 * label):
            rng = np.random.default_rng(100 * label + number)
            colours = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            image = Image.fromarray(colours.repeat(6, 0).repeat(6, 1))
            image.save(folder / name / f'{number}.bmp')
            if number % 5 == 0:  # a near-duplicate
                image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(
                    folder / name / f'{number}_mirrored.bmp'
                )
    return folder


def test_the_lists_have_the_same_bytes(tmp_path):
    photos = make_bitmaps(tmp_path / 'photos')
    out = tmp_path / 'out'
    assert prepare(photos, out, Options(val=0.2, test=0.1, seed=7))
    lists = b''.join(
        (out / f'{name}.txt').read_bytes()
        for name in ('classes', 'train', 'val', 'test')
    )
    assert hashlib.sha256(lists).hexdigest() == GOLDEN
