"""The photos to look at: of a dataset, or of a source that `prepare` takes."""

from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from flower_mm.annotations import (
    describe,
    photos_folder,
    read_annotations,
    read_classes,
)
from flower_mm.layout import DatasetDir
from flower_mm.prepare.photo import Photo
from flower_mm.prepare.prepare_dataset import Options
from flower_mm.prepare.sources.read_source import read_source, require_source

SEED = 0


@dataclass
class PhotoSet:
    """Photos with their classes and splits.

    Attributes:
        groups: Near-duplicates, as indices; None where nobody has searched.
        left_out: Photos that `prepare` left out or found broken, with reasons.
        kind: The format of a source; '' for a dataset.
    """

    name: str
    classes: list[str]
    photos: list[Photo]
    groups: list[list[int]] | None = None
    left_out: dict[str, str] = field(default_factory=dict)
    kind: str = ''

    @property
    def splits(self) -> list[str]:
        """The splits that have photos; [''] where the source has none."""
        known = {photo.split for photo in self.photos}
        return [split for split in (*DatasetDir.SPLITS, '') if split in known]

    def counts(self) -> np.ndarray:
        """Return the number of photos (classes, splits)."""
        column = {split: i for i, split in enumerate(self.splits)}
        table = np.zeros((len(self.classes), len(column)), int)
        for photo in self.photos:
            table[photo.label, column[photo.split]] += 1
        return table

    def of_classes(self) -> list[list[int]]:
        """Return the photos of each class, in a random order."""
        members: list[list[int]] = [[] for _ in self.classes]
        for i in np.random.default_rng(SEED).permutation(len(self.photos)):
            members[self.photos[i].label].append(int(i))
        return members

    def sample(self, count: int) -> list[int]:
        """Draw photos: one of each class, then shares of all classes."""
        places = {
            i: (place > 0, (place + 0.5) / len(members), label)
            for label, members in enumerate(self.of_classes())
            for place, i in enumerate(members)
        }
        return sorted(places, key=places.__getitem__)[:count]


def read_photo_set(path: Path, out: Path, stack: ExitStack) -> PhotoSet:
    """Read a dataset, or a source, of which archives are unpacked.

    Args:
        path: A folder or a file.
        out: Where the page will be.
        stack: Deletes the unpacked photos at its end.
    """
    lists = (DatasetDir.CLASSES, DatasetDir.list_of('train'))
    has_lists = all((path / name).is_file() for name in lists)
    if (path / DatasetDir.RECORD).is_file() or has_lists:
        return _of_dataset(path)
    require_source(path, Options())
    from flower_mm.inference.photo_files import unpacking_folder

    work = unpacking_folder(stack)
    listing = read_source(path, work, out.resolve(), Options())
    return PhotoSet(
        str(path),
        listing.classes,
        list(listing.photos),
        left_out={**listing.bad, **listing.left_out},
        kind=listing.format,
    )


def _of_dataset(root: Path) -> PhotoSet:
    classes = read_classes(root)
    photos: list[Photo] = []
    for split in DatasetDir.SPLITS:
        listed = root / DatasetDir.list_of(split)
        if not listed.is_file():
            continue
        folder = photos_folder(root, split).absolute()
        # A missing photo is shown among the broken ones.
        for name, label in read_annotations(
            listed, folder, classes, may_lack=True, root=root
        ):
            photos.append(Photo(name, str(folder / name), label, split))
    record = describe(root)
    left_out = record.get('left_out')
    return PhotoSet(
        str(root),
        classes,
        photos,
        _groups(record, photos),
        {str(name): str(why) for name, why in left_out.items()}
        if isinstance(left_out, dict)
        else {},
    )


def _groups(record: dict, photos: list[Photo]) -> list[list[int]] | None:
    """Return the near-duplicates that `prepare` found, as indices."""
    groups = record.get('equal')
    if not isinstance(groups, list):
        return None
    index = {photo.path: i for i, photo in enumerate(photos)}
    found = [
        [index[name] for name in group if name in index]
        for group in groups
        if isinstance(group, list)
        and all(isinstance(name, str) for name in group)
    ]
    return [group for group in found if len(group) > 1]


def grouped(numbers: list[int], indices: list[int]) -> list[list[int]]:
    """Return the indices whose numbers are equal, in groups of two or more."""
    members = defaultdict(list)
    for number, i in zip(numbers, indices, strict=True):
        members[number].append(i)
    return [group for group in members.values() if len(group) > 1]
