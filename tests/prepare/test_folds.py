"""Photos are dealt evenly, and what is the same stays together."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower_mm.errors import UserError
from flower_mm.prepare import dataset_json, verify_dataset
from flower_mm.prepare.class_folders import Photo
from flower_mm.prepare.folds import deal, make_folds, read_list

from .conftest import make_photos, save


@given(
    labels=st.lists(st.integers(0, 3), min_size=1, max_size=80),
    count=st.integers(2, 7),
    seed=st.integers(0, 2**32 - 1),
)
def test_single_photos_are_dealt_evenly(labels, count, seed):
    shas = [bytes([i] * 32) for i in range(len(labels))]
    folds = deal(list(range(len(labels))), labels, shas, count, seed)
    assert set(folds) <= set(range(1, count + 1))
    for label in set(labels):
        dealt = Counter(
            f for f, own in zip(folds, labels, strict=True) if own == label
        )
        sizes = [dealt[fold] for fold in range(1, count + 1)]
        assert max(sizes) - min(sizes) <= 1
    sizes = [Counter(folds)[fold] for fold in range(1, count + 1)]
    assert max(sizes) - min(sizes) <= 1 + len(set(labels))


@given(
    groups=st.lists(st.integers(0, 15), min_size=2, max_size=60),
    seed=st.integers(0, 9),
)
def test_a_group_stays_together(groups, seed):
    labels = [number % 3 for number in groups]
    shas = [bytes([i] * 32) for i in range(len(groups))]
    folds = deal(groups, labels, shas, 3, seed)
    for number in set(groups):
        mine = {
            f for f, own in zip(folds, groups, strict=True) if own == number
        }
        assert len(mine) == 1


@given(
    groups=st.lists(
        st.lists(st.integers(0, 2), min_size=1, max_size=4), max_size=12
    ),
    count=st.integers(2, 5),
    seed=st.integers(0, 9),
)
def test_groups_of_several_classes_keep_the_classes_even(groups, count, seed):
    """One label error must not cost a fold its photos of a class."""
    groups = [*groups, *([label] for label in (0, 1, 2) * 30)]
    numbers = [n for n, labels in enumerate(groups) for _ in labels]
    labels = [label for labels in groups for label in labels]
    shas = [i.to_bytes(32, 'big') for i in range(len(labels))]
    folds = deal(numbers, labels, shas, count, seed)
    assert len(set(zip(numbers, folds, strict=True))) == len(groups)
    for label in range(3):
        dealt = Counter(
            f for f, own in zip(folds, labels, strict=True) if own == label
        )
        sizes = [dealt[fold] for fold in range(1, count + 1)]
        assert max(sizes) - min(sizes) <= 1


def test_the_seed_decides_and_the_order_does_not():
    shas = [bytes([i] * 32) for i in range(40)]
    labels = [i % 2 for i in range(40)]
    one, two = (deal(list(range(40)), labels, shas, 4, s) for s in (0, 1))
    assert one != two
    back = deal(list(range(40)), labels[::-1], shas[::-1], 4, 0)
    assert back[::-1] == one


def found(folder, classes):
    return [
        Photo(f'{name}/{path.name}', str(path), label)
        for label, name in enumerate(classes)
        for path in sorted((folder / name).iterdir())
    ]


@pytest.fixture
def classes(photos):
    """With copies of a daisy, one of them re-encoded and of another size."""
    (photos / 'daisy/copy.jpg').write_bytes(
        (photos / 'daisy/0003.jpg').read_bytes()
    )
    save(photos / 'daisy/near.jpg', 3, quality=60)
    return ['daisy', 'rose']


def test_each_fold_is_a_dataset_that_points_to_the_photos(
    photos, classes, tmp_path
):
    out = tmp_path / 'run' / 'folds'
    listed = found(photos, classes)
    make_folds(listed, classes, 3, 0, str(photos), out, {'of': 3})
    held = read_list(out, classes)
    assert [photo.photo for photo in held] == [p.file for p in listed]
    assert [photo.label for photo in held] == [p.label for p in listed]
    twins = {
        photo.fold
        for photo in held
        if photo.photo.endswith(('0003.jpg', 'copy.jpg', 'near.jpg'))
    }
    assert len(twins) == 1
    sides = Counter()
    for fold in (1, 2, 3):
        record = dataset_json.load(out / str(fold))
        assert record['folds'] == {'of': 3}
        assert record['photos'] == str(photos)
        assert set(record['files']) == {'train', 'val'}
        sides.update(list(record['files']['val']))
        files = record['files']['train'] | record['files']['val']
        assert len(files) == len(listed)
        verify_dataset.check(
            out / str(fold)
        )  # whole, and no twins on two sides
    assert set(sides.values()) == {1}
    assert not (out / 'photos').exists()


def test_photos_of_two_folders_are_linked_not_copied(
    photos, classes, tmp_path
):
    """Names that are there twice stay apart."""
    other = make_photos(tmp_path / 'more', {'daisy': 3, 'rose': 3}, start=50)
    for path in list(other.rglob('005*.jpg')):
        path.rename(path.with_name(f'00{int(path.stem) - 50:02}.jpg'))
    listed = found(photos, classes) + found(other, classes)
    out = tmp_path / 'run' / 'folds'
    make_folds(listed, classes, 2, 0, None, out, {})
    linked = list((out / 'photos').rglob('*.jpg'))
    assert len(linked) == len(listed)
    there = {Path(photo.file).stat().st_ino for photo in listed}
    assert {path.stat().st_ino for path in linked} == there
    verify_dataset.check(out / '1')


def test_more_folds_than_photos_of_a_class_are_refused(
    photos, classes, tmp_path
):
    """The copies of one photo are no three photos."""
    with pytest.raises(UserError, match='of daisy there are 10') as error:
        make_folds(
            found(photos, classes),
            *(classes, 11, 0, str(photos), tmp_path / 'folds', {}),
        )
    assert 'At most: --folds 10' in str(error.value)
    assert not (tmp_path / 'folds').exists()
