"""The photos of a prepared dataset, of all splits."""

from dataclasses import dataclass
from pathlib import Path

from flower_mm.annotations import photos_folder, read_annotations
from flower_mm.errors import UserError
from flower_mm.layout import DatasetDir
from flower_mm.prepare import dataset_json
from flower_mm.prepare.apply_corrections import reviewed_before
from flower_mm.prepare.corrections import Key


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo with its label."""

    split: str
    name: str  # class/name
    label: int
    file: str
    sha256: str  # as dataset.json lists it, or ''

    @property
    def key(self) -> Key:
        return self.split, self.name


@dataclass(frozen=True)
class ReviewedDataset:
    """The photos of a dataset.

    Attributes:
        near_duplicates: Groups of near-duplicates, as indices of the photos.
        reviewed: The hashes of photos that were reviewed in an earlier
            version.
        conflicts: How many photos `prepare` left out because an identical
            one has another class.
    """

    root: Path
    classes: list[str]
    photos: list[Photo]
    near_duplicates: list[list[int]]
    reviewed: frozenset[str]
    conflicts: int

    def group_numbers(self) -> list[int]:
        """Number near-duplicates alike."""
        numbers = list(range(len(self.photos)))
        for group in self.near_duplicates:
            for i in group:
                numbers[i] = group[0]
        return numbers


def read_dataset(root: Path) -> ReviewedDataset:
    record = dataset_json.load(root)
    classes = record['classes']
    photos = []
    for split, hashes in record['files'].items():
        if not hashes:
            continue
        folder = photos_folder(root, split).absolute()
        photos += [
            Photo(
                split,
                photo.name,
                photo.label,
                str(folder / photo.name),
                hashes.get(photo.name, ''),
            )
            for photo in read_annotations(
                root / DatasetDir.list_of(split), folder, classes, root=root
            )
        ]
    if len(photos) < 2:
        raise UserError(f'{root} has too few photos to review')
    left_out = record.get('left_out')
    return ReviewedDataset(
        root,
        classes,
        photos,
        _groups(record.get('equal'), photos),
        frozenset(reviewed_before(record)),
        sum(
            str(reason).startswith('conflict')
            for reason in (
                left_out.values() if isinstance(left_out, dict) else ()
            )
        ),
    )


def _groups(equal: object, photos: list[Photo]) -> list[list[int]]:
    """Return groups of two or more; each photo is in one at most."""
    places: dict[str, list[int]] = {}
    for i, photo in enumerate(photos):
        places.setdefault(photo.name, []).append(i)
    groups = []
    for group in equal if isinstance(equal, list) else []:
        members = [
            i
            for name in (group if isinstance(group, list) else [])
            if isinstance(name, str)
            for i in places.pop(name, [])
        ]
        if len(members) > 1:
            groups.append(members)
    return groups
