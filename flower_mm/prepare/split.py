"""Which photo is for training and which is held out.

Every group of equal photos draws a number between 0 and 1 from the seed and
its content. Below `val` it is for validation, from `1 - test` up for the
test, between them for training. The number knows nothing of other photos, so
adding some moves none of the old ones.

Chance alone would give a class of ten photos no validation photo one time in
nine. So a class whose share is off by more than `slack` photos is mended with
the groups that drew closest to the border. Only this can ever move an old
photo, and only while nobody recorded its side: what an earlier dataset.json
says about a photo always holds.
"""

import hashlib
import math
from collections import Counter, defaultdict
from dataclasses import dataclass

SIDES = ('train', 'val', 'test')
# A narrow slack means a closer share, and more old photos moved when photos
# are added without a record. At 1.5 deviations of chance one class in ten has
# a photo moved (with 5 points alone one in four), none from 500 photos up.
SPREAD, POINTS = 1.5, 0.05


@dataclass(slots=True)
class _Group:
    members: list[int]
    drawn: float
    side: str
    free: bool  # no earlier dataset says where it belongs

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
    photo that equals old ones follows them. When it equals old ones on two
    sides, it would leak on either: it is left out.
    """
    earlier = earlier or {}
    members_of = defaultdict(list)
    for i, number in enumerate(groups):
        members_of[number].append(i)
    sides = [''] * len(groups)
    of_class = defaultdict(list)
    for members in members_of.values():
        kept = {earlier[shas[i]] for i in members if shas[i] in earlier}
        if len(kept) > 1:
            for i in members:
                sides[i] = earlier.get(shas[i], '')
            continue
        # The smallest sha256 stands for the group: any order gives it.
        drawn = draw(seed, min(shas[i] for i in members))
        side = kept.pop() if kept else _side(drawn, val, test)
        free = not any(shas[i] in earlier for i in members)
        # Only a photo that is kept under two classes has more than one.
        label = min(labels[i] for i in members)
        of_class[label].append(_Group(members, drawn, side, free))
    for of_one in of_class.values():
        _mend(of_one, 'val', val)
        _mend(of_one, 'test', test)
        _fill(of_one, ['train', 'val', 'test'] if test else ['train', 'val'])
        for group in of_one:
            for i in group.members:
                sides[i] = group.side
    return sides


def slack(total: int, share: float) -> float:
    """How many photos more or less than its share a side may have.

    For a share of 0.2: 1.9 of 10 photos, 6 of 100, 5 in 100 from 144 up.
    """
    chance = math.sqrt(total * share * (1 - share))
    return max(1, SPREAD * chance, POINTS * total)


def _side(drawn: float, val: float, test: float) -> str:
    # From both ends: another share of one leaves the other as it is.
    if drawn < val:
        return 'val'
    return 'test' if drawn >= 1 - test else 'train'


def _mend(groups: list[_Group], side: str, share: float) -> None:
    """Bring the photos on `side` to within the slack of their share."""
    total = sum(group.size for group in groups)
    least = share * total - slack(total, share)
    most = share * total + slack(total, share)
    have = sum(group.size for group in groups if group.side == side)
    near = sorted(groups, key=lambda group: _distance(group, side))
    for group in reversed(near):
        if have <= most:
            break
        if group.side == side and group.free and have - group.size >= least:
            group.side = 'train'
            have -= group.size
    for group in near:
        if have >= least:
            break
        if group.side == 'train' and group.free and have + group.size <= most:
            group.side = side
            have += group.size


def _distance(group: _Group, side: str) -> float:
    """How far a group drew from where `side` begins to take its photos."""
    begin = {'val': 0, 'train': 0.5, 'test': 1}[side]
    return abs(group.drawn - begin)


def _fill(groups: list[_Group], wanted: list[str]) -> None:
    """Leave no side empty, the first ones first when groups are few."""
    wanted = wanted[: len(groups)]
    for side in wanted:
        count = Counter(group.side for group in groups)
        if count[side]:
            continue
        spare = [
            group
            for group in groups
            if group.free
            and (count[group.side] > 1 or group.side not in wanted)
        ]
        if spare:
            # From the fullest side; a small group before a large one.
            best = min(
                spare,
                key=lambda g: (-count[g.side], g.size, _distance(g, side)),
            )
            best.side = side
