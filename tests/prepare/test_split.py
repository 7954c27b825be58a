"""The split has the shares, keeps groups together and earlier photos put."""

import hashlib
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flower_mm.prepare.split import assign_splits


def sha(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def shas(count: int) -> list[bytes]:
    return [sha(i) for i in range(count)]


def split_one_class(
    count: int, val: float, test: float = 0.0, seed: int = 0, **more
) -> list[str]:
    """Split single photos of one class."""
    numbers = list(range(count))
    return assign_splits(
        numbers, [0] * count, shas(count), val, test, seed, **more
    )


def counts(splits: list[str], labels: list[int], label: int) -> Counter:
    pairs = zip(splits, labels, strict=True)
    return Counter(split for split, own in pairs if own == label)


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
    splits = assign_splits(
        list(range(count)), labels, shas(count), val, test, seed
    )
    for label, size in enumerate(sizes):
        photos = counts(splits, labels, label)
        assert abs(photos['val'] - val * size) <= 1
        assert abs(photos['test'] - test * size) <= 1
        assert photos['val'] >= 1
        assert photos['train'] >= 1
        assert photos['test'] >= 1 or not test


@pytest.mark.parametrize(
    ('classes', 'of_each', 'held_out'),
    [(5, 30, 6), (1, 15, 3), (120, 5, 1), (3, 10, 2)],
)
def test_equal_classes_have_equal_validation_sets(classes, of_each, held_out):
    count = classes * of_each
    labels = [i % classes for i in range(count)]
    for seed in range(10):
        splits = assign_splits(
            list(range(count)), labels, shas(count), 0.2, 0, seed
        )
        for label in range(classes):
            assert counts(splits, labels, label)['val'] == held_out


@pytest.mark.parametrize(
    ('count', 'val', 'test', 'expected'),
    [
        (1, 0.2, 0.0, (1, 0, 0)),
        (5, 0.2, 0.2, (3, 1, 1)),
        (3, 0.2, 0.2, (1, 1, 1)),
        (2, 0.2, 0.2, (1, 1, 0)),
        (10, 0.2, 0.1, (7, 2, 1)),
        (4, 0.5, 0.4, (1, 2, 1)),
        (100, 0.15, 0.15, (70, 15, 15)),
    ],
)
def test_photos_in_the_three_splits(count, val, test, expected):
    for seed in range(20):
        splits = split_one_class(count, val, test, seed)
        assert tuple(map(splits.count, ('train', 'val', 'test'))) == expected


@pytest.mark.parametrize(
    ('before', 'after', 'most'), [(20, 25, 0.05), (560, 700, 0.03)]
)
def test_few_photos_move_without_a_record(before, after, most):
    moved = 0
    for seed in range(100):
        first = split_one_class(before, 0.2, seed=seed)
        second = split_one_class(after, 0.2, seed=seed)
        moved += sum(a != b for a, b in zip(first, second, strict=False))
    assert moved <= 100 * before * most


@given(seed=st.integers(0, 10_000), val=st.floats(0.01, 0.99))
def test_two_photos_are_in_two_splits(seed, val):
    assert sorted(split_one_class(2, val, seed=seed)) == ['train', 'val']


@given(
    sizes=st.lists(st.integers(1, 8), min_size=2, max_size=40),
    class_count=st.integers(1, 3),
    test=st.sampled_from([0.0, 0.1]),
    seed=st.integers(0, 100),
)
def test_groups_stay_together(sizes, class_count, test, seed):
    numbers = [g for g, size in enumerate(sizes) for _ in range(size)]
    labels = [g % class_count for g in numbers]
    splits = assign_splits(
        numbers, labels, shas(len(numbers)), 0.2, test, seed
    )
    assert len(set(zip(numbers, splits, strict=True))) == len(sizes)
    for label in range(class_count):
        own = [s for g, s in enumerate(sizes) if g % class_count == label]
        photos = counts(splits, labels, label)
        if len(own) >= 2:
            assert photos['train'] >= 1
            assert photos['val'] >= 1
        if len(own) >= 3 and test:
            assert photos['test'] >= 1
        largest = max([1, *own])
        assert abs(photos['val'] - 0.2 * sum(own)) <= largest
        assert abs(photos['test'] - test * sum(own)) <= largest


@given(
    # The classes of the photos of each group.
    groups=st.lists(
        st.lists(st.integers(0, 2), min_size=1, max_size=4), max_size=12
    ),
    singles=st.integers(12, 40),
    seed=st.integers(0, 100),
)
def test_groups_of_several_classes_stay_together(groups, singles, seed):
    groups = [*groups, *([label] for label in (0, 1, 2) * singles)]
    numbers = [n for n, labels in enumerate(groups) for _ in labels]
    labels = [label for labels in groups for label in labels]
    splits = assign_splits(numbers, labels, shas(len(labels)), 0.2, 0.1, seed)
    assert len(set(zip(numbers, splits, strict=True))) == len(groups)
    for label in range(3):
        photos = counts(splits, labels, label)
        assert abs(photos['val'] - 0.2 * photos.total()) <= 1
        assert abs(photos['test'] - 0.1 * photos.total()) <= 1


@given(order=st.permutations(range(30)), seed=st.integers(0, 100))
def test_order_is_irrelevant(order, seed):
    numbers = [i // 2 * 2 if i % 6 < 2 else i for i in range(30)]
    labels = [g % 2 for g in numbers]
    first, second = (
        assign_splits(
            [numbers[i] for i in order],
            [labels[i] for i in order],
            [sha(i) for i in order],
            *(0.2, 0.2, seed),
        )
        for order in (range(30), order)
    )
    assert second == [first[i] for i in order]


@settings(max_examples=50)
@given(
    old=st.integers(3, 60), new=st.integers(1, 120), seed=st.integers(0, 99)
)
def test_recorded_photos_stay_and_new_ones_fill_the_shares(old, new, seed):
    before = split_one_class(old, 0.2, 0.1, seed)
    earlier = dict(zip(shas(old), before, strict=True))
    after = split_one_class(old + new, 0.2, 0.1, seed, earlier=earlier)
    assert after[:old] == before
    assert abs(after.count('val') - 0.2 * (old + new)) <= 1
    assert abs(after.count('test') - 0.1 * (old + new)) <= 1


def test_new_photos_restore_the_share():
    earlier = dict.fromkeys(shas(100), 'train')
    splits = split_one_class(200, 0.2, earlier=earlier)
    assert splits[:100] == ['train'] * 100
    assert splits.count('val') == 40
    few = split_one_class(110, 0.2, 0.2, earlier=earlier)
    assert few[:100] == ['train'] * 100
    assert few.count('val') == few.count('test') == 5


@pytest.mark.parametrize('split', ['train', 'val', 'test'])
def test_near_duplicate_follows_the_recorded_photo(split):
    for seed in range(20):
        splits = assign_splits(
            [0, 0, 2, 3, 4], [0] * 5, shas(5), 0.3, 0.2, seed, {sha(1): split}
        )
        assert splits[:2] == [split, split]


def test_near_duplicate_of_two_splits_is_left_out():
    earlier = {sha(0): 'val', sha(2): 'train'}
    splits = assign_splits([0] * 3, [0] * 3, shas(3), 0.2, 0, 0, earlier)
    assert splits == ['val', '', 'train']


def test_seed_and_shares():
    of_seeds = {tuple(split_one_class(50, 0.2, seed=s)) for s in range(10)}
    assert len(of_seeds) == 10
    few, many, with_test = (
        {i for i, s in enumerate(split_one_class(400, *p)) if s == 'val'}
        for p in ((0.2,), (0.3,), (0.2, 0.1))
    )
    assert few < many
    assert few == with_test
