"""Samples are stratified, and folds keep near-duplicates together."""

import json
import shutil
from collections import Counter

import numpy as np
import pytest

from flower_mm.annotations import Photo
from flower_mm.errors import UserError
from flower_mm.pick.train_photos import FOLDS, TrainPhotos, stratified_order


def test_each_beginning_has_the_shares_of_the_classes():
    photos = [Photo(f'a/{i}.jpg', 0) for i in range(300)]
    photos += [Photo(f'b/{i}.jpg', 1) for i in range(100)]
    order = stratified_order(photos)
    assert sorted(order) == list(range(400))
    for count in (20, 100, 200):
        labels = Counter(photos[i].label for i in order[:count])
        assert abs(labels[1] - count / 4) <= 1
    # The order in a class is random, and independent of that of the list.
    assert order[:20] != sorted(order[:20])
    names = [photos[i].name for i in order]
    reverse = photos[::-1]
    assert [reverse[i].name for i in stratified_order(reverse)] == names


def test_folds_keep_near_duplicates_together(dataset, tmp_path):
    root = tmp_path / 'data'
    shutil.copytree(dataset, root)
    record = json.loads((root / 'dataset.json').read_text())
    alike = sorted(record['files']['train'])[:6]
    record['equal'] = [alike[:3], alike[3:]]
    (root / 'dataset.json').write_text(json.dumps(record))
    photos = TrainPhotos(root)
    folds = photos.folds(39)
    assert set(folds) == set(range(1, FOLDS + 1))
    fold_of = dict(zip(photos.names, folds, strict=True))
    for group in record['equal']:
        assert len({fold_of[name] for name in group}) == 1
    # As evidence, a group counts less than its photos.
    assert photos.effective(39) == pytest.approx(39**2 / (33 + 2 * 9))
    assert TrainPhotos(dataset).effective(39) == 39


def test_labels_and_indices_follow_the_order(dataset):
    photos = TrainPhotos(dataset)
    lines = (dataset / 'train.txt').read_text('utf-8').splitlines()
    for i in range(39):
        name, _, label = lines[photos.indices[i]].rpartition(' ')
        assert (photos.names[i], photos.labels[i]) == (name, int(label))
    assert np.bincount(photos.labels).tolist() == [13, 13, 13]


def test_too_few_photos(tmp_path):
    (tmp_path / 'train' / 'a').mkdir(parents=True)
    (tmp_path / 'train' / 'a' / '1.jpg').touch()
    (tmp_path / 'classes.txt').write_text('a\nb\n')
    (tmp_path / 'train.txt').write_text('a/1.jpg 0\n')
    with pytest.raises(UserError, match='expected at least 10, got 1'):
        TrainPhotos(tmp_path)
