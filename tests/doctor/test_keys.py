"""Keys that nobody reads, and those on which a run ends."""

import copy
import random
from pathlib import Path

import forked
import pytest
from examining import NOTE, STOP, WARN, Examined, look_at, read, write
from helpers import ROOT
from mmengine.config import Config

from flower_mm.doctor import run
from flower_mm.doctor.keys import wording
from flower_mm.doctor.keys.accepted import takes
from flower_mm.doctor.keys.source import read_sources

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


OURS = "_base_ = 'CONFIGS/resnet18_flower.py'\n"
THEIRS = "_base_ = 'mmpretrain::resnet/resnet50_8xb32_in1k.py'\n"


@pytest.fixture
def check(tmp_path: Path):
    """Look at the keys alone, which takes no dataset."""

    def run(text: str, *words: str | Path) -> Examined:
        cfg, args = read(write(tmp_path, text), *words)
        found = list(dict.fromkeys(wording.check(cfg, args)))
        # Said of every config of MMPretrain's, and tested for itself.
        usual = 'runner_type', 'randomness.seed'
        return Examined([f for f in found if f.where not in usual], None)

    return run


@pytest.mark.parametrize('config', CONFIGS, ids=lambda path: path.stem)
def test_our_own_configs_have_nothing_amiss(config):
    cfg, args = read(config)
    assert list(wording.check(cfg, args)) == []


@pytest.mark.parametrize('name', STOCK)
def test_configs_of_mmpretrain_have_nothing_amiss(name, check):
    assert check(f"_base_ = 'mmpretrain::{name}.py'").found == []


# --- mistake 2: set where nobody reads it ------------------------------------


IGNORED = {
    'lr = 0.001': 'optim_wrapper.optimizer.lr stays 0.1',
    'learning_rate = 0.001': 'optim_wrapper.optimizer.lr stays 0.1',
    'max_epochs = 20': 'train_cfg.max_epochs stays 100',
    'batch_size = 8': 'train_dataloader.batch_size stays 32',
    "data_root = 'data/mine'": "data_root stays 'data/imagenet'",
    "dataset_type = 'CustomDataset'": "dataset.type stays 'ImageNet'",
    "train_pipeline = [dict(type='LoadImageFromFile')]": "still the base's",
    "backbone = dict(type='ResNet', depth=18)": 'model.backbone',
    'milestones = [5, 8]': "param_scheduler.milestones is still the base's",
    "pretrained = 'resnet50.pth'": 'load_from is not set',
    'checkpoint = dict(interval=5)': "checkpoint is still the base's",
}


@pytest.mark.parametrize(('line', 'said'), IGNORED.items(), ids=list(IGNORED))
def test_a_variable_that_the_base_has_used_already(line, said, check):
    (found,) = check(THEIRS + line).found
    assert found.level == WARN
    assert said in found.what
    assert found.where.endswith('mine.py:2')


@pytest.mark.parametrize(
    ('line', 'option'),
    [
        ('lr = 0.001', 'optim_wrapper.optimizer.lr=0.001'),
        ('max_epochs = 20', 'train_cfg.max_epochs=20'),
        ("data_root = 'data/mine'", '--data-root data/mine'),
        (
            'test_pipeline = []',
            'val_dataloader = dict(dataset=dict(pipeline=test_pipeline))',
        ),
    ],
)
def test_where_it_belongs_is_told(line, option, check):
    assert option in check(THEIRS + line).found[0].mend


@pytest.mark.parametrize(
    'text',
    [
        # Used here, or by what builds on it, or as it is anyway.
        'lr = 0.001\noptim_wrapper = dict(optimizer=dict(lr=lr))',
        'max_epochs = 100',
        'data_root = {{_base_.train_dataloader.dataset.data_root}}\n'
        'train_dataloader = dict(dataset=dict(data_root=data_root))',
        'from pathlib import Path\nhere = Path.cwd()\n'
        'work_dir = str(here)\ndel here',
        '_note = dict(by="me")',
        # classes.txt decides about those.
        "num_classes = 5\nclasses = ['a', 'b', 'c', 'd', 'e']",
        'find_unused_parameters = True',
        "env_cfg = dict(cudnn_benchmark=True)\nlog_level = 'WARNING'",
    ],
)
def test_what_is_used_is_left_alone(text, check):
    assert check(THEIRS + text).found == []


def test_a_variable_for_those_that_build_on_the_file(check, tmp_path):
    write(tmp_path, THEIRS + 'width = 5\nheight = 6', 'base.py')
    used = "_base_ = 'base.py'\nmodel = dict(backbone=dict(depth={}))"
    for name in ('{{_base_.width}}', '_base_.width'):
        (found,) = check(used.format(name)).found
        assert 'height is read by nobody' in found.what
        assert found.level == NOTE
        assert 'base.py:3' in found.where


def test_the_command_line_decides_about_the_data_root(check):
    text = THEIRS + "data_root = 'data/mine'"
    assert check(text, '--data-root', 'data/other').found == []


@pytest.mark.parametrize(
    ('line', 'meant'),
    [
        ('optim_wraper = dict(optimizer=dict(lr=0.001))', 'optim_wrapper'),
        ('param_schedulers = []', 'param_scheduler'),
        ('train_loader = dict(batch_size=8)', 'train_dataloader'),
        ('custom_hook = []', 'custom_hooks'),
        ("load_form = 'x.pth'", 'load_from'),
    ],
)
def test_a_misspelt_key_is_ignored(line, meant, check):
    (found,) = check(THEIRS + line).found
    assert found.level == WARN
    assert found.mend == f'{meant} is meant?'


@pytest.mark.parametrize(
    ('option', 'meant'),
    [
        ('lr=0.001', 'optim_wrapper.optimizer.lr=0.001'),
        ('max_epochs=20', 'train_cfg.max_epochs=20'),
        ('data_root=data/mine', '--data-root data/mine'),
        ('optimizer.lr=0.001', 'optim_wrapper.optimizer.lr=0.001'),
        ('runner.max_epochs=20', 'train_cfg.max_epochs=20'),
        ('optim_wraper.optimizer.lr=0.001', 'optim_wrapper is meant?'),
    ],
)
def test_an_option_that_changes_nothing(option, meant, check):
    (found,) = check(THEIRS, '--cfg-options', option).found
    assert found.level == WARN
    assert meant in found.mend
    assert option.partition('=')[0] in found.where


def test_options_that_change_something(check):
    options = ['optim_wrapper.optimizer.lr=0.001', 'train_cfg.max_epochs=20']
    assert check(THEIRS, '--cfg-options', *options, 'load_from=x').found == []


# --- mistake 2: MMClassification 0.x -----------------------------------------


OLD = """
data = dict(
    samples_per_gpu=8, workers_per_gpu=2,
    train=dict(type='CustomDataset', data_prefix='data/flower/train'),
    val=dict(type='CustomDataset', data_prefix='data/flower/val'))
evaluation = dict(interval=1, metric='accuracy')
optimizer = dict(type='SGD', lr=0.001, momentum=0.9, weight_decay=0.0001)
optimizer_config = dict(grad_clip=None)
lr_config = dict(policy='step', step=[30, 60, 90])
runner = dict(type='EpochBasedRunner', max_epochs=20)
checkpoint_config = dict(interval=5)
log_config = dict(interval=10, hooks=[dict(type='TextLoggerHook')])
"""


def test_old_keys_beside_a_new_base_are_ignored(check):
    seen = check(THEIRS + OLD)
    assert {found.level for found in seen.found} == {WARN}
    assert 'train_dataloader.batch_size=8' in seen.one('data is of').mend
    assert 'train_cfg.max_epochs stays 100' in seen.one('runner is of').what
    found = seen.one('optimizer is of')
    assert 'optim_wrapper.optimizer.lr stays 0.1' in found.what
    assert 'optim_wrapper.optimizer.lr=0.001' in found.mend
    assert 'momentum' not in found.what  # 0.9 in both
    assert 'param_scheduler' in seen.one('lr_config is of').mend
    assert seen.one('checkpoint_config is of')
    assert seen.one('log_config is of')


def test_a_whole_old_config_stops(check):
    seen = check("model = dict(type='ImageClassifier')" + OLD)
    found = seen.one('is one of MMClassification 0.x')
    assert found.level == STOP
    for key in ('train_dataloader', 'optim_wrapper', 'train_cfg'):
        assert key in found.what
    for key in ('data', 'optimizer', 'runner'):
        assert f'{key} is now' in found.mend


def test_a_config_without_a_part_stops(check):
    seen = check(THEIRS + 'optim_wrapper = None')
    found = seen.one('The config has no optim_wrapper')
    assert found.level == STOP
    assert 'MMClassification' not in seen.text


# --- keys that end the run ---------------------------------------------------


WRONG = {
    'optim_wrapper = dict(lr=0.001)': (
        'OptimWrapper takes no lr',
        'optim_wrapper.optimizer.lr is meant?',
    ),
    'optim_wrapper = dict(optimizer=dict(learning_rate=0.001))': (
        'SGD takes no learning_rate',
        '',
    ),
    'train_dataloader = dict(samples_per_gpu=8)': (
        'takes no samples_per_gpu',
        'train_dataloader.batch_size is meant',
    ),
    "train_dataloader = dict(data_root='data/mine')": (
        'takes no data_root',
        'train_dataloader.dataset.data_root is meant?',
    ),
    'train_dataloader = dict(dataset=dict(batch_size=8))': (
        'ImageNet takes no batch_size',
        'train_dataloader.batch_size is meant?',
    ),
    'train_cfg = dict(lr=0.001)': (
        'EpochBasedTrainLoop takes no lr',
        'optim_wrapper.optimizer.lr is meant?',
    ),
    'model = dict(num_classes=5)': (
        'ImageClassifier takes no num_classes',
        'is meant?',
    ),
    'model = dict(backbone=dict(frozen_stage=2))': (
        'ResNet takes no frozen_stage',
        'model.backbone.frozen_stages is meant?',
    ),
    'model = dict(head=dict(loss=dict(weight=1.0)))': (
        'CrossEntropyLoss takes no weight',
        '',
    ),
    'train_cfg = dict(max_epoch=10)': (
        'EpochBasedTrainLoop takes no max_epoch',
        'train_cfg.max_epochs is meant?',
    ),
    'param_scheduler = dict(milestone=[3])': (
        'MultiStepLR takes no milestone',
        'param_scheduler.milestones is meant?',
    ),
    'default_hooks = dict(logger=dict(intervals=2))': (
        'LoggerHook takes no intervals',
        'default_hooks.logger.interval is meant?',
    ),
    'default_hooks = dict(checkpont=dict(interval=2))': (
        'default_hooks.checkpont has no type',
        'default_hooks.checkpoint is meant?',
    ),
    "model = dict(backbone=dict(type='ResNt'))": (
        'No ResNt is registered',
        "'ResNet' is meant?",
    ),
    'param_scheduler = [dict(milestones=[3, 6])]': (
        'param_scheduler.0 has no type',
        'the whole item',
    ),
    'val_evaluator = dict(topK=(1,))': (
        'Accuracy takes no topK',
        'val_evaluator.topk is meant?',
    ),
    'randomness = dict(sed=1)': (
        'randomness takes no sed',
        'randomness.seed is meant?',
    ),
    'val_cfg = None': ('not set: val_cfg', 'val_cfg = dict(…)'),
    "train_cfg = dict(type='EpochBasedTrainLoop')": (
        'takes one of them',
        'by_epoch=True',
    ),
}


@pytest.mark.parametrize(
    ('line', 'said', 'mend'),
    [(line, *rest) for line, rest in WRONG.items()],
    ids=list(WRONG),
)
def test_a_key_that_ends_the_run(line, said, mend, check):
    found = check(THEIRS + line).one(said)
    assert found.level == STOP
    assert mend in found.mend


def test_what_the_base_leaves_to_another_class(check):
    seen = check(
        THEIRS + 'optim_wrapper = dict('
        "optimizer=dict(type='AdamW', lr=3e-4, weight_decay=0.05))"
    )
    (found,) = seen.found
    assert found.level == STOP
    assert found.what == (
        'AdamW takes no momentum: it is left over from the base.'
    )
    assert found.where == 'optim_wrapper.optimizer.momentum'
    assert (
        "optimizer=dict(_delete_=True, type='AdamW', lr=0.0003, "
        'weight_decay=0.05)' in found.mend
    )
    # As it is mended.
    seen = check(
        THEIRS + 'optim_wrapper = dict(optimizer=dict('
        "_delete_=True, type='AdamW', lr=3e-4, weight_decay=0.05))"
    )
    assert seen.found == []


def test_another_class_by_an_option_leaves_the_same(check):
    option = 'optim_wrapper.optimizer.type=AdamW'
    found = check(THEIRS, '--cfg-options', option).one('left over')
    assert found.where == 'optim_wrapper.optimizer.momentum'
    assert "optimizer=dict(_delete_=True, type='AdamW')" in found.mend


def test_a_dataset_that_another_one_left_its_split(check):
    seen = check(
        THEIRS + "train_dataloader = dict(dataset=dict(type='CustomDataset', "
        "data_root='data/flower', ann_file='train.txt', data_prefix='train'))"
    )
    (found,) = seen.found
    assert found.where == 'train_dataloader.dataset.split'
    assert 'pipeline' not in found.mend  # it is the base's


@pytest.mark.parametrize(
    'line',
    [
        "custom_hooks = [dict(type='EMAHook', momentum=4e-5, "
        "priority='ABOVE_NORMAL')]",
        "custom_hooks = [dict(type='EarlyStoppingHook', "
        "monitor='accuracy/top1', patience=5, rule='greater')]",
        "train_dataloader = dict(dataset=dict(classes=['a', 'b'], "
        "ann_file='train.txt', with_label=True, extensions=('.png',)))",
        'train_dataloader = dict(dataset=dict(_delete_=True, '
        "type='ClassBalancedDataset', oversample_thr=0.1, "
        "dataset=dict(type='CustomDataset', data_root='x')))",
        'train_dataloader = dict(drop_last=True, prefetch_factor=4, '
        "sampler=dict(type='RepeatAugSampler', num_repeats=2))",
        'train_dataloader = dict(dataset=dict(pipeline=['
        "dict(type='LoadImageFromFile'), "
        "dict(type='torchvision/RandomAffine', degrees=30, "
        "translate=(0.1, 0.1)), dict(type='RandAugment', policies="
        "'timm_increasing', num_policies=2, total_level=10, "
        "magnitude_level=9, magnitude_std=0.5), dict(type='PackInputs')]))",
        "optim_wrapper = dict(type='AmpOptimWrapper', loss_scale='dynamic', "
        'accumulative_counts=4, clip_grad=dict(max_norm=1.0), '
        'paramwise_cfg=dict(norm_decay_mult=0.0, custom_keys={'
        "'head': dict(lr_mult=10), 'bn': dict(lars_exclude=True)}))",
        "model = dict(backbone=dict(norm_cfg=dict(type='SyncBN', "
        "requires_grad=True), init_cfg=dict(type='Pretrained', "
        "checkpoint='x.pth', prefix='backbone')))",
        "model = dict(train_cfg=dict(augments=[dict(type='Mixup', "
        "alpha=0.8), dict(type='CutMix', alpha=1.0)], probs=[0.5, 0.5]))",
        "model = dict(_delete_=True, type='TimmClassifier', "
        "model_name='resnet18', num_classes=5, pretrained=False)",
        "val_evaluator = [dict(type='Accuracy', topk=(1,)), "
        "dict(type='SingleLabelMetric', items=['f1-score'], "
        'average=None)]',
        "visualizer = dict(type='UniversalVisualizer', vis_backends=["
        "dict(type='TensorboardVisBackend'), dict(type='WandbVisBackend', "
        "init_kwargs=dict(project='x'))])",
        "param_scheduler = [dict(type='LinearLR', start_factor=0.1, end=1, "
        "convert_to_iter_based=True), dict(type='OneCycleLR', eta_max=1)]",
        'auto_scale_lr = dict(base_batch_size=256, enable=True)',
        'optim_wrapper = dict(optimizer=dict(nesterov=True, fused=True))',
        "model = dict(type='mmpretrain.ImageClassifier', "
        "data_preprocessor=dict(type='ClsDataPreprocessor', to_rgb=True))",
    ],
)
def test_keys_that_classes_take(line, check):
    assert check(THEIRS + line).found == []


@pytest.mark.parametrize(
    ('line', 'said', 'mend'),
    [
        (
            'optim_wrapper = dict(paramwise_cfg=dict(norm_decay_multi=0.0))',
            'takes no norm_decay_multi, and it is ignored',
            'norm_decay_mult is meant?',
        ),
        (
            'optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'
            "'backbone': dict(lr_mul=0.1)}))",
            'takes no lr_mul, and it is ignored',
            'lr_mult is meant?',
        ),
        (
            'auto_scale_lr = dict(base_batchsize=32)',
            'takes no base_batchsize, and it is ignored',
            'base_batch_size is meant?',
        ),
    ],
)
def test_a_key_that_is_ignored_below(line, said, mend, check):
    (found,) = check(THEIRS + line).found
    assert found.level == WARN
    assert said in found.what
    assert mend in found.mend


def test_a_pipeline_of_the_old_kind(check):
    text = (
        THEIRS
        + """
train_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', size=224),
    dict(type='Normalize', mean=[123.675, 116.28, 103.53],
         std=[58.395, 57.12, 57.375], to_rgb=True),
    dict(type='ImageToTensor', keys=['img']),
    dict(type='ToTensor', keys=['gt_label']),
    dict(type='Collect', keys=['img', 'gt_label'])]))
"""
    )
    seen = check(text)
    found = seen.one('The pipeline ends in Collect')
    assert found.level == STOP
    assert 'instead of ImageToTensor, ToTensor, Collect' in found.mend
    found = seen.one('RandomResizedCrop takes no size')
    assert found.where == 'train_dataloader.dataset.pipeline.1.size'
    assert 'pipeline.1.scale is meant' in found.mend
    found = seen.one('normalised twice')
    assert found.level == WARN
    assert found.where == 'train_dataloader.dataset.pipeline.2'
    once = 'data_preprocessor = dict(mean=None, std=None)'
    assert not check(text + once).about('normalised')


def test_what_only_testing_builds_is_a_warning(check):
    line = 'test_dataloader = dict(dataset=dict(batch_size=8))'
    assert check(THEIRS + line).one('batch_size').level == WARN


def test_a_config_without_a_scope(check):
    seen = check(
        THEIRS
        + """
default_scope = None
model = dict(
    _delete_=True, type='ImageClassifier',
    backbone=dict(type='ResNet', depth=18),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', in_channels=512, num_classes=5))
"""
    )
    assert seen.one('No default_scope is set').mend == "'mmpretrain'"


def test_parts_of_ours_in_a_config_of_theirs(check):
    seen = check(
        THEIRS + 'default_hooks = dict(pretrained=dict('
        "type='PretrainedHook', weights='resnet50'))"
    )
    found = seen.one('PretrainedHook is of flower_mm')
    assert found.level == STOP
    assert "'flower_mm.PretrainedHook'" in found.mend


class Opaque:
    def __init__(self, one, **kwargs):
        self.rest = dict(kwargs)


class HandsUp(Opaque):
    def __init__(self, two, **kwargs):
        kwargs.setdefault('three', 3)
        super().__init__(one=1, **kwargs)


class Closed:
    def __init__(self, one):
        self.one = one


class Below(Closed):
    def __init__(self, two, **kwargs):
        kwargs = {'one': 1, **kwargs}
        self.four = kwargs.pop('four', None)
        super().__init__(**kwargs)


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


def test_keys_are_followed_to_the_parents():
    assert takes(HandsUp, 'anything')  # nobody knows what Opaque does
    for key in ('one', 'two', 'four'):
        assert takes(Below, key)
    assert not takes(Below, 'three')
    assert not takes(Closed, 'two')


# --- of the wrong kind -------------------------------------------------------


@pytest.mark.parametrize(
    ('line', 'place', 'mend'),
    [
        (
            "optim_wrapper = dict(optimizer=dict(lr='1e-3'))",
            'optim_wrapper.optimizer.lr',
            'without quotes',
        ),
        (
            "train_cfg = dict(max_epochs='20')",
            'train_cfg.max_epochs',
            'a whole number',
        ),
        (
            'train_cfg = dict(max_epochs=0)',
            'train_cfg.max_epochs',
            'from 1 on',
        ),
        (
            'train_dataloader = dict(batch_size=8.5)',
            'train_dataloader.batch_size',
            'a whole number',
        ),
        (
            'optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'
            "'backbone': 0.1}))",
            'optim_wrapper.paramwise_cfg.custom_keys.backbone',
            'lr_mult',
        ),
        (
            "param_scheduler = dict(milestones='3,6')",
            'param_scheduler.milestones',
            '[3, 6]',
        ),
        (
            "param_scheduler = [dict(type='StepLR', step_size='3')]",
            'param_scheduler.0.step_size',
            'a number',
        ),
        (
            "param_scheduler = ['CosineAnnealingLR']",
            'param_scheduler.0',
            "dict(type='…')",
        ),
        (
            'model = dict(_delete_=True, type="ImageClassifier", '
            'backbone="resnet50")',
            'model.backbone',
            'dict(',
        ),
        (
            'default_hooks = dict(logger=False)',
            'default_hooks.logger',
            'None to switch off',
        ),
        ('custom_hooks = ["EMAHook"]', 'custom_hooks.0', "type='"),
        (
            'val_dataloader = dict(_delete_=True, batch_size=8)',
            'val_dataloader.dataset',
            "type='",
        ),
    ],
)
def test_a_value_of_the_wrong_kind(line, place, mend, check):
    found = check(THEIRS + line).one(place)
    assert found.level == STOP
    assert found.where == place
    assert mend in found.mend


@pytest.mark.parametrize(
    'line',
    [
        'train_dataloader = dict(batch_size=8)',
        'train_cfg = dict(max_epochs=20.0)',
        "param_scheduler = [dict(type='LinearLR', end=0.5, "
        'convert_to_iter_based=True)]',
        'param_scheduler = dict(milestones=(3, 6))',
        'param_scheduler = None',
        'default_hooks = dict(logger=None)',
        'custom_hooks = None',
        'optim_wrapper = dict(paramwise_cfg=None)',
    ],
)
def test_values_of_the_right_kind(line, check):
    assert check(THEIRS + line).found == []


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


# --- mistakes 6 and 7 --------------------------------------------------------


def test_paths_of_somebody_elses_machine(check):
    text = (
        OURS
        + """
# As in /home/li/notes.txt.
work_dir = r'C:\\Users\\li\\work_dirs'
train_dataloader = dict(
    dataset=dict(data_root='/home/li/mmpretrain/data/flower'))
load_from = 'checkpoints/mine.pth'
"""
    )
    (found,) = check(text).found
    assert found.level == WARN
    assert 'C:\\Users\\li\\work_dirs and 1 more are not on' in found.what
    assert found.where.endswith('mine.py:4')
    root = '/home/li/mmpretrain/data/flower'
    (found,) = check(text, '--work-dir', 'x').found
    assert f'The path {root} is not on this machine' in found.what
    assert found.where.endswith('mine.py:6')
    assert check(text, '--work-dir', 'x', '--data-root', 'y').found == []


def test_a_personal_path_that_is_here_is_worth_a_note(check, tmp_path):
    text = OURS + "load_from = '~/../../tmp'"
    (found,) = check(text).found
    assert found.level == NOTE
    assert 'nobody else' in found.what


@pytest.mark.parametrize(
    'line',
    [
        "load_from = '../checkpoints/x.pth'",
        "load_from = 'https://host/home/x.pth'",
        "load_from = '/data/shared/x.pth'",  # of a lab's server
        "load_from = '{{fileDirname}}/home/x.pth'",
        "experiment_name = 'C: warm-up'",
    ],
)
def test_other_paths_are_left_alone(line, check):
    assert check(OURS + line).found == []


def test_a_run_without_a_seed(examine_whole):
    seen = examine_whole(THEIRS)
    found = seen.one('No seed is set')
    assert found.level == WARN
    assert found.mend == '--seed 0'
    assert not examine_whole(THEIRS, '--seed', '0').about('No seed')
    text = THEIRS + 'randomness = dict(seed=0)'
    assert not examine_whole(text).about('No seed')


# --- a config of theirs in a tool of ours ------------------------------------


@pytest.fixture
def examine_whole(tmp_path: Path, dataset: Path):
    def run(text: str, *words: str | Path) -> Examined:
        path = write(tmp_path, text)
        return look_at(path, '--data-root', dataset, *words)

    return run


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
        '--no-report',
        '--retry-nan=1',
        '--skip-broken',
    ],
)
def test_flags_that_a_config_of_theirs_does_not_have(flag, check):
    found = check(THEIRS, flag, '--device', 'cpu').one(flag.partition('=')[0])
    assert found.level == STOP
    assert check(OURS, flag, '--device', 'cpu').found == []


def test_a_run_counted_in_iterations_keeps_nothing(check):
    loop = "train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', {})"
    found = check(OURS + loop.format('max_iters=100')).one('iterations')
    assert found.level == WARN


# --- what is read of the file ------------------------------------------------


def test_who_sets_a_key_is_read_from_the_source(tmp_path):
    path = write(
        tmp_path,
        """
_base_ = ['mmpretrain::_base_/models/resnet18.py']
rates = dict(lr=0.1)
optim_wrapper = dict(optimizer=rates)
model = {'head': {'num_classes': 5}}
train_cfg = dict(max_epochs=3)
train_cfg['val_interval'] = 2
param_scheduler = [dict(type='StepLR', step_size=1)]
""",
    )
    mine, base = read_sources(path)
    assert base.packaged
    assert base.depth == 1
    assert base.sets('model.backbone.depth')
    assert not mine.sets('model.backbone.depth')
    assert mine.literal('model.head.num_classes') == 5
    assert mine.sets('optim_wrapper.optimizer.lr')
    assert mine.literal('optim_wrapper.optimizer.lr') is None
    assert mine.literal('train_cfg.val_interval') == 2
    assert mine.sets('param_scheduler.0.step_size')
    assert not mine.sets('param_scheduler.1')


@pytest.mark.parametrize(
    'text',
    ['model = dict(', '_base_ = f"{1}.py"', "_base_ = 'nowhere::x.py'", ''],
)
def test_a_source_that_cannot_be_read_is_left_out(text, tmp_path):
    path = tmp_path / 'odd.py'
    path.write_text(text)
    assert len(read_sources(path)) <= 1
    assert read_sources(tmp_path / 'missing.py') == []


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
