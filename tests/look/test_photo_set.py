"""Photos are read from datasets and from what `prepare` takes."""

import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest
from helpers import CLASSES, draw_photo

from flower_mm.errors import UserError
from flower_mm.look.photo_set import PhotoSet, read_photo_set
from flower_mm.prepare.photo import Photo


def read(path: Path) -> PhotoSet:
    with ExitStack() as stack:
        return read_photo_set(path, Path('look.html'), stack)


def test_a_dataset(dataset):
    found = read(dataset)
    assert found.classes == CLASSES
    assert len(found.photos) == 60
    assert found.splits == ['train', 'val']
    assert found.counts().sum(1).tolist() == [20, 20, 20]
    assert found.groups == []
    assert all(Path(photo.file).is_file() for photo in found.photos)


def test_near_duplicates_of_a_dataset(dataset, tmp_path):
    copy = tmp_path / 'data'
    shutil.copytree(dataset, copy)
    first, second = read(copy).photos[:2]
    text = (copy / 'dataset.json').read_text('utf-8')
    text = text.replace(
        '"equal": []',
        f'"equal": [["{first.path}", "{second.path}"], ["gone", 1], "x"]',
    )
    (copy / 'dataset.json').write_text(text, 'utf-8')
    assert read(copy).groups == [[0, 1]]


def test_a_dataset_made_by_hand(dataset, tmp_path):
    copy = tmp_path / 'data'
    shutil.copytree(dataset, copy)
    (copy / 'dataset.json').unlink()
    found = read(copy)
    assert len(found.photos) == 60
    assert found.groups is None


def test_class_folders_and_an_archive(photos, tmp_path):
    found = read(photos)
    assert found.classes == CLASSES
    assert found.splits == ['']
    assert found.kind == 'class folders'
    archive = shutil.make_archive(str(tmp_path / 'photos'), 'zip', photos)
    with ExitStack() as stack:
        unpacked = read_photo_set(Path(archive), tmp_path / 'a.html', stack)
        files = [Path(photo.file) for photo in unpacked.photos]
        assert len(files) == 60
        assert all(file.is_file() for file in files)
    assert not any(file.exists() for file in files)


def test_refusals(tmp_path):
    for name in ('https://example.com/a.zip', str(tmp_path / 'nowhere')):
        with pytest.raises(UserError):
            read(Path(name))
    draw_photo(tmp_path / 'one' / 'only' / 'a.jpg', 0, 0)
    with pytest.raises(UserError, match='one class'):
        read(tmp_path / 'one')


def test_a_sample_has_each_class_first():
    sizes = [50, 3, 1]
    photos = [
        Photo(f'{label}/{i}', '', label)
        for label, size in enumerate(sizes)
        for i in range(size)
    ]
    made = PhotoSet('', ['a', 'b', 'c'], photos)
    sample = made.sample(20)
    assert sample == made.sample(20)
    assert len(set(sample)) == 20
    labels = [photos[i].label for i in sample]
    assert sorted(labels[:3]) == [0, 1, 2]
    assert labels.count(0) == 18
    assert sorted(made.sample(1000)) == list(range(54))
