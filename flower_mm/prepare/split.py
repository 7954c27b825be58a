"""Assign photos to the training, validation and test split.

Each group of near-duplicates draws a number between 0 and 1 from the seed and
its content. In each class, validation takes the groups with the lowest
numbers until it has its share, test those with the highest numbers, and
training the others.

Photos of an earlier dataset.json keep their split, and new photos fill the
shares. Without such a record, a few photos next to the border between two
splits change their split when photos are added.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from flower_mm.layout import DatasetDir

# The number of a split in `_Groups`; 0 stands for none.
_NAMES = ('', *DatasetDir.SPLITS)
_NUMBER = {name: number for number, name in enumerate(_NAMES)}


class _Groups:
    """Groups of photos in the order of their random numbers, as columns.

    Objects would take a kilobyte for each photo.
    """

    def __init__(
        self,
        of_photo: np.ndarray,  # the group of each photo, -1 for none
        labels: np.ndarray,
        shas: np.ndarray,
        recorded: np.ndarray,  # the split of each photo, 0 for none
        seed: int,
    ) -> None:
        # The first of a group has the smallest sha256, so that the order of
        # the photos is irrelevant.
        photos = np.lexsort((shas, of_photo))
        photos = photos[of_photo[photos] >= 0]
        groups, begins, sizes = np.unique(
            of_photo[photos], return_index=True, return_counts=True
        )
        drawn = np.array(
            [draw(seed, _padded(shas[i])) for i in photos[begins].tolist()]
        )
        order = np.argsort(drawn, kind='stable')
        begins = begins[order]
        ends = begins + sizes[order]
        self.drawn, self.size = drawn[order], sizes[order]
        rank = np.full(len(of_photo) + 1, -1)
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        rank[photos] = np.repeat(place, sizes)
        self.of_photo = rank[:-1]
        # The class, or the photos of each class after a label error.
        self.label = labels[photos[begins]]
        self.several = {
            g: Counter(labels[photos[begins[g] : ends[g]]].tolist())
            for g in np.flatnonzero(self.size > 1).tolist()
        }
        self.several = {g: c for g, c in self.several.items() if len(c) > 1}
        # That of an earlier dataset.
        self.split = np.zeros(len(groups), np.int8)
        np.maximum.at(self.split, self.of_photo[photos], recorded[photos])
        self.is_recorded = self.split > 0

    def labels(self, group: int) -> dict[int, int]:
        """Return the classes of a group, and its photos of each."""
        return self.several.get(
            group, {int(self.label[group]): int(self.size[group])}
        )

    def by_class(self) -> dict[int, np.ndarray]:
        """Return the groups with photos of each class."""
        of_class: dict[int, np.ndarray] = {}
        order = np.argsort(self.label, kind='stable')
        labels, begins = np.unique(self.label[order], return_index=True)
        for label, own in zip(
            labels.tolist(), np.split(order, begins[1:]), strict=True
        ):
            of_class[label] = own
        for group, counts in self.several.items():
            for label in counts:
                others = of_class.get(label, np.empty(0, order.dtype))
                of_class[label] = np.union1d(others, [group])
        return of_class


def _padded(sha256: bytes) -> bytes:
    return sha256.ljust(32, b'\0')  # numpy drops zeros at the end


def draw(seed: int, sha256: bytes) -> float:
    """Return a random number in [0, 1) for a photo."""
    mixed = hashlib.sha256(f'{seed}:'.encode() + sha256).digest()
    return int.from_bytes(mixed[:8], 'big') / 2**64


def assign_splits(
    numbers: Sequence[int] | np.ndarray,
    labels: Sequence[int] | np.ndarray,
    shas: Sequence[bytes] | np.ndarray,
    val: float,
    test: float,
    seed: int,
    earlier: dict[bytes, str] | None = None,
) -> list[str]:
    """Return the split of each photo, '' where it has to be left out.

    Photos with the same group number stay together. `earlier` maps the
    sha256 of photos to the split that they keep. A new near-duplicate of such
    photos follows them. If they are in two splits, it would leak in either
    one: it is left out.
    """
    if not len(numbers):
        return []
    of_photo, labels = np.asarray(numbers), np.asarray(labels)
    shas = np.asarray(shas, 'S32')
    recorded = np.zeros(len(shas), np.int8)
    if earlier:
        for i, sha256 in enumerate(shas):
            recorded[i] = _NUMBER[earlier.get(_padded(sha256), '')]
        of_photo = _separate(of_photo, recorded)
    groups = _Groups(of_photo, labels, shas, recorded, seed)
    _assign_groups_of_several_classes(groups, val, test)
    of_class = groups.by_class()
    for label, own in of_class.items():
        _assign_class(groups, own, label, val, test)
    for label in sorted(of_class):
        _fill_empty_splits(groups, of_class, label, bool(test))
    splits = np.append(groups.split, 0)[groups.of_photo]
    return [_NAMES[number] for number in splits.tolist()]


def _separate(of_photo: np.ndarray, recorded: np.ndarray) -> np.ndarray:
    """Separate groups whose photos are recorded in several splits.

    The photos of each split become a group; new ones belong to none.
    """
    numbers, of_photo = np.unique(of_photo, return_inverse=True)
    has = np.zeros((len(numbers), len(_NAMES)), bool)
    has[of_photo, recorded] = True
    is_apart = has[:, 1:].sum(1) > 1
    apart = np.where(
        recorded > 0, len(numbers) + len(_NAMES) * of_photo + recorded, -1
    )
    return np.where(is_apart[of_photo], apart, of_photo)


def _target_counts(
    photos: int, groups: int, val: float, test: float
) -> dict[str, int]:
    """Return the photos of a class for validation and test: rounded shares.

    With enough groups, each split gets at least one photo: training first,
    then validation, then test.
    """
    shares = {'val': val, 'test': test if groups > 2 else 0}
    counts = {
        split: max(1, math.floor(photos * share + 0.5))
        if share and groups > 1
        else 0
        for split, share in shares.items()
    }
    while sum(counts.values()) >= max(photos, 1):
        # Training needs one; it comes from the split furthest above its share.
        split = max(
            (split for split in counts if counts[split] > 1),
            key=lambda split: counts[split] - photos * shares[split],
        )
        counts[split] -= 1
    return counts


def _missing_photos(
    groups: _Groups, own: np.ndarray, label: int, val: float, test: float
) -> dict[str, int]:
    """Return the photos of a class that validation and test still need."""
    photos = groups.size[own]
    for k in np.flatnonzero(np.isin(own, list(groups.several))).tolist():
        photos[k] = groups.several[int(own[k])][label]
    counts = np.bincount(groups.split[own], photos, len(_NAMES)).astype(int)
    assigned = dict(zip(_NAMES, counts.tolist(), strict=True))
    targets = _target_counts(sum(assigned.values()), len(own), val, test)
    missing = {
        split: max(0, count - assigned[split])
        for split, count in targets.items()
    }
    total, new = sum(missing.values()), assigned['']
    if total > new:  # too few new photos: both get their part
        missing['val'] = math.floor(new * missing['val'] / total + 0.5)
        missing['test'] = new - missing['val']
    return missing


def _assign_groups_of_several_classes(
    groups: _Groups, val: float, test: float
) -> None:
    """Assign these by their number, where all of their classes need them.

    They come first: groups of one class then fill the shares.
    """
    several = [g for g in sorted(groups.several) if not groups.split[g]]
    labels = {label for group in several for label in groups.several[group]}
    missing = {
        label: _missing_photos(groups, own, label, val, test)
        for label, own in groups.by_class().items()
        if label in labels
    }
    for group in several:
        drawn, counts = groups.drawn[group], groups.several[group]
        split = 'val' if drawn < val else 'test'
        if val <= drawn < 1 - test or any(
            missing[label][split] < count for label, count in counts.items()
        ):
            split = 'train'
        groups.split[group] = _NUMBER[split]
        if split != 'train':
            for label, count in counts.items():
                missing[label][split] -= count


def _assign_class(
    groups: _Groups, own: np.ndarray, label: int, val: float, test: float
) -> None:
    missing = _missing_photos(groups, own, label, val, test)
    for split, order in (('val', own), ('test', own[::-1])):
        for group in order.tolist():
            if not missing[split]:
                break
            size = int(groups.size[group])
            # A group larger than the missing number stays in training.
            if not groups.split[group] and size <= missing[split]:
                groups.split[group] = _NUMBER[split]
                missing[split] -= size
    groups.split[own[groups.split[own] == 0]] = _NUMBER['train']


def _fill_empty_splits(
    groups: _Groups,
    of_class: dict[int, np.ndarray],
    label: int,
    has_test: bool,
) -> None:
    """Give each split of a class a group while the class has enough."""
    own = of_class[label]
    splits = DatasetDir.SPLITS if has_test else DatasetDir.SPLITS[:2]
    for split in splits[: len(own)]:
        if (groups.split[own] == _NUMBER[split]).any():
            continue
        # A small group, close to the number where the split begins.
        begin = {'val': 0, 'train': 0.5, 'test': 1}[split]
        spare = [
            group
            for group in own[~groups.is_recorded[own]].tolist()
            if _is_spare(groups, group, of_class)
        ]
        if spare:
            chosen = min(
                spare,
                key=lambda g: (groups.size[g], abs(groups.drawn[g] - begin)),
            )
            groups.split[chosen] = _NUMBER[split]


def _is_spare(
    groups: _Groups, group: int, of_class: dict[int, np.ndarray]
) -> bool:
    """Return whether its split has another group of each of its classes."""
    return all(
        (groups.split[of_class[label]] == groups.split[group]).sum() > 1
        for label in groups.labels(group)
    )
