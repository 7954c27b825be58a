import hashlib
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flower_mm.prepare.split import split


def sha(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def shas(count: int, start: int = 0) -> list[bytes]:
    return [sha(i) for i in range(start, start + count)]


def plain(count: int, val: float, test: float = 0.0, seed: int = 0, **more):
    return split(
        list(range(count)), [0] * count, shas(count), val, test, seed, **more
    )


@given(
    sizes=st.lists(st.integers(3, 100), min_size=1, max_size=6),
    val=st.sampled_from([0.1, 0.2, 0.3, 0.5]),
    test=st.sampled_from([0.0, 0.1, 0.2, 0.4]),
    seed=st.integers(0, 10_000),
)
def test_share_of_each_class(sizes, val, test, seed):
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    random.Random(seed).shuffle(labels)
    count = len(labels)
    sides = split(list(range(count)), labels, shas(count), val, test, seed)
    for label, size in enumerate(sizes):
        on = Counter(
            s for s, n in zip(sides, labels, strict=True) if n == label
        )
        assert abs(on['val'] - val * size) <= 1
        assert abs(on['test'] - test * size) <= 1
        assert on['val'] >= 1
        assert on['train'] >= 1
        assert on['test'] >= 1 or not test


@pytest.mark.parametrize(
    ('classes', 'of_each', 'held_out'),
    [(5, 30, 6), (1, 15, 3), (120, 5, 1), (3, 10, 2)],
)
def test_equal_classes_have_equal_validation_sets(classes, of_each, held_out):
    labels = [i % classes for i in range(classes * of_each)]
    count = len(labels)
    for seed in range(10):
        sides = split(list(range(count)), labels, shas(count), 0.2, 0, seed)
        on_val = Counter(
            n for s, n in zip(sides, labels, strict=True) if s == 'val'
        )
        assert on_val == dict.fromkeys(range(classes), held_out)


@pytest.mark.parametrize(
    ('count', 'val', 'test', 'expected'),
    [
        (5, 0.2, 0.2, (3, 1, 1)),
        (3, 0.2, 0.2, (1, 1, 1)),
        (2, 0.2, 0.2, (1, 1, 0)),
        (10, 0.2, 0.1, (7, 2, 1)),
        (4, 0.5, 0.4, (1, 2, 1)),
        (100, 0.15, 0.15, (70, 15, 15)),
    ],
)
def test_photos_on_the_three_sides(count, val, test, expected):
    for seed in range(20):
        sides = plain(count, val, test, seed)
        on = tuple(sides.count(side) for side in ('train', 'val', 'test'))
        assert on == expected


def test_photos_are_seldom_moved_without_a_record():
    """Only those next to the border between two sides."""
    moved = 0
    for seed in range(200):
        before, after = plain(20, 0.2, seed=seed), plain(25, 0.2, seed=seed)
        moved += sum(
            one != other for one, other in zip(before, after, strict=False)
        )
    assert moved <= 200 * 20 * 0.05


@given(seed=st.integers(0, 10_000), val=st.floats(0.01, 0.99))
def test_two_photos_are_one_on_each_side(seed, val):
    assert sorted(plain(2, val, seed=seed)) == ['train', 'val']


def test_one_photo_is_trained_on():
    assert all(plain(1, 0.2, seed=s) == ['train'] for s in range(50))


@given(
    sizes=st.lists(st.integers(1, 8), min_size=2, max_size=40),
    labels=st.integers(1, 3),
    test=st.sampled_from([0.0, 0.1]),
    seed=st.integers(0, 100),
)
def test_a_group_is_on_one_side(sizes, labels, test, seed):
    groups = [g for g, size in enumerate(sizes) for _ in range(size)]
    of_class = [g % labels for g in groups]
    sides = split(groups, of_class, shas(len(groups)), 0.2, test, seed)
    for number in range(len(sizes)):
        on = {s for s, g in zip(sides, groups, strict=True) if g == number}
        assert len(on) == 1
    for label in range(labels):
        mine = {g: sizes[g] for g in set(groups) if g % labels == label}
        here = Counter(
            s for s, g in zip(sides, groups, strict=True) if g in mine
        )
        if len(mine) >= 2:
            assert here['train'] >= 1
            assert here['val'] >= 1
        if len(mine) >= 3 and test:
            assert here['test'] >= 1
        total = sum(mine.values())
        largest = max([1, *mine.values()])
        assert abs(here['val'] - 0.2 * total) <= largest
        assert abs(here['test'] - test * total) <= largest


@given(
    # The classes of the photos of each group, and each class by itself.
    groups=st.lists(
        st.lists(st.integers(0, 2), min_size=1, max_size=4), max_size=12
    ),
    singles=st.integers(12, 40),
    seed=st.integers(0, 100),
)
def test_a_group_of_several_classes_is_on_one_side(groups, singles, seed):
    groups = [*groups, *([label] for label in (0, 1, 2) * singles)]
    numbers = [n for n, labels in enumerate(groups) for _ in labels]
    labels = [label for labels in groups for label in labels]
    sides = split(numbers, labels, shas(len(labels)), 0.2, 0.1, seed)
    assert len(set(zip(numbers, sides, strict=True))) == len(groups)
    for label in range(3):
        on = Counter(
            s for s, n in zip(sides, labels, strict=True) if n == label
        )
        assert abs(on['val'] - 0.2 * on.total()) <= 1
        assert abs(on['test'] - 0.1 * on.total()) <= 1


@given(order=st.permutations(range(30)), seed=st.integers(0, 100))
def test_order_does_not_matter(order, seed):
    labels = [i % 2 for i in range(30)]
    groups = [i // 2 * 2 if i % 6 < 2 else i for i in range(30)]
    labels = [labels[g] for g in groups]
    one = split(groups, labels, shas(30), 0.2, 0.2, seed)
    other = split(
        [groups[i] for i in order],
        [labels[i] for i in order],
        [sha(i) for i in order],
        0.2,
        0.2,
        seed,
    )
    assert other == [one[i] for i in order]


@settings(max_examples=50)
@given(
    old=st.integers(2, 60), new=st.integers(1, 120), seed=st.integers(0, 99)
)
def test_recorded_photos_stay(old, new, seed):
    before = plain(old, 0.2, 0.1, seed)
    earlier = dict(zip(shas(old), before, strict=True))
    after = plain(old + new, 0.2, 0.1, seed, earlier=earlier)
    assert after[:old] == before


@settings(max_examples=50)
@given(
    old=st.integers(3, 60), new=st.integers(1, 120), seed=st.integers(0, 99)
)
def test_new_photos_fill_the_shares(old, new, seed):
    before = plain(old, 0.2, 0.1, seed)
    earlier = dict(zip(shas(old), before, strict=True))
    after = plain(old + new, 0.2, 0.1, seed, earlier=earlier)
    assert abs(after.count('val') - 0.2 * (old + new)) <= 1
    assert abs(after.count('test') - 0.1 * (old + new)) <= 1


def test_few_photos_of_a_large_class_move_without_a_record():
    for seed in range(20):
        before, after = plain(560, 0.2, seed=seed), plain(700, 0.2, seed=seed)
        moved = [
            one
            for one, other in zip(before, after, strict=False)
            if one != other
        ]
        assert len(moved) <= 560 * 0.03


def test_new_photos_bring_the_share_back():
    earlier = dict.fromkeys(shas(100), 'train')
    sides = plain(200, 0.2, earlier=earlier)
    assert sides[:100] == ['train'] * 100
    assert sides.count('val') == 40
    few = plain(110, 0.2, 0.2, earlier=earlier)
    assert few[:100] == ['train'] * 100
    assert few.count('val') == few.count('test') == 5


@pytest.mark.parametrize('side', ['train', 'val', 'test'])
def test_new_twin_follows_the_old(side):
    groups = [0, 0, 2, 3, 4]
    for seed in range(20):
        sides = split(groups, [0] * 5, shas(5), 0.3, 0.2, seed, {sha(1): side})
        assert sides[:2] == [side, side]


def test_twin_of_both_sides_is_left_out():
    sides = split(
        [0, 0, 0],
        [0] * 3,
        shas(3),
        0.2,
        0,
        0,
        {sha(0): 'val', sha(2): 'train'},
    )
    assert sides == ['val', '', 'train']


def test_seed_and_share_matter():
    assert len({tuple(plain(50, 0.2, seed=s)) for s in range(10)}) == 10
    few, many = plain(400, 0.1), plain(400, 0.3)
    assert {i for i, s in enumerate(few) if s == 'val'} < {
        i for i, s in enumerate(many) if s == 'val'
    }


def test_asking_for_a_test_leaves_the_validation():
    without, with_test = plain(400, 0.2), plain(400, 0.2, 0.1)
    val = [i for i, s in enumerate(without) if s == 'val']
    assert val == [i for i, s in enumerate(with_test) if s == 'val']


def test_draws_are_even():
    # 20 classes of 500: the mean share is off by 0.4 points (one deviation).
    labels = [i % 20 for i in range(10_000)]
    random.Random(0).shuffle(labels)
    sides = split(list(range(10_000)), labels, shas(10_000), 0.2, 0.1, 3)
    assert abs(sides.count('val') / 10_000 - 0.2) < 0.016
    assert abs(sides.count('test') / 10_000 - 0.1) < 0.012
