"""What tests share besides fixtures: the tools, photos, a small model."""

import subprocess
from collections.abc import Callable, Container, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import forked
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
CLASSES = ['blue tit', 'red', 'étoile']  # sorted; a blank, an accent

# A network of 45,000 parameters without batch norm, so that the number of
# processes changes nothing; pictures of 32 pixels; a precision that is no
# machine's choice.
TINY = """
_base_ = [{base!r}]
precision = 'float32'
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='ResNet', depth=18, stem_channels=16, base_channels=16,
        num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(1,),
        norm_cfg=dict(type='GN', num_groups=4),
    ),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead', in_channels=32, cal_acc=True, topk=(1, 5),
        loss=dict(type='CrossEntropyLoss'),
    ),
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
default_hooks = dict(
    head_first=None,
    known_photos=None,
    # Most state that a checkpoint can have.
    ema=dict(
        type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.01,
        update_buffers=True,
    ),
)
"""


def tool(
    name: str,
    *args: str | Path,
    check: bool = True,
    env: dict[str, str] | None = None,
    cwd: str | Path | None = None,
) -> subprocess.CompletedProcess:
    """Run tools/`name`.py in a fork; its text is in stdout/stderr."""
    with TemporaryDirectory() as folder:
        log, errors = Path(folder, 'stdout'), Path(folder, 'stderr')
        run = forked.start(
            log, name, *args, env=env, report=True, errors=errors, cwd=cwd
        )
        done = subprocess.CompletedProcess(
            [name, *map(str, args)], run.wait(), *map(_text, (log, errors))
        )
    if check and done.returncode:
        pytest.fail(f'{done.args}\n{done.stdout}\n{done.stderr}')
    return done


def _text(path: Path) -> str:
    return path.read_text(encoding='utf-8', errors='replace')


def draw_photo(path: Path, label: int, seed: int) -> None:
    """A noisy picture whose colour tells its class."""
    rng = np.random.default_rng((label, seed))
    pixels = rng.integers(0, 120, (40, 48, 3))
    pixels[..., (2, 0, 1)[label % 3]] += 100
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path, quality=90)


def train_tiny(
    config: Path, dataset: Path, run: Path, *args: str, curves: bool = False
) -> Path:
    """Train the small model; returns the folder of the run."""
    log = run.with_name(run.name + '.log')
    options = (config, '--data-root', dataset, '--work-dir', run, *args)
    forked.finish(log, 'train', *options, curves=curves)
    return run


def mostly_nightly(
    values: Iterable, each_time: Container[str], name: Callable = str
) -> list:
    """Parameters of which only those named in `each_time` run each time."""
    return [
        pytest.param(
            value,
            id=name(value),
            marks=[] if name(value) in each_time else pytest.mark.nightly,
        )
        for value in values
    ]
