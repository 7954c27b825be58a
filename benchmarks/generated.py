"""Photos for what asks for many of them and not what they show."""

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = 10


def write_photos(
    folder: Path, count: int, size: tuple[int, int], grain: float = 0
) -> list[tuple[str, int]]:
    """Write smooth random colours, each photo different from all others.

    Args:
        size: Width and height.
        grain: Deviation of the noise on top. With 12 a photo of 500x375
            takes about as many bytes, and as long to decode, as a camera's.

    Returns:
        Of each its name below `folder`, as in an annotation file, and class.
    """
    rng = np.random.default_rng(0)
    made = []
    for i in range(CLASSES):
        (folder / f'class{i}').mkdir(parents=True)
    for i in range(count):
        colours = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        photo = Image.fromarray(colours).resize(size)
        if grain:
            noise = rng.normal(0, grain, (size[1], size[0], 1))
            noisy = (np.asarray(photo) + noise).clip(0, 255)
            photo = Image.fromarray(noisy.astype(np.uint8))
        name = f'class{i % CLASSES}/{i:07}.jpg'
        photo.save(folder / name)
        made.append((name, i % CLASSES))
    return made
