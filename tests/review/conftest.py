"""A dataset with wrong labels, and small weights to find them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from review.reviewing import Reviewed, make_dataset, make_weights, reviewing


@pytest.fixture(scope='session')
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    weights = tmp_path_factory.mktemp('weights')
    make_weights(weights)
    return {
        'FLOWER_MM_CHECKPOINTS': str(weights),
        'XDG_CACHE_HOME': str(tmp_path_factory.mktemp('cache')),
    }


@pytest.fixture(scope='session')
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp('noisy'))


@pytest.fixture
def mine(noisy: Path, tmp_path: Path) -> Path:
    return shutil.copytree(noisy, tmp_path / 'mine')


@pytest.fixture
def reviewed(mine: Path, env: dict, tmp_path: Path) -> Iterator[Reviewed]:
    with reviewing(mine, tmp_path / 'served', env, '--who', 'ann') as found:
        yield found
