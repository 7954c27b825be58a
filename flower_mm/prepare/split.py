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
from collections import Counter, defaultdict
from dataclasses import dataclass

from flower_mm.layout import DatasetDir


@dataclass(slots=True)
class _Group:
    members: list[int]
    labels: Counter[int]  # photos of each class; several after a label error
    drawn: float
    split: str = ''
    is_recorded: bool = False  # its split is that of an earlier dataset

    @property
    def size(self) -> int:
        return len(self.members)


def draw(seed: int, sha256: bytes) -> float:
    """Return a random number in [0, 1) for a photo."""
    mixed = hashlib.sha256(f'{seed}:'.encode() + sha256).digest()
    return int.from_bytes(mixed[:8], 'big') / 2**64


def assign_splits(
    numbers: list[int],
    labels: list[int],
    shas: list[bytes],
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
    earlier = earlier or {}
    members_of = defaultdict(list)
    for i, number in enumerate(numbers):
        members_of[number].append(i)
    groups = []
    for members in members_of.values():
        # The smallest sha256, so that the order is irrelevant.
        drawn = draw(seed, min(shas[i] for i in members))
        recorded = {earlier[shas[i]] for i in members if shas[i] in earlier}
        if len(recorded) < 2:
            groups.append(_group(members, labels, drawn, *recorded))
            continue
        for split in recorded:
            same = [i for i in members if earlier.get(shas[i]) == split]
            groups.append(_group(same, labels, drawn, split))
    groups.sort(key=lambda group: group.drawn)
    _assign_groups_of_several_classes(groups, val, test)
    of_class = _by_class(groups)
    for label, own_groups in of_class.items():
        _assign_class(own_groups, label, val, test)
    for label in sorted(of_class):
        _fill_empty_splits(of_class, label, bool(test))
    splits = [''] * len(numbers)
    for group in groups:
        for i in group.members:
            splits[i] = group.split
    return splits


def _group(
    members: list[int], labels: list[int], drawn: float, split: str = ''
) -> _Group:
    of_labels = Counter(labels[i] for i in members)
    return _Group(members, of_labels, drawn, split, bool(split))


def _by_class(groups: list[_Group]) -> dict[int, list[_Group]]:
    of_class = defaultdict(list)
    for group in groups:
        for label in group.labels:
            of_class[label].append(group)
    return of_class


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
    groups: list[_Group], label: int, val: float, test: float
) -> dict[str, int]:
    """Return the photos of a class that validation and test still need."""
    assigned: Counter[str] = Counter()
    for group in groups:
        assigned[group.split] += group.labels[label]
    targets = _target_counts(assigned.total(), len(groups), val, test)
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
    groups: list[_Group], val: float, test: float
) -> None:
    """Assign these by their number, where all of their classes need them.

    They come first: groups of one class then fill the shares.
    """
    several = [g for g in groups if len(g.labels) > 1 and not g.split]
    labels = {label for group in several for label in group.labels}
    missing = {
        label: _missing_photos(own_groups, label, val, test)
        for label, own_groups in _by_class(groups).items()
        if label in labels
    }
    for group in several:
        split = 'val' if group.drawn < val else 'test'
        if val <= group.drawn < 1 - test or any(
            missing[label][split] < count
            for label, count in group.labels.items()
        ):
            split = 'train'
        group.split = split
        if split != 'train':
            for label, count in group.labels.items():
                missing[label][split] -= count


def _assign_class(
    groups: list[_Group], label: int, val: float, test: float
) -> None:
    missing = _missing_photos(groups, label, val, test)
    for split, order in (('val', groups), ('test', groups[::-1])):
        for group in order:
            # A group larger than the missing number stays in training.
            if not group.split and group.size <= missing[split]:
                group.split = split
                missing[split] -= group.size
    for group in groups:
        group.split = group.split or 'train'


def _fill_empty_splits(
    of_class: dict[int, list[_Group]], label: int, has_test: bool
) -> None:
    """Give each split of a class a group while the class has enough."""
    groups = of_class[label]
    splits = DatasetDir.SPLITS if has_test else DatasetDir.SPLITS[:2]
    for split in splits[: len(groups)]:
        if any(group.split == split for group in groups):
            continue
        # A small group, close to the number where the split begins.
        begin = {'val': 0, 'train': 0.5, 'test': 1}[split]
        spare = [
            group
            for group in groups
            if not group.is_recorded and _is_spare(group, of_class)
        ]
        if spare:
            chosen = min(spare, key=lambda g: (g.size, abs(g.drawn - begin)))
            chosen.split = split


def _is_spare(group: _Group, of_class: dict[int, list[_Group]]) -> bool:
    """Return whether its split has another group of each of its classes."""
    return all(
        any(
            other.split == group.split and other is not group
            for other in of_class[label]
        )
        for label in group.labels
    )
