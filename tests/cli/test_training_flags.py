"""Flags of a training set keys of its config."""

import re

import pytest
from helpers import ROOT, tool

from flower_mm.cli.training_flags import parse_training, read_training_config
from flower_mm.config import read_config
from flower_mm.errors import UserError
from flower_mm.exit_codes import USER_ERROR
from flower_mm.image_size import image_size_settings, model_size
from flower_mm.packaged_configs import short_names

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
SETTINGS = {
    '--epochs 3': {'train_cfg.max_epochs': 3},
    '--batch-size 4': {'train_dataloader.batch_size': 4},
    '--lr 0.01': {'optim_wrapper.optimizer.lr': 0.01},
    '--workers 0': {f'{loader}.num_workers': 0 for loader in LOADERS},
    '--image-size 112': {
        'train_dataloader.dataset.pipeline.1.scale': 112,
        'val_dataloader.dataset.pipeline.1.scale': 116,
        'val_dataloader.dataset.pipeline.2.crop_size': 112,
        'test_dataloader.dataset.pipeline.1.scale': 116,
        'test_dataloader.dataset.pipeline.2.crop_size': 112,
    },
    '--epochs 2 --cfg-options train_dataloader.batch_size=8': {
        'train_cfg.max_epochs': 2,
        'train_dataloader.batch_size': 8,
    },
}


def read(config: str, *words: str):
    args = parse_training([config, *words])
    return read_training_config(args), args


def value_at(cfg, key: str) -> object:
    for step in key.split('.'):
        cfg = cfg[int(step) if step.isdigit() else step]
    return cfg


@pytest.mark.parametrize(('flags', 'settings'), SETTINGS.items())
def test_each_flag_sets_its_keys_and_no_others(flags, settings):
    cfg, args = read('resnet18', *flags.split())
    assert args.cfg_options == settings
    for key, value in settings.items():
        assert value_at(cfg, key) == value
    words = [f'{key}={value}' for key, value in settings.items()]
    other, _ = read('resnet18', '--cfg-options', *words)
    assert cfg.to_dict() == other.to_dict()


def test_patience_adds_the_hook_or_sets_its_key(tmp_path):
    cfg, _ = read('resnet18', '--patience', '3')
    hook = cfg.default_hooks.early_stopping
    assert (hook.type, hook.patience) == ('EarlyStoppingHook', 3)
    assert hook.monitor == 'accuracy/top1'
    cfg, _ = read('resnet18', '--patience', '3', '--balance')
    monitor = cfg.default_hooks.early_stopping.monitor
    assert monitor == cfg.default_hooks.checkpoint.save_best
    hook = 'dict(type="EarlyStoppingHook", monitor="accuracy/top1")'
    base = str(short_names()['resnet18'])
    path = tmp_path / 'mine.py'
    for line in (
        f'custom_hooks = [dict(type="Other"), {hook}]',
        f'default_hooks = dict(early_stopping={hook})',
    ):
        path.write_text(f'_base_ = [{base!r}]\n{line}\n')
        cfg, args = read(str(path), '--patience', '3')
        (name,) = args.cfg_options
        assert name.endswith('.patience')
        assert value_at(cfg, name) == 3


def test_a_key_that_is_set_twice_is_refused():
    options = 'train_cfg.max_epochs=3', 'train_cfg.val_interval=2'
    with pytest.raises(UserError, match=r'train_cfg\.max_epochs'):
        read('resnet18', '--epochs', '3', '--cfg-options', *options)


def test_a_network_of_timm_brings_its_preprocessing():
    cfg, args = read('timm', '--backbone', 'test_vit', '--image-size', '64')
    assert args.cfg_options['model.backbone.model_name'] == 'test_vit'
    assert cfg.model.backbone.img_size == 64
    assert cfg.data_preprocessor.mean == [127.5] * 3
    assert model_size(cfg.val_dataloader.dataset.pipeline) == '64 x 64'
    with pytest.raises(UserError, match='test_vit2'):
        read('timm', '--backbone', 'tst_vit2')
    with pytest.raises(UserError, match='TimmBackbone'):
        read('resnet18', '--backbone', 'test_vit')


CONFIGS = short_names().values()


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_the_image_size_of_packaged_configs(path):
    cfg = read_config(str(path))
    if path.stem.startswith('tinyvit'):
        with pytest.raises(UserError, match='TinyViT'):
            image_size_settings(cfg, 160, LOADERS)
        return
    cfg.merge_from_dict(image_size_settings(cfg, 160, LOADERS))
    for loader in LOADERS:
        assert model_size(cfg[loader].dataset.pipeline) == '160 x 160', loader
    if 'vit' in path.stem:
        assert cfg.model.backbone.img_size == 160


@pytest.mark.parametrize(
    ('line', 'named'),
    [
        ("dict(type='GrowingCrop', scales=[96, 128])", 'GrowingCrop'),
        ("dict(type='ResizeEdge', scale=96)", 'not square'),
        ("dict(type='RandomResizedCrop', scale=(96, 128))", 'not square'),
        ("dict(type='RandomFlip', prob=0.5)", 'train_dataloader'),
    ],
)
def test_pipelines_with_other_sizes_are_refused(line, named, tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text(
        f'_base_ = [{str(short_names()["resnet18"])!r}]\n'
        'train_dataloader = dict(dataset=dict(pipeline=['
        f"dict(type='LoadImageFromFile'), {line}, dict(type='PackInputs')]))\n"
    )
    with pytest.raises(UserError, match=named):
        read(str(path), '--image-size', '64')


def test_an_image_size_that_patches_cannot_cover_is_refused():
    with pytest.raises(UserError, match='multiple of the patch size 16'):
        read('vit_small', '--image-size', '100')


@pytest.mark.parametrize(
    ('option', 'shown'),
    [
        (
            'param_scheduler.2.end=3',
            'param_scheduler is a list with 2 entries, param_scheduler.0 to '
            'param_scheduler.1',
        ),
        ('val_evaluator.topk=3', 'val_evaluator is a list with 2 entries'),
        ('param_scheduler.0=3', 'set its keys, as param_scheduler.0.KEY'),
        ('train_cfg.max_epochs.x=3', "train_cfg.max_epochs is 'auto'"),
        ('a=[1,2', 'brackets'),
    ],
)
def test_an_option_that_fits_nowhere_is_the_users_mistake(option, shown):
    with pytest.raises(UserError, match=re.escape(shown)) as error:
        read('resnet18', '--cfg-options', option)
    assert '--cfg-options' in str(error.value)


def test_a_tool_ends_with_the_code_of_a_users_mistake():
    config = ROOT / 'configs' / 'flower' / 'resnet18_flower.py'
    options = ('--cfg-options', 'param_scheduler.2.end=3')
    done = tool('doctor', config, *options, check=False)
    assert done.returncode == USER_ERROR
    assert 'param_scheduler is a list with 2 entries' in done.stderr


@pytest.mark.parametrize(
    'flag',
    [
        '--epochs 0',
        '--lr -1',
        '--lr nan',
        '--workers -1',
        '--image-size 0',
        '--seed 4294967296',
    ],
)
def test_values_out_of_range_are_refused(flag, capsys):
    with pytest.raises(SystemExit) as ended:
        parse_training(['x', *flag.split()])
    assert ended.value.code == USER_ERROR
    assert flag.split()[0] in capsys.readouterr().err
