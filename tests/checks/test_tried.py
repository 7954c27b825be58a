"""Photos that do not get through their pipeline, or not in one size."""

import random
from pathlib import Path

import forked
import numpy as np
import pytest
import torch
from examining import STOP, Examined, look_at, write
from making import TINY_ON_BASE, custom, make_dataset
from PIL import Image

CLASSES = ('daisy', 'rose', 'tulip')
NAMES = f'metainfo=dict(classes={list(CLASSES)}),'
SIZES = {'000': (80, 40), '002': (40, 64), '003': (36, 36)}
LOAD = "dict(type='LoadImageFromFile')"
CROP = "dict(type='RandomResizedCrop', scale=32)"
EDGE = "dict(type='ResizeEdge', scale=36, edge='short')"
PACK = "dict(type='PackInputs')"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Photos as wide as high, wider and higher."""
    counts = dict.fromkeys(CLASSES, 6)
    root = make_dataset(tmp_path / 'mine', train=counts, val=counts)
    for path in root.glob('*/*/*.jpg'):
        with Image.open(path) as photo:
            photo.resize(SIZES.get(path.stem, photo.size)).save(path)
    return root


@pytest.fixture
def examine(tmp_path: Path, root: Path):
    def run(text: str, *words: str) -> Examined:
        path = write(tmp_path, text)
        options = ('--data-root', root, '--device', 'cpu', '--from-scratch')
        return look_at(path, *options, *words)

    return run


def piped(*steps: str, loader: str = 'train_dataloader') -> str:
    """The small model, with a pipeline of these steps."""
    steps = ', '.join(steps)
    return f"{TINY_ON_BASE}{loader}['dataset'] = dict(pipeline=[{steps}])\n"


def stops(seen: Examined) -> list:
    return [
        f
        for f in seen.found
        if f.level == STOP or 'could not be checked' in f.what
    ]


# --- sizes -------------------------------------------------------------------


@pytest.mark.parametrize(
    ('loader', 'mend'),
    [('train', 'RandomResizedCrop'), ('val', 'CenterCrop')],
)
def test_photos_of_different_sizes(examine, loader, mend):
    loader = f'{loader}_dataloader'
    (found,) = stops(examine(piped(LOAD, EDGE, PACK, loader=loader)))
    assert found.where == f'{loader}.dataset.pipeline'
    assert '36 x 72' in found.what
    assert mend in found.mend
    step = found.mend.partition(' before')[0]
    assert stops(examine(piped(LOAD, EDGE, step, PACK, loader=loader))) == []


def test_a_crop_that_is_larger_than_a_photo(examine):
    crop = "dict(type='CenterCrop', crop_size=48)"
    (found,) = stops(examine(piped(LOAD, crop, PACK)))
    assert 'CenterCrop' in found.mend
    larger = EDGE.replace('36', '48')
    assert stops(examine(piped(LOAD, larger, crop, PACK))) == []
    padded = crop.replace(')', ', auto_pad=True)')
    assert stops(examine(piped(LOAD, padded, PACK))) == []


def test_sizes_that_make_a_batch(examine, root):
    """Two numbers, photos that are alone, and photos that are all alike."""
    resize = "dict(type='Resize', scale=(32, 32))"
    assert stops(examine(piped(LOAD, resize, PACK))) == []
    text = piped(LOAD, EDGE, PACK, loader='val_dataloader')
    alone = ('--cfg-options', 'val_dataloader.batch_size=1')
    assert stops(examine(text, *alone)) == []
    for path in (root / 'val').glob('*/*.jpg'):
        with Image.open(path) as photo:
            photo.resize((48, 40)).save(path)
    assert stops(examine(text)) == []


def test_sizes_of_a_stock_dataset(examine, root):
    text = custom(root, NAMES).replace(
        'pipeline=train_pipeline', f'pipeline=[{LOAD}, {EDGE}, {PACK}]'
    )
    found = stops(examine(text))
    assert [f.where.partition('.')[0] for f in found] == [
        'train_dataloader',
        'val_dataloader',
    ]


def test_sizes_inside_a_wrapper(examine):
    text = (
        TINY_ON_BASE
        + f"""
train_dataloader['dataset'] = dict(
    _delete_=True, type='RepeatDataset', times=2, dataset=dict(
        type='FlowerDataset', data_root='x', split='train',
        pipeline=[{LOAD}, {EDGE}, {PACK}]))
"""
    )
    (found,) = stops(examine(text))
    assert found.where == 'train_dataloader.dataset.dataset.pipeline'
    assert stops(examine(text.replace(EDGE, CROP))) == []


# --- steps -------------------------------------------------------------------


@pytest.mark.parametrize(
    ('loader', 'steps', 'number', 'mend'),
    [
        (
            'train',
            (LOAD, CROP, "dict(type='torchvision/ToTensor')"),
            2,
            'PackInputs',
        ),
        ('train', (CROP, PACK), 0, 'LoadImageFromFile'),
        (
            'val',
            ("dict(type='Resize', scale=(32, 32))", PACK),
            0,
            'LoadImageFromFile',
        ),
        (
            'train',
            (
                LOAD,
                "dict(type='torchvision/RandomResizedCrop', size=32)",
                PACK,
            ),
            1,
            'NumpyToPIL',
        ),
        (
            'train',
            (
                "dict(type='LoadImageFromFile', to_float32=True)",
                CROP,
                "dict(type='ColorJitter', brightness=0.2)",
                PACK,
            ),
            2,
            'pipeline.0.to_float32=False',
        ),
    ],
    ids=['unpacked', 'not loaded', 'val not loaded', 'array', 'float'],
)
def test_a_step_that_does_not_fit(examine, loader, steps, number, mend):
    loader = f'{loader}_dataloader'
    (found,) = stops(examine(piped(*steps, loader=loader)))
    assert found.where == f'{loader}.dataset.pipeline.{number}'
    assert mend in found.mend


def test_steps_that_fit(examine):
    mine = "dict(type='torchvision/RandomResizedCrop', size=32)"
    to, back = (
        "dict(type='NumpyToPIL', to_rgb=True)",
        "dict(type='PILToNumpy', to_bgr=True)",
    )
    for steps in (
        (LOAD, to, mine, back, PACK),
        (LOAD, CROP, "dict(type='torchvision/ToTensor')", PACK),
        ("dict(type='LoadImageFromFile', to_float32=True)", CROP, PACK),
    ):
        assert stops(examine(piped(*steps))) == []


def test_steps_of_both_loaders_are_told_once(examine, root):
    steps = f"[{LOAD}, dict(type='torchvision/Resize', size=32), {PACK}]"
    text = custom(root, NAMES).replace(
        'pipeline=train_pipeline', f'pipeline={steps}'
    )
    (found,) = stops(examine(text))
    assert found.where == 'train_dataloader.dataset.pipeline.1'


def test_a_broken_photo_is_no_fault_of_a_step(examine, root):
    """It is told with the photos."""
    for path in (root / 'train').glob('*/*.jpg'):
        path.write_bytes(path.read_bytes()[:400])
    seen = examine(TINY_ON_BASE)
    assert not seen.about('does not get through')


def test_the_draws_of_the_run_are_left_alone(examine):
    def draws() -> tuple:
        return random.random(), np.random.rand(), torch.rand(1).item()

    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    expected = draws()
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    mix = "model['train_cfg'] = dict(augments=dict(type='Mixup', alpha=0.8))\n"
    assert stops(examine(TINY_ON_BASE + mix)) == []
    assert draws() == expected


def test_training_stops_before_a_worker_does(tmp_path, root):
    config = write(tmp_path, piped(LOAD, EDGE, PACK))
    words = (config, '--data-root', root, '--work-dir', tmp_path / 'run')
    done = forked.start(tmp_path / 'train.log', 'train', *words)
    assert done.wait() == 2
    assert 'gives photos of different sizes' in done.text
    assert 'Traceback' not in done.text
