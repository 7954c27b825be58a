"""The photos that an export is checked on, and calibrated with."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from flower_mm.annotations import (
    Photo,
    describe,
    photos_folder,
    read_annotations,
    read_classes,
)
from flower_mm.config import walk
from flower_mm.errors import UserError, printable
from flower_mm.inference.model import TrainedModel
from flower_mm.layout import DatasetDir

MOST_CHECKED = 1000  # photos; their accuracy is known to a point or two
CALIBRATED = 160  # photos; more moved no range of int8 by much


@dataclass(frozen=True)
class Sample:
    """Photos of one split, and their classes."""

    files: list[Path]
    labels: list[int]
    of: int  # photos in the split


class Dataset:
    """The dataset of a model: named by the user, or else by its config.

    Args:
        trained: Whose classes it must have.
        root: What `--data-root` says.
    """

    def __init__(self, trained: TrainedModel, root: str | None) -> None:
        named = root or _named_in(trained.meta)
        if not root and not (
            named and (Path(named) / DatasetDir.CLASSES).is_file()
        ):
            raise UserError(
                'there are no photos to check the export on: the dataset of '
                'its training is not here.\nName it, or another with the same '
                'classes: --data-root FOLDER'
            )
        self.root = Path(named)
        if read_classes(self.root) != trained.classes:
            classes = printable(', '.join(trained.classes))
            raise UserError(
                f'{self.root} has other classes than the model: {classes}.\n'
                'Name the dataset of its training, or one with the same '
                'classes: --data-root FOLDER'
            )
        self.classes = trained.classes

    def held_out(self) -> Sample:
        """Photos of val, all of them or evenly chosen."""
        photos = self._photos('val')
        count = min(len(photos), MOST_CHECKED)
        return self._sample('val', evenly(photos, count), len(photos))

    def learned(self) -> Sample:
        """Some photos of train, as many of each class as of the others."""
        photos = self._photos('train')
        by_class = defaultdict(list)
        for photo in photos:
            by_class[photo.label].append(photo)
        share = max(1, CALIBRATED // len(by_class))
        chosen = [
            photo
            for _, those in sorted(by_class.items())
            for photo in evenly(those, min(len(those), share))
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

    def _sample(self, split: str, photos: list[Photo], of: int) -> Sample:
        folder = photos_folder(self.root, split)
        files = [folder / photo.name for photo in photos]
        return Sample(files, [photo.label for photo in photos], of)


def evenly(photos: list[Photo], count: int) -> list[Photo]:
    """`count` of them, the same ones each time, from the whole list."""
    return [photos[i * len(photos) // count] for i in range(count)]


def _named_in(meta: dict) -> str | None:
    """The dataset that the checkpoint's config was validated on."""
    loader = meta['cfg'].get('val_dataloader')
    roots = [part.get('data_root') for part in walk(loader)]
    return next((root for root in roots if isinstance(root, str)), None)
