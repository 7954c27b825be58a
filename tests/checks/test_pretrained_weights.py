"""Weights that are missing, of another model, or never used."""

import os
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from examining import Examined, opened, write
from making import TINY_ON_BASE, make_dataset
from mmpretrain.registry import MODELS
from test_machine import RESNET18, STOCK

from flower_mm.checks import preprocessing, pretrained_weights

OWN = os.environ.get('FLOWER_MM_WEIGHTS')
GONE = (
    'https://download.openmmlab.com/mmclassification/v0/resnet/'
    'resnet18_8xb32_in1k_20210831-fbbb1da6.pth'
)
HOOK = 'default_hooks.pretrained'
INIT = 'model.backbone.init_cfg'


@pytest.fixture(scope='session')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    counts = {'rose': 6, 'tulip': 6}
    folder = tmp_path_factory.mktemp('photos') / 'mine'
    return make_dataset(folder, train=counts, val=counts)


@pytest.fixture
def examine(tmp_path: Path, root: Path) -> Callable[..., Examined]:
    """Run the checks of the weights, or another one, alone."""

    def run(
        text: str, *words: str | Path, check: object = pretrained_weights
    ) -> Examined:
        path = write(tmp_path, text)
        usual = ('--data-root', root, '--work-dir', tmp_path / 'run')
        ctx = opened(path, *usual, '--device', 'cpu', *words)
        return Examined(list(check.check(ctx)), ctx)

    return run


@pytest.fixture(scope='session')
def file_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write random weights of a backbone, as MMPretrain does."""
    folder = tmp_path_factory.mktemp('weights')

    def write_file(
        name: str, prefix: str = 'backbone.', more: dict | None = None, **arch
    ) -> Path:
        state = MODELS.build({'_scope_': 'mmpretrain', **arch}).state_dict()
        named = {f'{prefix}{key}': tensor for key, tensor in state.items()}
        path = folder / f'{name}.pth'
        torch.save({'state_dict': named | (more or {})}, path)
        return path

    return write_file


@pytest.fixture(scope='session')
def resnet18(file_of) -> Path:
    """With a classifier of a thousand classes, as they are published."""
    head = {'head.fc.weight': torch.zeros(1000, 512)}
    return file_of('resnet18', more=head, type='ResNet', depth=18)


@pytest.fixture(scope='session')
def mobilenet(file_of) -> Path:
    return file_of('mobilenet_v2', type='MobileNetV2')


def from_file(path: Path | str) -> str:
    return RESNET18 + (
        "default_hooks = dict(pretrained=dict(type='PretrainedHook', "
        f"weights='{path}'))\n"
    )


def init_cfg(path: Path | str, more: str = '') -> str:
    return (
        "model = dict(backbone=dict(init_cfg=dict(type='Pretrained', "
        f"checkpoint='{path}'{more})))\n"
    )


@pytest.mark.parametrize('text', [RESNET18, STOCK], ids=['ours', 'stock'])
def test_load_from(text, examine, resnet18, mobilenet):
    seen = examine(f"{text}load_from = '{resnet18}'\n")
    assert seen.rows(0) == {'N WGT008 load_from'}
    assert '100 of 100 backbone tensors' in seen.one('WGT008').message
    finding = examine(f"{text}load_from = '{mobilenet}'\n").one('WGT')
    assert (finding.code, finding.where) == ('WGT003', 'load_from')
    assert 'mobilenet_v2' in finding.message
    assert 'weights resnet18, then' in finding.fix


@pytest.mark.parametrize(
    ('name', 'code'),
    [
        ('nowhere.pth', 'WGT001'),
        (GONE, 'WGT002'),
        ('', 'WGT001'),
        ('resnet18', 'WGT001'),  # of the table, and not downloaded
    ],
)
def test_a_file_that_is_not_here(name, code, examine, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        pretrained_weights, 'find_weights', lambda name: tmp_path / 'no' / name
    )
    assert examine(from_file(name)).rows() == {f'E {code} {HOOK}.weights'}
    if name != 'resnet18':
        seen = examine(RESNET18 + init_cfg(name))
        assert seen.rows() == {f'E {code} {INIT}'}


def test_the_hook(examine, resnet18, mobilenet):
    assert examine(from_file(resnet18)).rows() == set()
    seen = examine(from_file(mobilenet))
    assert seen.rows() == {f'E WGT003 {HOOK}.weights'}


def test_a_file_under_a_known_name(examine, tmp_path):
    path = tmp_path / 'resnet18-f37072fd.pth'
    path.write_bytes(b'of somebody else')
    finding = examine(from_file(path)).one('WGT')
    assert finding.code == 'WGT004'
    assert 'expected f37072fd' in finding.message


def test_mmpretrains_init_cfg(examine, resnet18, file_of):
    plain = file_of('plain', '', type='ResNet', depth=18)
    assert examine(RESNET18 + init_cfg(plain)).rows() == set()
    finding = examine(RESNET18 + init_cfg(resnet18)).one('WGT003')
    assert finding.fix == f'--cfg-options {INIT}.prefix=backbone'
    text = from_file(resnet18) + init_cfg(plain)
    finding = examine(text).one('WGT006')
    assert finding.where == INIT
    assert examine(text, *shlex.split(finding.fix)).rows() == set()


def test_a_prefix_that_is_set(examine, resnet18):
    text = RESNET18 + init_cfg(resnet18, ", prefix='backbone'")
    assert examine(text).rows() == set()


def test_names_that_only_our_runner_knows(examine, file_of, resnet18):
    timm = torch.load(resnet18)['state_dict']
    renamed = {
        key.removeprefix('backbone.'): value for key, value in timm.items()
    }
    path = resnet18.with_name('renamed.pth')
    torch.save(renamed, path)
    finding = examine(f"{STOCK}load_from = '{path}'\n").one('WGT003')
    assert 'runner_type=FlowerRunner' in finding.fix


@pytest.mark.parametrize(
    ('text', 'words', 'expected'),
    [
        (RESNET18, (), {f'W WGT005 {HOOK}'}),
        (RESNET18, ('--from-scratch',), set()),
        (
            RESNET18 + 'model = dict(backbone=dict(frozen_stages=2))\n',
            ('--from-scratch',),
            {'W WGT005 model.backbone.frozen_stages'},
        ),
        (
            RESNET18 + init_cfg('x.pth'),
            ('--from-scratch',),
            {f'W WGT007 {INIT}', f'E WGT001 {INIT}'},
        ),
        (TINY_ON_BASE, (), set()),  # of so few parameters
    ],
)
def test_random_weights(text, words, expected, examine):
    assert examine(text, *words).rows() == expected


def test_our_hook_needs_our_runner(examine, resnet18):
    text = STOCK + (
        "default_hooks = dict(pretrained=dict(type='flower_mm.PretrainedHook'"
        f", weights='{resnet18}'))\n"
    )
    assert examine(text).rows() == {f'E CFG011 {HOOK}'}


@pytest.mark.skipif(not OWN, reason='FLOWER_MM_WEIGHTS is not set')
def test_real_weights(examine):
    text = "_base_ = 'CONFIGS/mobilenet_v2_flower.py'\n"
    option = f'{HOOK}.weights={OWN}'
    seen = examine(text, '--cfg-options', option)
    assert '260 of 260 backbone tensors' in seen.one('WGT').message


# --- photos as the weights know them -----------------------------------------

CHANGES = {
    '': None,
    'data_preprocessor = dict(mean=[0.485, 0.456, 0.406], '
    'std=[0.229, 0.224, 0.225])': 'PRE002 data_preprocessor',
    'data_preprocessor = dict(mean=None, std=None)': (
        'PRE002 data_preprocessor'
    ),
    'data_preprocessor = dict(to_rgb=False)': (
        'PRE003 data_preprocessor.to_rgb'
    ),
    "train_dataloader = dict(dataset=dict(pipeline=[dict(type='Load"
    "ImageFromFile', color_type='grayscale'), dict(type='PackInputs')]))": (
        'PRE001 train_dataloader.dataset.pipeline.0.color_type'
    ),
}


@pytest.mark.parametrize(('text', 'expected'), CHANGES.items())
def test_preprocessing(text, expected, examine):
    text = f'{from_file("x.pth")}{text}\n'
    rows = examine(text, check=preprocessing).rows()
    assert rows == ({f'W {expected}'} if expected else set())
    assert examine(text, '--from-scratch', check=preprocessing).rows() == set()


def test_the_record_of_timm(examine):
    text = (
        "_base_ = 'CONFIGS/timm_flower.py'\n"
        "model = dict(backbone=dict(model_name='test_vit'))\n"
    )
    words = ('--weights', 'x.pth')
    assert examine(text, *words, check=preprocessing).rows() == set()
    text += 'data_preprocessor = dict(mean=[123.675, 116.28, 103.53])\n'
    finding = examine(text, *words, check=preprocessing).one('PRE005')
    assert 'mean=[127.5,127.5,127.5]' in finding.fix
