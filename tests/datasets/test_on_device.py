"""Batches made on the device are those that workers would load."""

import json
import os
import shutil
from pathlib import Path

import forked
import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.dataset import RepeatDataset
from mmengine.registry import DefaultScope
from mmpretrain.models import ClsDataPreprocessor
from PIL import Image
from torch.utils.data import DataLoader

from benchmarks.kill_anywhere.same import differences
from flower_mm.datasets.on_device import DeviceLoader, placed
from flower_mm.engine.runner import FlowerRunner
from flower_mm.errors import UserError

LOAD, PACK = {'type': 'LoadImageFromFile'}, {'type': 'PackInputs'}
VAL = [
    LOAD,
    {'type': 'ResizeEdge', 'scale': 36},
    {'type': 'CenterCrop', 'crop_size': 32},
    PACK,
]
TRAIN = [
    LOAD,
    {'type': 'GrowingCrop', 'scales': [24, 32]},
    {'type': 'RandomFlip', 'prob': 0.5, 'direction': 'horizontal'},
    {'type': 'ColorJitter', 'brightness': 0.4, 'saturation': 0.4},
    {'type': 'RandomErasing', 'erase_prob': 0.4},
    PACK,
]
OPTIONS = [
    f'{split}_dataloader.on_device=True' for split in ('train', 'val', 'test')
]
# Kills the run when the second epoch begins.
DIE = """
import os, signal
from flower_mm.engine.draws import EpochSeedHook
before = EpochSeedHook.before_train_epoch
def die(self, runner):
    if runner.epoch == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    before(self, runner)
EpochSeedHook.before_train_epoch = die
"""


@pytest.fixture
def root(dataset: Path, tmp_path: Path) -> Path:
    """Photos of different sizes."""
    root = Path(shutil.copytree(dataset, tmp_path / 'flowers'))
    rng = np.random.default_rng(0)
    for photo in sorted(root.rglob('*.jpg')):
        size = rng.integers(36, 80, 2).tolist()
        Image.open(photo).resize(size).save(photo, quality=95)
    return root


def loader(
    root: Path,
    pipeline: list[dict] = VAL,
    wanted: bool | str = True,
    batch_size: int = 8,
    shuffle: bool = False,
    **dataset,
) -> DataLoader:
    DefaultScope.get_instance('test_on_device', scope_name='flower_mm')
    cfg = ConfigDict(
        batch_size=batch_size,
        num_workers=2 if wanted else 0,
        persistent_workers=bool(wanted),
        sampler={'type': 'DefaultSampler', 'shuffle': shuffle},
        collate_fn={'type': 'default_collate'},
        dataset={
            'type': 'FlowerDataset',
            'data_root': str(root),
            'split': 'train',
            'pipeline': pipeline,
            'decode_once': 40,
            **dataset,
        },
        on_device=wanted,
    )
    return FlowerRunner.build_dataloader(cfg, seed=0)


def pixels(batches: object) -> torch.Tensor:
    return torch.cat([batch['inputs'] for batch in batches]).int()


def facts(batches: object) -> list[tuple]:
    return [
        (
            sample.sample_idx,
            sample.img_path,
            sample.gt_label.tolist(),
            tuple(sample.ori_shape),
            tuple(sample.img_shape[:2]),
        )
        for batch in batches
        for sample in batch['data_samples']
    ]


@pytest.mark.parametrize('shuffle', [False, True])
def test_validation_sees_what_it_ever_saw(root, shuffle):
    ours = list(loader(root, shuffle=shuffle))
    ordinary = list(loader(root, wanted=False, shuffle=shuffle))
    assert [len(b['inputs']) for b in ours] == [8, 8, 8, 8, 7]
    assert facts(ours) == facts(ordinary)
    assert (pixels(ours) - pixels(ordinary)).abs().max() <= 1
    assert ours[0]['inputs'].dtype == torch.uint8
    assert ours[0]['inputs'].is_contiguous(memory_format=torch.channels_last)


def test_the_model_is_given_what_it_ever_was(root):
    prepare = ClsDataPreprocessor(
        mean=[120.0, 110.0, 100.0],
        std=[58.0, 57.0, 56.0],
        to_rgb=True,
        num_classes=3,
        to_onehot=True,
    )
    ours, ordinary = (
        prepare(next(iter(loader(root, wanted=wanted))))
        for wanted in (True, False)
    )
    # One grey level.
    assert (ours['inputs'] - ordinary['inputs']).abs().max() < 1.01 / 56
    for one, other in zip(
        ours['data_samples'], ordinary['data_samples'], strict=True
    ):
        assert torch.equal(one.gt_score, other.gt_score)


def seen(loader: DeviceLoader, seed: int, epoch: int) -> dict:
    """Each photo as the model is given it in an epoch, by its number."""
    loader.dataset.set_epoch(seed, epoch, 4)
    loader.sampler.set_epoch(epoch)
    return {
        sample.sample_idx: photo
        for batch in loader
        for sample, photo in zip(
            batch['data_samples'], batch['inputs'], strict=True
        )
    }


def same(one: dict, other: dict) -> int:
    assert one.keys() == other.keys() == set(range(39))
    return sum(torch.equal(one[i], other[i]) for i in one)


def test_a_photo_is_a_function_of_seed_epoch_and_index(root):
    ours = loader(root, TRAIN, shuffle=True)
    expected = [seen(ours, 5, epoch) for epoch in (0, 1, 3)]
    again = [seen(ours, 5, epoch) for epoch in (0, 1, 3)]
    # Its neighbours and its place in a batch do not matter.
    alone = loader(root, TRAIN, batch_size=1)
    for one, two, epoch in zip(expected, again, (0, 1, 3), strict=True):
        assert same(one, two) == 39
        assert same(one, seen(alone, 5, epoch)) == 39
    assert same(expected[0], expected[1]) == 0
    assert same(expected[0], seen(ours, 6, 0)) == 0
    shapes = [tuple(photos[0].shape) for photos in expected]
    assert shapes == [(3, 24, 24), (3, 24, 24), (3, 32, 32)]


def test_generators_do_not_matter_and_do_not_move(root):
    ours = loader(root, TRAIN)
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    first = pixels(ours)
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(pixels(ours), first)


def test_it_is_a_loader_as_others(root):
    ours, ordinary = loader(root), loader(root, wanted=False)
    assert type(ours) is DeviceLoader
    assert type(ordinary) is DataLoader
    for name in ('batch_size', 'drop_last'):
        assert getattr(ours, name) == getattr(ordinary, name)
    assert len(ours) == len(ordinary) == 5
    assert len(ours.dataset) == 39
    assert FlowerRunner.build_dataloader(ours) is ours


def test_the_same_photos_seen_otherwise(root):
    training = loader(root, TRAIN, shuffle=True, batch_size=5)
    plain = loader(root)
    found = list(training.seen_by(plain.dataset.pipeline, 8))
    assert facts(found) == facts(plain)
    assert torch.equal(pixels(found), pixels(plain))
    # What it learns from stays as it was.
    assert next(iter(training))['inputs'].shape[2] == 24


# --- broken photos ----------------------------------------------------------


def spoil(root: Path, *places: int) -> list[Path]:
    lines = (root / 'train.txt').read_text().splitlines()
    paths = [root / 'train' / lines[i].rpartition(' ')[0] for i in places]
    for path in paths:
        path.write_bytes(path.read_bytes()[:60])
    return paths


def test_a_broken_photo_stops_at_once(root):
    (path,) = spoil(root, 3)
    with pytest.raises(UserError, match='--skip-broken') as error:
        loader(root, TRAIN)
    assert str(path) in str(error.value)


def test_the_stand_in_is_the_ordinary_one(root):
    broken = 3, 4
    spoil(root, *broken)
    ours = loader(root, VAL, broken='skip')
    ordinary = loader(root, VAL, False, broken='skip')
    found = []
    for epoch in (0, 1, 2):
        for each in (ours, ordinary):
            each.dataset.set_epoch(7, epoch)
        assert facts(ours) == facts(ordinary)
        assert (pixels(ours) - pixels(ordinary)).abs().max() <= 1
        found.append(facts(ours)[3][0])
    assert len(set(found)) > 1
    skipped = ours.dataset.skipped.nonzero().flatten().tolist()
    assert tuple(skipped) == broken
    assert skipped == ordinary.dataset.skipped.nonzero().flatten().tolist()


def test_too_many_broken_photos(root):
    spoil(root, 1, 5, 9, 13)
    with pytest.raises(UserError, match='too many to skip'):
        loader(root, broken='skip')


def test_a_photo_that_is_whole_again(root):
    """The decoded file holds it as broken, and knows it by its date."""
    path = Path(facts(loader(root))[6][1])
    good = path.read_bytes()
    for content in (bytes(len(good)), good):
        path.write_bytes(content)
        os.utime(path, (1, 1))
        ordinary = loader(root, wanted=False)
    assert not ordinary.dataset.decoded.table[6, 1]
    ours = loader(root)
    assert facts(ours)[6][1] == str(path)
    assert (pixels(ours) - pixels(ordinary)).abs().max() <= 1


# --- what cannot be ---------------------------------------------------------


@pytest.mark.parametrize(
    ('change', 'why'),
    [
        ({'pipeline': [LOAD, {'type': 'Rotate', 'angle': 9.0}, PACK]}, 'Rot'),
        ({'pipeline': [LOAD, PACK]}, 'different sizes'),
    ],
)
def test_what_cannot_be_on_the_device(root, change, why):
    with pytest.raises(UserError, match=why) as error:
        loader(root, **change)
    assert 'RandomResizedCrop' in str(error.value) or 'on_device=False' in str(
        error.value
    )


def test_wrapped_photos_cannot_be_on_the_device(root):
    plain = loader(root, wanted=False)
    repeated = RepeatDataset(plain.dataset, 2)
    with pytest.raises(UserError, match=r'RepeatDataset.*on_device=False'):
        placed(
            {'dataset': repeated, 'on_device': True},
            lambda cfg: DataLoader(**cfg),
        )


def test_photos_for_the_device_are_decoded_once(root):
    assert loader(root, decode_once=0).dataset.decode_once == 320
    assert loader(root, decode_once=40).dataset.decode_once == 40
    assert loader(root, wanted=False, decode_once=0).dataset.decode_once == 0


def test_a_wrong_word(root):
    with pytest.raises(UserError, match="'auto', not 'gpu'"):
        loader(root, wanted='gpu')


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_without_a_gpu_auto_means_workers(root, capsys):
    capsys.readouterr()
    assert loader(root, wanted='auto').num_workers == 2
    assert capsys.readouterr().out == ''


@pytest.mark.skipif(not torch.cuda.is_available(), reason='there is no GPU')
def test_on_a_gpu_nothing_is_waited_for(root):
    ours, ordinary = loader(root, wanted='auto'), loader(root, wanted=False)
    assert facts(ours) == facts(ordinary)
    there = pixels(ours)
    assert there.is_cuda
    assert (there.cpu() - pixels(ordinary)).abs().max() <= 1
    batches = iter(loader(root, TRAIN, 'auto'))
    next(batches)  # the order of the photos has to get there
    torch.cuda.set_sync_debug_mode('error')
    try:
        assert len(list(batches)) == 4
    finally:
        torch.cuda.set_sync_debug_mode('default')


# --- trainings --------------------------------------------------------------


@pytest.fixture(scope='module')
def whole(
    config: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    run = tmp_path_factory.mktemp('on_device') / 'run'
    options = '--data-root', dataset, '--work-dir', run
    forked.finish(
        run.with_name('log'), 'train', config, *options,
        '--cfg-options', *OPTIONS, report=True,
    )  # fmt: skip
    return run


def test_a_whole_training(whole, plain_run):
    said = whole.with_name('log').read_text()
    # A key that is known; the next command names it.
    assert 'dataloader.on_device' not in said.partition('next:')[0]
    assert (whole / 'report.html').is_file()
    ours, plain = (
        json.loads((run / 'run.json').read_text())['result']
        for run in (whole, plain_run)
    )
    # Other draws, the same accuracy; of 18 photos.
    assert abs(ours['best_top1'] - plain['best_top1']) < 30, (ours, plain)
    assert (whole / 'best.pth').is_file()


def test_resumed_it_is_the_same_run(whole, config, dataset, tmp_path):
    script = tmp_path / 'die.py'
    script.write_text(DIE)
    options = [
        *(config, '--data-root', dataset, '--work-dir', tmp_path / 'part'),
        *('--cfg-options', *OPTIONS),
    ]
    run = forked.start(
        tmp_path / 'log1', 'train', *options, first=str(script), report=True
    )
    assert run.wait() == -9, run.text
    options += ['--resume']
    forked.finish(tmp_path / 'log2', 'train', *options, report=True)
    assert differences(whole, tmp_path / 'part') == []


def test_the_tool_says_what_cannot_be(config, dataset, tmp_path):
    run = forked.start(
        tmp_path / 'log', 'train', config, '--data-root', dataset,
        '--work-dir', tmp_path / 'run', '--cfg-options',
        'train_dataloader.on_device=True',
        'train_dataloader.dataset.pipeline.1.interpolation=bicubic',
    )  # fmt: skip
    assert run.wait() == 2, run.text
    assert 'on_device=False' in run.text
