"""Folds have equal sizes and keep near-duplicates together."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower_mm.errors import UserError
from flower_mm.prepare import dataset_json, verify_dataset
from flower_mm.prepare.folds import assign_folds, make_folds, read_list
from flower_mm.prepare.photo import Photo

from .conftest import make_photos, save


def spread(folds: list[int], labels: list[int], label: int, count: int) -> int:
    """Return the difference between the largest and the smallest fold."""
    pairs = zip(folds, labels, strict=True)
    photos = Counter(fold for fold, own in pairs if own == label)
    sizes = [photos[fold] for fold in range(1, count + 1)]
    return max(sizes) - min(sizes)


@given(
    labels=st.lists(st.integers(0, 3), min_size=1, max_size=80),
    count=st.integers(2, 7),
    seed=st.integers(0, 2**32 - 1),
)
def test_single_photos(labels, count, seed):
    shas = [bytes([i] * 32) for i in range(len(labels))]
    folds = assign_folds(list(range(len(labels))), labels, shas, count, seed)
    assert set(folds) <= set(range(1, count + 1))
    for label in set(labels):
        assert spread(folds, labels, label, count) <= 1
    whole = spread(folds, [0] * len(labels), 0, count)
    assert whole <= 1 + len(set(labels))


@given(
    groups=st.lists(st.integers(0, 15), min_size=2, max_size=60),
    seed=st.integers(0, 9),
)
def test_groups_stay_together(groups, seed):
    labels = [number % 3 for number in groups]
    shas = [bytes([i] * 32) for i in range(len(groups))]
    folds = assign_folds(groups, labels, shas, 3, seed)
    assert len(set(zip(groups, folds, strict=True))) == len(set(groups))


@given(
    groups=st.lists(
        st.lists(st.integers(0, 2), min_size=1, max_size=4), max_size=12
    ),
    count=st.integers(2, 5),
    seed=st.integers(0, 9),
)
def test_groups_of_several_classes(groups, count, seed):
    """One label error must not cost a fold its photos of a class."""
    groups = [*groups, *([label] for label in (0, 1, 2) * 30)]
    numbers = [n for n, labels in enumerate(groups) for _ in labels]
    labels = [label for labels in groups for label in labels]
    shas = [i.to_bytes(32, 'big') for i in range(len(labels))]
    folds = assign_folds(numbers, labels, shas, count, seed)
    assert len(set(zip(numbers, folds, strict=True))) == len(groups)
    for label in range(3):
        assert spread(folds, labels, label, count) <= 1


def test_seed_matters_and_order_does_not():
    shas = [bytes([i] * 32) for i in range(40)]
    labels = [i % 2 for i in range(40)]
    first, second = (
        assign_folds(list(range(40)), labels, shas, 4, s) for s in (0, 1)
    )
    assert first != second
    back = assign_folds(list(range(40)), labels[::-1], shas[::-1], 4, 0)
    assert back[::-1] == first


def list_photos(folder: Path, classes: list[str]) -> list[Photo]:
    return [
        Photo(f'{name}/{path.name}', str(path), label)
        for label, name in enumerate(classes)
        for path in sorted((folder / name).iterdir())
    ]


@pytest.fixture
def classes(photos):
    """With an identical and a recompressed copy of a daisy."""
    (photos / 'daisy/copy.jpg').write_bytes(
        (photos / 'daisy/0003.jpg').read_bytes()
    )
    save(photos / 'daisy/near.jpg', 3, quality=60)
    return ['daisy', 'rose']


def test_each_fold_is_a_dataset(photos, classes, tmp_path):
    out = tmp_path / 'run' / 'folds'
    listed = list_photos(photos, classes)
    make_folds(listed, classes, 3, 0, str(photos), out, {'of': 3})
    held_out = read_list(out, classes)
    assert [photo.photo for photo in held_out] == [p.file for p in listed]
    assert [photo.label for photo in held_out] == [p.label for p in listed]
    near_duplicates = {
        photo.fold
        for photo in held_out
        if photo.photo.endswith(('0003.jpg', 'copy.jpg', 'near.jpg'))
    }
    assert len(near_duplicates) == 1
    times_held_out = Counter()
    for fold in (1, 2, 3):
        record = dataset_json.load(out / str(fold))
        assert record['folds'] == {'of': 3}
        assert record['photos'] == str(photos)
        assert set(record['files']) == {'train', 'val'}
        times_held_out.update(list(record['files']['val']))
        files = record['files']['train'] | record['files']['val']
        assert len(files) == len(listed)
        verify_dataset.check(out / str(fold))
    assert set(times_held_out.values()) == {1}
    assert not (out / 'photos').exists()


def test_photos_of_two_folders_are_linked(photos, classes, tmp_path):
    """Photos of the same name get different ones."""
    other = make_photos(tmp_path / 'more', {'daisy': 3, 'rose': 3}, start=50)
    for path in list(other.rglob('005*.jpg')):
        path.rename(path.with_name(f'00{int(path.stem) - 50:02}.jpg'))
    listed = list_photos(photos, classes) + list_photos(other, classes)
    out = tmp_path / 'run' / 'folds'
    make_folds(listed, classes, 2, 0, None, out, {})
    linked = list((out / 'photos').rglob('*.jpg'))
    assert len(linked) == len(listed)
    files = {Path(photo.file).stat().st_ino for photo in listed}
    assert {path.stat().st_ino for path in linked} == files
    verify_dataset.check(out / '1')


def test_more_folds_than_photos_of_a_class_are_refused(
    photos, classes, tmp_path
):
    """Copies of one photo count once."""
    with pytest.raises(UserError, match='got 10 of daisy') as error:
        make_folds(
            list_photos(photos, classes),
            *(classes, 11, 0, str(photos), tmp_path / 'folds', {}),
        )
    assert '--folds 10' in str(error.value)
    assert not (tmp_path / 'folds').exists()
