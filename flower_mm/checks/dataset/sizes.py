"""Are the photos, or those kept decoded, of the size that the model sees?"""

import warnings
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import ConfigDict
from PIL import Image

from flower_mm.checks.case import Case, sizes_of
from flower_mm.checks.finding import Finding, note, warn
from flower_mm.checks.remedy import option
from flower_mm.config import LOADERS, walk
from flower_mm.datasets.decoded_cache import require_side
from flower_mm.decoding import FORMATS

SIDE = 320  # pixels, the side that our configs keep
SAMPLE = 200  # photos whose headers are read
MOST_PIXELS = 4000  # a side
MOST_BYTES = 5_000_000


def check(case: Case) -> Iterator[Finding]:
    yield from _kept(case)
    yield from _photos(case)


def _kept(case: Case) -> Iterator[Finding]:
    """Photos that are kept decoded, smaller than they are asked for."""
    for loader in LOADERS:
        if not case.cfg.get(loader):
            continue
        for place, dataset in case.flowers(loader):
            side = require_side(dataset.get('decode_once'))
            wanted = _wanted(dataset)
            if 0 < side < wanted:
                yield warn(
                    f'The photos of {loader.removesuffix("_dataloader")} are '
                    f'kept with a shorter side of {side} pixels, and the '
                    f'pipeline makes {wanted} of them: they are blown up.',
                    f'{place}.decode_once',
                    option(f'{place}.decode_once', max(SIDE, wanted)),
                )


def _wanted(dataset: ConfigDict) -> int:
    """The shorter side of the largest size that the pipeline asks for."""
    found = [0]
    for step in walk(dataset.get('pipeline') or []):
        kind = str(step.get('type'))
        if 'Crop' not in kind and 'Resize' not in kind:
            continue
        if step.get('edge', 'short') != 'short':
            continue  # the shorter side is what comes of it
        for size in sizes_of(step):
            # -1 is left open.
            found.append(min([s for s in size if s > 0], default=0))
    return max(found)


def _photos(case: Case) -> Iterator[Finding]:
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
