"""Runs of a small model, for the tests of the report."""

import shutil
from pathlib import Path

import pytest
from helpers import train_tiny


@pytest.fixture
def bare(bad_run: Path, tmp_path: Path) -> Path:
    """A run of which no report was written yet."""
    folder = tmp_path / 'bare'
    folder.mkdir()
    for name in ('best.pth', 'run.json', 'scalars.json'):
        shutil.copy(bad_run / name, folder)
    return folder


@pytest.fixture(scope='session')
def bad_run(config, dataset, tmp_path_factory) -> Path:
    """As plain_run, but it learns too slowly to be always right."""
    return train_tiny(
        config,
        dataset,
        tmp_path_factory.mktemp('runs') / 'b',
        *('--seed', '7', '--cfg-options', 'optim_wrapper.optimizer.lr=3e-5'),
    )


@pytest.fixture
def root(dataset: Path, tmp_path: Path) -> Path:
    """A copy of the dataset, to be changed."""
    return Path(shutil.copytree(dataset, tmp_path / 'data'))
