"""Cached features are used as far as the photos are unchanged."""

import os
import pickle

import numpy as np
import pytest

from flower_mm.inference import feature_cache
from flower_mm.inference.feature_cache import Features, cache_path, load, save

HASHES = [bytes([i]) * 32 for i in range(10)]


def hashes(count: int) -> list[bytes]:
    return HASHES[:count]


@pytest.fixture
def path(monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    return cache_path(['a', 1])


@pytest.fixture
def rows(path):
    rows = np.arange(24, dtype=np.float32).reshape(8, 3)
    save(path, Features(rows, 120.0, 0.01), hashes)
    return rows


def test_they_are_read_as_written(path, rows):
    features = load(path, hashes)
    assert np.array_equal(features.rows, rows)
    assert features.photos_per_second == 120.0
    assert features.seconds_per_photo == 0.01


def test_up_to_the_first_photo_that_differs(path, rows):
    other = [*HASHES[:5], b'?' * 32, *HASHES[6:]]
    features = load(path, lambda count: other[:count])
    assert np.array_equal(features.rows, rows[:5])
    assert len(load(path, lambda count: HASHES[:3]).rows) == 3


@pytest.mark.parametrize(
    'content',
    [
        b'',
        b'PK',
        pickle.dumps([1]),
        {'rows': np.zeros((2, 3), np.float32)},
        {
            'rows': np.full((2, 3), np.nan, np.float32),
            'photos': np.zeros((2, 32), np.uint8),
            'times': np.ones(2),
        },
        {
            'rows': np.zeros((2, 3), np.float32),
            'photos': np.array([{}, {}]),
            'times': np.ones(2),
        },
        {
            'rows': np.zeros(2, np.float32),
            'photos': np.zeros(0, np.uint8),
            'times': np.ones(3),
        },
    ],
)
def test_damaged_files_are_ignored(content, path):
    path.parent.mkdir(parents=True)
    if isinstance(content, dict):
        np.savez(path, **content)
    else:
        path.write_bytes(content)
    assert len(load(path, hashes).rows) == 0


def test_what_determines_features_is_in_the_name(path):
    assert cache_path(['a', 1]) == path
    assert cache_path(['a', 2]) != path


def test_the_oldest_files_are_deleted(path, rows, monkeypatch):
    os.utime(path, (1, 1))
    monkeypatch.setattr(feature_cache, 'MOST_BYTES', 2.5 * path.stat().st_size)
    second, third = cache_path('second'), cache_path('third')
    save(second, Features(rows), hashes)
    assert path.is_file()
    save(third, Features(rows), hashes)
    assert not path.is_file()
    assert second.is_file()
    assert third.is_file()


def test_without_a_place_nothing_is_kept(monkeypatch, tmp_path):
    (tmp_path / 'file').touch()
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
    path = cache_path('a')
    save(path, Features(np.zeros((1, 1), np.float32)), hashes)
    assert len(load(path, hashes).rows) == 0
