"""Validation photos that decide in a search, and those that measure.

The accuracy of the best of many trials is too high on the photos that chose
it. Half of the val split chooses epochs and trials; the other half measures
the winner. A fixed hash deals the photos, class by class; near-duplicates stay
together.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flower_mm.annotations import describe
from flower_mm.errors import UserError
from flower_mm.report.evaluated_photos import LabelledPhotos, photos_of_split
from flower_mm.report.metrics import wilson

HALF = 10  # photos in each half, at least


@dataclass(frozen=True)
class ValidationHalves:
    """The val split: photos, and the indices of both halves."""

    photos: LabelledPhotos
    deciding: list[int]
    measuring: list[int]


def split_validation(root: Path) -> ValidationHalves:
    """Deal the val photos into two halves."""
    val = photos_of_split(root, 'val')
    first = _first_duplicates(root)
    groups: dict[tuple[int, str], list[int]] = {}
    for index, (photo, label) in enumerate(
        zip(val.photos, val.labels, strict=True)
    ):
        name = '/'.join(Path(photo).parts[-2:])
        groups.setdefault((label, first.get(name, name)), []).append(index)
    halves: tuple[list[int], list[int]] = ([], [])
    sizes: Counter[tuple[int, int]] = Counter()
    for label, name in sorted(groups, key=_hashed):
        # Of an odd number, every other class gives the measuring half more.
        smaller = min(
            (label % 2, 1 - label % 2), key=lambda half: sizes[half, label]
        )
        halves[smaller].extend(groups[label, name])
        sizes[smaller, label] += len(groups[label, name])
    if min(map(len, halves)) < HALF:
        raise UserError(
            f'too few val photos for a search: expected at least {2 * HALF}, '
            f'half to decide and half to measure, got {len(val.photos)} in '
            f'{root}.\nPrepare a larger split: flower-mm prepare … --val 0.3'
        )
    return ValidationHalves(val, *map(sorted, halves))


def _hashed(group: tuple[int, str]) -> tuple[int, bytes]:
    label, name = group
    return label, hashlib.sha256(name.encode()).digest()


def _first_duplicates(root: Path) -> dict[str, str]:
    """Return the first of its group for each near-duplicate."""
    groups = describe(root).get('equal')
    if not isinstance(groups, list):
        return {}
    return {
        str(name): str(group[0])
        for group in groups
        if isinstance(group, list) and group
        for name in group
    }


def measure(
    checkpoint: Path, halves: ValidationHalves, device: str
) -> np.ndarray:
    """Return for each measuring photo whether the prediction is correct."""
    from flower_mm.report.predictor import Predictor

    photos, labels = halves.photos.photos, halves.photos.labels
    predictions = Predictor(checkpoint, device).predict(
        [photos[i] for i in halves.measuring],
        [labels[i] for i in halves.measuring],
    )
    return predictions.correct


def interval(correct: float, photos: int) -> list[float]:
    """Return Wilson's 95 % interval of a mean number of correct photos."""
    return wilson(correct, photos) or [0.0, 100.0]
