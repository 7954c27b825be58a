"""The photos of a split: their labels, and whether they have changed."""

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from flower_mm import photo_bytes
from flower_mm.annotations import (
    OTHER_PHOTOS,
    describe,
    lists_sha256,
    photos_folder,
    prepare_command,
    read_annotations,
    read_classes,
)
from flower_mm.errors import UserError
from flower_mm.layout import DatasetDir
from flower_mm.report.predictions import Predictions
from flower_mm.report.run_folder import Run


class LabelledPhotos(NamedTuple):
    """The photos and labels of a split."""

    photos: list[str]
    labels: list[int]
    classes: list[str]

    def are_those_of(self, predictions: Predictions) -> bool:
        return (
            predictions.photos == self.photos
            and predictions.labels.tolist() == self.labels
            and predictions.classes == self.classes
        )


def photos_of_split(root: Path | None, split: str) -> LabelledPhotos:
    """The photos of a split as the dataset lists them."""
    if not root:
        raise UserError(
            'the dataset folder is unknown. Name it: --data-root FOLDER'
        )
    classes = read_classes(root)
    if split == 'test' and not (root / DatasetDir.list_of('test')).is_file():
        raise UserError(
            f'{root} has no test split: test.txt is missing.\nMake one, and '
            'train again without its photos: '
            f'{prepare_command(root, "--test 0.15")}'
        )
    folder = photos_folder(root, split).absolute()
    photos = read_annotations(root / f'{split}.txt', folder, classes)
    return LabelledPhotos(
        [str(folder / photo.name) for photo in photos],
        [photo.label for photo in photos],
        classes,
    )


def photos_of_folds(root: Path | None) -> set[str]:
    """The photos that were split into folds, as the dataset lists them.

    predictions.csv may come from a stranger and name other files.
    """
    known = set()
    for split in ('train', 'val'):
        # Without the dataset the report has no photos.
        with suppress(UserError):
            known.update(photos_of_split(root, split).photos)
    return known


def files_sha256(photos: list[str]) -> str:
    """One hash of the sizes and times of files, without reading them.

    ctime shows replaced files whose mtime was kept (`cp -p`, unpacking). A
    copied dataset has other times, so that its photos are predicted again.
    """
    digest = hashlib.sha256()
    for photo in photos:
        try:
            state = tuple(photo_bytes.stat(photo))
        except OSError:  # prediction reports the file
            state = None
        digest.update(f'{state}\n'.encode())
    return digest.hexdigest()


def count_replaced(root: Path, split: str, photos: list[str]) -> int:
    """How many photos differ from what dataset.json lists by their names.

    Photos that dataset.json does not list are ignored here.
    """
    files = describe(root, files=True).get('files')
    hashes = files.get(split) if isinstance(files, dict) else None
    if not isinstance(hashes, dict):
        return 0
    folder = photos_folder(root, split).absolute()
    count = 0
    for photo in photos:
        sha256 = hashes.get(Path(photo).relative_to(folder).as_posix())
        if isinstance(sha256, str):
            with suppress(OSError):  # prediction reports the file
                count += photo_bytes.sha256_of(photo) != sha256
    return count


def has_changed(run: Run, root: Path) -> bool:
    """Whether today's held-out photos may have been used for training.

    A run keeps a hash of its lists of photos, not the lists.
    """
    record = run.record
    changes = record['resumed_although'] or []
    if any(line.startswith(OTHER_PHOTOS) for line in changes):
        return True
    return record['lists_sha256'] not in (None, lists_sha256(root))
