"""Photos, datasets and a small model, made anew for each session of tests."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
# A shell's background jobs ignore Ctrl-C and so would the tools that tests
# start there.
signal.signal(signal.SIGINT, signal.default_int_handler)

CLASSES = ['blue tit', 'red', 'étoile']  # sorted; a blank, an accent

# A network of 45,000 parameters without batch norm, so that the number of
# processes changes nothing; pictures of 32 pixels.
TINY = """
_base_ = [{base!r}]
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='ResNet', depth=18, stem_channels=16, base_channels=16,
        num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(1,),
        norm_cfg=dict(type='GN', num_groups=4),
    ),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', in_channels=32, cal_acc=True, topk=(1, 5)),
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=32, crop_ratio_range=(0.5, 1.0)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='ColorJitter', brightness=0.2),
    dict(type='RandomErasing', erase_prob=0.3),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=32, edge='short'),
    dict(type='CenterCrop', crop_size=32),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=8, num_workers=0, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=0, dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(num_workers=0, dataset=dict(pipeline=test_pipeline))
train_cfg = dict(max_epochs=2)
optim_wrapper = dict(optimizer=dict(lr=3e-3))
"""


def tool(
    name: str, *args: str | Path, check: bool = True, **kwargs
) -> subprocess.CompletedProcess:
    """Run tools/`name`.py as a user would; its text is in stdout/stderr."""
    done = subprocess.run(
        [sys.executable, ROOT / 'tools' / f'{name}.py', *map(str, args)],
        capture_output=True,
        text=True,
        env={**os.environ, 'OMP_NUM_THREADS': '1', **kwargs.pop('env', {})},
        **kwargs,
    )
    if check and done.returncode:
        pytest.fail(f'{done.args}\n{done.stdout}\n{done.stderr}')
    return done


def draw_photo(path: Path, label: int, seed: int) -> None:
    """A noisy picture whose colour tells its class."""
    rng = np.random.default_rng((label, seed))
    pixels = rng.integers(0, 120, (40, 48, 3))
    pixels[..., (2, 0, 1)[label % 3]] += 100
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path, quality=90)


@pytest.fixture(scope='session')
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of class folders, twenty photos each."""
    folder = tmp_path_factory.mktemp('photos')
    for label, name in enumerate(CLASSES):
        for number in range(20):
            draw_photo(folder / name / f'{number:03}.jpg', label, number)
    return folder


@pytest.fixture(scope='session')
def dataset(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp('dataset') / 'flowers'
    tool('prepare_dataset', photos, '--out', out, '--val', '0.3')
    return out


@pytest.fixture(scope='session')
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small model on our own base."""
    path = tmp_path_factory.mktemp('config') / 'tiny.py'
    base = str(ROOT / 'configs' / '_base_' / 'flower.py')
    path.write_text(TINY.format(base=base), encoding='utf-8')
    return path


def train_tiny(config: Path, dataset: Path, run: Path, *args: str) -> Path:
    """Train the small model; returns the folder of the run."""
    tool('train', config, '--data-root', dataset, '--work-dir', run, *args)
    return run


@pytest.fixture
def train(config: Path, dataset: Path, tmp_path: Path) -> Callable:
    """Train under a name, with further arguments."""

    def run(name: str, *args: str) -> Path:
        return train_tiny(config, dataset, tmp_path / name, *args)

    return run


@pytest.fixture(scope='session')
def plain_run(
    config: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Two epochs with nothing changed. Tests read it and leave it alone."""
    return train_tiny(config, dataset, tmp_path_factory.mktemp('runs') / 'a')
