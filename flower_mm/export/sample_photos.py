"""The photos that an export is verified on, and calibrated with."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from flower_mm.annotations import (
    Photo,
    describe,
    photos_folder,
    read_annotations,
    read_classes,
)
from flower_mm.config import walk
from flower_mm.decoding import ORIENTATION
from flower_mm.errors import UserError, printable
from flower_mm.inference.model import TrainedModel
from flower_mm.layout import DatasetDir

MAX_PHOTOS = 1000  # their accuracy is exact to one or two points
CALIBRATED = 160  # photos; more changed the ranges of int8 little
SIDES = (300, 260)  # pixels of the photos for decoding
MIRROR = Image.Transpose.FLIP_LEFT_RIGHT


@dataclass(frozen=True)
class Sample:
    """Photos of one split, and their classes."""

    files: list[Path]
    labels: list[int]
    total: int  # photos in the split


class Dataset:
    """The dataset of a model: named by the user, or else by its config.

    Args:
        trained: The model, whose classes it must have.
        root: The value of --data-root.
    """

    def __init__(self, trained: TrainedModel, root: str | None) -> None:
        named = root or _named_in(trained.meta)
        if not named or not (
            root or (Path(named) / DatasetDir.CLASSES).is_file()
        ):
            raise UserError(
                'photos to verify the export are missing: expected the '
                f'dataset of the training, {named or "which is unknown"}.\n'
                'Name it, or another one with the same classes: '
                '--data-root FOLDER'
            )
        self.root = Path(named)
        if read_classes(self.root) != trained.classes:
            classes = printable(', '.join(trained.classes))
            raise UserError(
                f'{self.root} has other classes than the model: expected '
                f'{classes}.\nName the dataset of the training, or one with '
                'the same classes: --data-root FOLDER'
            )
        self.classes = trained.classes

    def held_out(self) -> Sample:
        """Validation photos, all of them or evenly chosen."""
        photos = self._photos('val')
        return self._sample('val', evenly(photos, MAX_PHOTOS), len(photos))

    def calibration(self) -> Sample:
        """Some training photos, equally many of each class."""
        photos = self._photos('train')
        by_class = defaultdict(list)
        for photo in photos:
            by_class[photo.label].append(photo)
        count = max(1, CALIBRATED // len(by_class))
        chosen = [
            photo
            for _, members in sorted(by_class.items())
            for photo in evenly(members, count)
        ]
        return self._sample('train', chosen, len(photos))

    @property
    def sha256(self) -> str | None:
        return describe(self.root).get('sha256')

    def _photos(self, split: str) -> list[Photo]:
        return read_annotations(
            self.root / DatasetDir.list_of(split),
            photos_folder(self.root, split),
            self.classes,
        )

    def _sample(self, split: str, photos: list[Photo], total: int) -> Sample:
        folder = photos_folder(self.root, split)
        files = [folder / photo.name for photo in photos]
        return Sample(files, [photo.label for photo in photos], total)


def evenly(photos: list[Photo], count: int) -> list[Photo]:
    """At most `count` photos at equal distances in the list."""
    count = min(count, len(photos))
    return [photos[i * len(photos) // count] for i in range(count)]


def _named_in(meta: dict) -> str | None:
    """The validation dataset in the checkpoint's config."""
    loader = meta['cfg'].get('val_dataloader')
    roots = [part.get('data_root') for part in walk(loader)]
    return next((root for root in roots if isinstance(root, str)), None)


def decoding_photos() -> Iterator[tuple[str, bytes]]:
    """Yield kinds of photos that programs decode differently, with files."""
    rotated = Image.Exif()
    rotated[ORIENTATION] = 6
    ramp = Image.linear_gradient('L').resize(SIDES)
    disc = Image.radial_gradient('L').resize(SIDES)
    colour = Image.merge('RGB', (ramp, disc, ramp.transpose(MIRROR)))
    alpha = Image.merge('RGBA', (*colour.split(), disc))
    deep = Image.fromarray(np.asarray(ramp).astype(np.uint16) * 257)
    yield 'rotated JPEG', _encoded(colour, 'JPEG', exif=rotated)
    yield 'CMYK JPEG', _encoded(colour.convert('CMYK'), 'JPEG')
    yield 'grey JPEG', _encoded(ramp, 'JPEG')
    yield 'rotated PNG', _encoded(colour, 'PNG', exif=rotated)
    yield 'rotated TIFF', _encoded(colour, 'TIFF', exif=rotated)
    yield 'transparent PNG', _encoded(alpha, 'PNG')
    yield 'transparent TIFF', _encoded(alpha, 'TIFF')
    yield 'transparent grey PNG', _encoded(alpha.convert('LA'), 'PNG')
    palette = colour.quantize(16)
    yield (
        'palette PNG with transparency',
        _encoded(palette, 'PNG', transparency=3),
    )
    yield '16-bit grey PNG', _encoded(deep, 'PNG')
    yield '16-bit grey TIFF', _encoded(deep, 'TIFF')
    frames = {'save_all': True, 'append_images': [colour.transpose(MIRROR)]}
    yield 'animated GIF', _encoded(palette, 'GIF', **frames)


def _encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
