"""One dataset as loose files and as shards."""

from pathlib import Path

import pytest
from helpers import tool

SPLIT = ('--val', '0.35', '--test', '0.1')


@pytest.fixture(scope='session')
def loose(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp('loose') / 'set'
    tool('prepare_dataset', photos, '--out', out, *SPLIT)
    return out


@pytest.fixture(scope='session')
def packed(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp('packed') / 'set'
    tool('prepare_dataset', photos, '--out', out, *SPLIT, '--shards', '1MB')
    return out
