"""Are the photos much smaller or larger than what the model sees?"""

import warnings
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from flower_mm.doctor.case import Case
from flower_mm.doctor.finding import Finding, note, warn
from flower_mm.prepare.scan import FORMATS

SAMPLE = 200  # photos whose headers are read
MOST_PIXELS = 4000  # a side
MOST_BYTES = 5_000_000


def check(case: Case) -> Iterator[Finding]:
    split = case.splits['train_dataloader']
    step = -(-len(split.photos) // SAMPLE)
    sample = split.photos[::step]
    seen = max(case.size)
    small, large = [], []
    for photo in sample:
        try:
            sides = _sides(photo)
            heavy = Path(photo).stat().st_size > MOST_BYTES
        except (OSError, ValueError, SyntaxError):
            continue  # not there or broken, which is told elsewhere
        if min(sides) < seen / 2:
            small.append((photo, sides))
        elif max(sides) > MOST_PIXELS or heavy:
            large.append((photo, sides))
    where = case.list_of('train_dataloader')
    if small:
        photo, (width, height) = small[0]
        # A few are what a collection has.
        level = warn if 2 * len(small) > len(sample) else note
        yield level(
            f'{_share(small, sample)} are less than half as large as the '
            f'{seen} pixels that the model sees, such as {photo} ({width} x '
            f'{height}): they are blown up.',
            where,
            'take larger photos, or a smaller scale and crop_size in the '
            'pipelines, which is faster as well',
        )
    if large:
        photo, (width, height) = large[0]
        level = warn if 10 * len(large) > len(sample) else note
        yield level(
            f'{_share(large, sample)} are much larger than the {seen} pixels '
            f'that the model sees, such as {photo} ({width} x {height}, '
            f'{Path(photo).stat().st_size / 1e6:.1f} MB): each epoch reads '
            'all of it.',
            where,
            'shrink copies of them, say to 1024 pixels a side, and prepare '
            'those',
        )


def _sides(photo: str) -> tuple[int, int]:
    """Width and height by the header alone."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        with Image.open(photo, formats=FORMATS) as image:
            return image.size


def _share(some: list, sample: list) -> str:
    return f'{len(some)} of {len(sample)} photos looked at'
