"""A config as it was read: what it lacks, and what our tools want of it."""

import copy
import random

import forked
import pytest
from bases import OURS, THEIRS
from examining import STOP, WARN, read, write
from helpers import ROOT
from mmengine.config import Config

from flower_mm.checks import run
from flower_mm.checks.keys import wording

CONFIGS = sorted((ROOT / 'configs' / 'flower').glob('*_flower.py'))


# MMPretrain's own configs, of many kinds.
STOCK = [
    'resnet/resnet50_8xb32_in1k',
    'resnet/resnet50_32xb64-warmup-coslr_in1k',
    'resnet/resnet50_8xb256-rsb-a1-600e_in1k',
    'resnet/resnet18_8xb16_cifar10',
    'resnet/resnet50_8xb8_cub',
    'mobilenet_v2/mobilenet-v2_8xb32_in1k',
    'mobilenet_v3/mobilenet-v3-large_8xb128_in1k',
    'swin_transformer/swin-tiny_16xb64_in1k',
    'vision_transformer/vit-base-p16_32xb128-mae_in1k',
    'convnext/convnext-tiny_32xb128_in1k',
    'efficientnet/efficientnet-b0_8xb32_in1k',
    'tinyvit/tinyvit-5m_8xb256_in1k',
    'densenet/densenet121_4xb256_in1k',
    'deit3/deit3-small-p16_64xb64_in1k',
    'beit/benchmarks/beit-base-p16_8xb128-coslr-100e_in1k',
    'shufflenet_v2/shufflenet-v2-1x_16xb64_in1k',
    'mae/mae_vit-base-p16_8xb512-amp-coslr-300e_in1k',
    'repvgg/repvgg-A0_8xb32_in1k',
]


@pytest.mark.parametrize('config', CONFIGS, ids=lambda path: path.stem)
def test_our_own_configs_have_nothing_amiss(config):
    cfg, args = read(config)
    assert list(wording.check(cfg, args)) == []


@pytest.mark.parametrize('name', STOCK)
def test_configs_of_mmpretrain_have_nothing_amiss(name, check):
    assert check(f"_base_ = 'mmpretrain::{name}.py'").found == []


def test_a_config_without_a_part_stops(check):
    seen = check(THEIRS + 'optim_wrapper = None')
    found = seen.one('The config has no optim_wrapper')
    assert found.level == STOP
    assert 'MMClassification' not in seen.text


LAZY = """
from mmengine.config import read_base
with read_base():
    from .lazy_base import *
train_cfg.update(max_epochs=10)
model.backbone.update(DEPTH=18)
learning_rate = 0.5
"""


LAZY_BASE = """
from mmpretrain.models import ImageClassifier, LinearClsHead, ResNet
from torch.optim import SGD
default_scope = 'mmpretrain'
model = dict(
    type=ImageClassifier,
    backbone=dict(type=ResNet, depth=18),
    head=dict(type=LinearClsHead, in_channels=512, num_classes=3))
train_dataloader = dict(
    batch_size=8, dataset=dict(type='CustomDataset', data_root='flowers'))
optim_wrapper = dict(optimizer=dict(type=SGD, lr=0.1, momentum=0.9))
train_cfg = dict(by_epoch=True, max_epochs=100)
"""


def test_configs_that_name_classes_by_import(check, tmp_path):
    write(tmp_path, LAZY_BASE, 'lazy_base.py')
    (found,) = check(LAZY.replace('DEPTH', 'depth')).found
    assert 'learning_rate is set, and read by nobody' in found.what
    seen = check(LAZY.replace('DEPTH', 'depht'))
    assert 'depth is meant?' in seen.one('ResNet takes no depht').mend


ODD = [None, 0, -1, 1.5, '', 'x', [], {}, [1, 2], {'type': 'ResNet'}, True]


def test_any_value_anywhere_is_looked_at(config, dataset):
    """What the checks stumble over would be hidden by a note."""
    cfg, args = read(config, '--data-root', dataset)
    places = [
        (path, key) for path, part in _parts(cfg._cfg_dict) for key in part
    ]
    rng = random.Random(0)
    for path, key in rng.sample(places, 40):
        strange = copy.deepcopy(cfg)
        part = strange._cfg_dict
        for step in path:
            part = part[step]
        part[key] = rng.choice(ODD)
        found, _ = run.examine(strange, args)
        hidden = [str(f) for f in found if 'could not be checked' in f.what]
        mine = [text for text in hidden if 'keys' in text or 'sched' in text]
        assert mine == [], (path, key, part[key])


def _parts(part: object, path: tuple = ()):
    if isinstance(part, dict):
        yield path, part
        for key, value in part.items():
            yield from _parts(value, (*path, key))


def test_a_run_without_a_seed(examine_whole):
    seen = examine_whole(THEIRS)
    found = seen.one('No seed is set')
    assert found.level == WARN
    assert found.mend == '--seed 0'
    assert not examine_whole(THEIRS, '--seed', '0').about('No seed')
    text = THEIRS + 'randomness = dict(seed=0)'
    assert not examine_whole(text).about('No seed')


def test_a_config_of_theirs_leaves_less(examine_whole):
    found = examine_whole(THEIRS).one("MMEngine's own Runner")
    assert found.level == WARN
    assert 'mmpretrain::_base_/models/resnet50.py' in found.mend
    assert not examine_whole(OURS).about('own Runner')


@pytest.mark.parametrize(
    'flag',
    [
        '--amp',
        '--from-scratch',
        '--head-only',
        '--no-report',
        '--folds=2',
        '--retry-nan=1',
        '--skip-broken',
    ],
)
def test_flags_that_a_config_of_theirs_does_not_have(flag, check):
    found = check(THEIRS, flag, '--device', 'cpu').one(flag.partition('=')[0])
    assert found.level == STOP
    assert check(OURS, flag, '--device', 'cpu').found == []


def test_a_config_without_a_file(check):
    cfg, args = read(CONFIGS[0])
    made = Config(cfg.to_dict())
    made.optimizer = {'lr': 1}
    assert list(wording.check(made, args)) == []


def test_training_stops_with_what_is_wrong(config, dataset, tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text(
        f'_base_ = {str(config)!r}\n'
        'lr = 0.001\n'
        'model = dict(backbone=dict(frozen_stage=1))\n'
    )
    options = path, '--data-root', dataset, '--work-dir', tmp_path / 'run'
    run = forked.start(tmp_path / 'log', 'train', *options)
    assert run.wait() == 2
    assert 'ResNet takes no frozen_stage' in run.text
    assert 'model.backbone.frozen_stages is meant?' in run.text
    assert 'lr is set, and read by nobody' in run.text
    assert not (tmp_path / 'run').exists()
