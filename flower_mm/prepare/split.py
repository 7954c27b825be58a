"""Which photo is for training and which is held out.

Every group of duplicates draws a number between 0 and 1 from the seed and its
content. In each class, validation takes the groups with the lowest numbers
until it has its share, the test takes those with the highest numbers, and
training takes the others.

What an earlier dataset.json says about a photo always holds: new photos fill
the shares. Without such a record, a few photos next to the border between two
sides change sides when photos are added.
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
    side: str = ''
    is_recorded: bool = False  # an earlier dataset says where it belongs

    @property
    def size(self) -> int:
        return len(self.members)


def draw(seed: int, sha256: bytes) -> float:
    mixed = hashlib.sha256(f'{seed}:'.encode() + sha256).digest()
    return int.from_bytes(mixed[:8], 'big') / 2**64


def split(
    groups: list[int],
    labels: list[int],
    shas: list[bytes],
    val: float,
    test: float,
    seed: int,
    earlier: dict[bytes, str] | None = None,
) -> list[str]:
    """Give each photo its side; '' where it has to be left out.

    `earlier` maps the sha256 of photos to the side they must keep. A new
    photo that duplicates old ones follows them. When it duplicates old ones
    on two sides, it would leak on either: it is left out.
    """
    earlier = earlier or {}
    members_of = defaultdict(list)
    for i, number in enumerate(groups):
        members_of[number].append(i)
    placed = []
    for members in members_of.values():
        # The smallest sha256 stands for the group, whatever its order.
        drawn = draw(seed, min(shas[i] for i in members))
        recorded = {earlier[shas[i]] for i in members if shas[i] in earlier}
        if len(recorded) < 2:
            placed.append(_group(members, labels, drawn, *recorded))
            continue
        for side in recorded:
            same = [i for i in members if earlier.get(shas[i]) == side]
            placed.append(_group(same, labels, drawn, side))
    placed.sort(key=lambda group: group.drawn)
    _place_groups_of_several_classes(placed, val, test)
    of_class = defaultdict(list)
    for group in placed:
        for label in group.labels:
            of_class[label].append(group)
    for label, of_one in of_class.items():
        _place_class(of_one, label, val, test)
    for label in sorted(of_class):
        _fill_empty_sides(of_class, label, bool(test))
    sides = [''] * len(groups)
    for group in placed:
        for i in group.members:
            sides[i] = group.side
    return sides


def _group(
    members: list[int], labels: list[int], drawn: float, side: str = ''
) -> _Group:
    of_labels = Counter(labels[i] for i in members)
    return _Group(members, of_labels, drawn, side, bool(side))


def wanted(
    photos: int, groups: int, val: float, test: float
) -> dict[str, int]:
    """Photos of a class for validation and test: the shares, rounded.

    Where the class has enough groups, every side gets at least one photo:
    training first, then validation, then the test.
    """
    shares = {'val': val, 'test': test if groups > 2 else 0}
    counts = {
        side: max(1, math.floor(photos * share + 0.5))
        if share and groups > 1
        else 0
        for side, share in shares.items()
    }
    while sum(counts.values()) >= max(photos, 1):
        # Leave one for training; the side furthest above its share gives it.
        side = max(
            (side for side in counts if counts[side] > 1),
            key=lambda side: counts[side] - photos * shares[side],
        )
        counts[side] -= 1
    return counts


def _missing(
    groups: list[_Group], label: int, val: float, test: float
) -> dict[str, int]:
    """Photos that validation and test still need of a class."""
    on = Counter()
    for group in groups:
        on[group.side] += group.labels[label]
    missing = {
        side: max(0, count - on[side])
        for side, count in wanted(on.total(), len(groups), val, test).items()
    }
    total = sum(missing.values())
    if total > on['']:  # too few new photos: both get their part
        missing['val'] = math.floor(on[''] * missing['val'] / total + 0.5)
        missing['test'] = on[''] - missing['val']
    return missing


def _place_groups_of_several_classes(
    placed: list[_Group], val: float, test: float
) -> None:
    """Place these by their number alone, where all classes need them.

    They come first: groups of one class then make up for what they lack.
    """
    of_class = defaultdict(list)
    several = [g for g in placed if len(g.labels) > 1 and not g.side]
    labels = {label for group in several for label in group.labels}
    for group in placed:
        for label in labels & group.labels.keys():
            of_class[label].append(group)
    missing = {
        label: _missing(of_one, label, val, test)
        for label, of_one in of_class.items()
    }
    for group in several:
        side = 'val' if group.drawn < val else 'test'
        if val <= group.drawn < 1 - test or any(
            missing[label][side] < count
            for label, count in group.labels.items()
        ):
            side = 'train'
        group.side = side
        if side != 'train':
            for label, count in group.labels.items():
                missing[label][side] -= count


def _place_class(
    groups: list[_Group], label: int, val: float, test: float
) -> None:
    """Give each group of a class that has no side yet its side."""
    missing = _missing(groups, label, val, test)
    for side, order in (('val', groups), ('test', groups[::-1])):
        for group in order:
            # A group larger than what is missing stays in training.
            if not group.side and group.size <= missing[side]:
                group.side = side
                missing[side] -= group.size
    for group in groups:
        group.side = group.side or 'train'


def _fill_empty_sides(
    of_class: dict[int, list[_Group]], label: int, has_test: bool
) -> None:
    """Leave no side of a class empty while it has enough groups."""
    groups = of_class[label]
    sides = DatasetDir.SPLITS if has_test else DatasetDir.SPLITS[:2]
    for side in sides[: len(groups)]:
        if any(group.side == side for group in groups):
            continue
        # A small group, close to where `side` begins to take its groups.
        begin = {'val': 0, 'train': 0.5, 'test': 1}[side]
        spare = [
            group
            for group in groups
            if not group.is_recorded and _is_spare(group, of_class)
        ]
        if spare:
            min(
                spare, key=lambda g: (g.size, abs(g.drawn - begin))
            ).side = side


def _is_spare(group: _Group, of_class: dict[int, list[_Group]]) -> bool:
    """Whether its side keeps another group of each of its classes."""
    return all(
        any(
            other.side == group.side and other is not group
            for other in of_class[label]
        )
        for label in group.labels
    )
