"""The configs of the reference reports are the recipes that were reported."""

import csv
import re

import pytest
from helpers import ROOT
from mmengine.config import Config

from flower_mm.config import read_config

FOLDER = ROOT / 'configs' / 'flower' / 'reports'
REPORTS = sorted(FOLDER.glob('*.py'))
ADAM = {'type': 'Adam', 'lr': 1e-3}
ADAMW = {'type': 'AdamW', 'lr': 0.01, 'weight_decay': 0.01}
COLOURS = 'RandomFlip ColorJitter RandomRotation RandomAffine'
SHAPES = {'RandomHorizontalFlip': 'RandomFlip'}
WARM_UP = {'type': 'LinearLR', 'start_factor': 0.1, 'begin': 0, 'end': 1}
COSINE = {'type': 'CosineAnnealingLR', 'begin': 1}
STEP = {'type': 'StepLR', 'step_size': 7, 'gamma': 0.1}


def sgd(lr: float, **others: float) -> dict:
    return {'type': 'SGD', 'lr': lr, 'momentum': 0.9, **others}


# Of each: backbone, optimizer, schedule, epochs, batch, augmentations.
RECIPES = {
    'a1_resnet18': (
        'ResNet 18', ADAM, ['ReduceOnPlateauLR'], 10, 64,
        'RandomFlip RandomVerticalFlip ColorJitter RandomRotation '
        'RandomAffine RandomResizedCrop',
    ),
    'b_resnet50': (
        'ResNet 50', ADAM, [STEP], 25, 32, 'CenterCrop RandomFlip ResizeEdge',
    ),
    'c_resnet101': (
        'ResNet 101', ADAMW, [WARM_UP, COSINE], 50, 32,
        f'Resize CenterCrop {COLOURS} RandomErasing',
    ),
    'c_crop': (
        'ResNet 101', ADAMW, [WARM_UP, COSINE], 50, 32, 'Resize CenterCrop',
    ),
    'c_flip': (
        'ResNet 101', ADAMW, [WARM_UP, COSINE], 50, 32,
        'Resize CenterCrop RandomFlip',
    ),
    'c_jitter': (
        'ResNet 101', ADAMW, [WARM_UP, COSINE], 50, 32,
        'Resize CenterCrop RandomFlip ColorJitter RandomRotation',
    ),
    'c_linear': (
        'ResNet 101', ADAMW, [WARM_UP], 50, 32,
        f'Resize CenterCrop {COLOURS} RandomErasing',
    ),
    'd1_resnet50': (
        'ResNet 50', sgd(5e-3, weight_decay=1e-4),
        [{'type': 'MultiStepLR', 'milestones': [30, 60, 90], 'gamma': 0.1}],
        20, 32, 'RandomFlip RandomResizedCrop',
    ),
    'd2_resnet18': (
        'ResNet 18', sgd(1e-3), [STEP], 25, 32,
        f'{COLOURS} RandomResizedCrop',
    ),
    'e1_mobilenet_v2_meant': (
        'MobileNetV2', sgd(1e-3, weight_decay=4e-5),
        [{'type': 'StepLR', 'step_size': 1, 'gamma': 0.98}],
        20, 8, 'RandomFlip RandomResizedCrop',
    ),
    'e2_resnet18': (
        'ResNet 18', ADAM, [], 10, 32,
        f'Resize CenterCrop {COLOURS} RandomErasing',
    ),
}  # fmt: skip
RECIPES['a2_resnet34'] = ('ResNet 34', *RECIPES['a1_resnet18'][1:])
RECIPES['c_resnet152'] = ('ResNet 152', *RECIPES['c_resnet101'][1:])
RECIPES['e1_mobilenet_v2_logged'] = (
    'MobileNetV2',
    sgd(0.045, weight_decay=4e-5),
    *RECIPES['e1_mobilenet_v2_meant'][2:],
)
# Of report C, which alone says them, for all; what it does not say either is
# PyTorch's, and the sizes are ImageNet's.
STRENGTHS = {
    'LoadImageFromFile': {},
    'NumpyToPIL': {'to_rgb': True},
    'RandomResizedCrop': {'scale': 224},
    'torchvision/RandomResizedCrop': {'size': 224},
    'torchvision/Resize': {'size': 256},
    'torchvision/CenterCrop': {'size': 224},
    'ResizeEdge': {'scale': 256, 'edge': 'short'},
    'CenterCrop': {'crop_size': 224},
    'RandomFlip': {'prob': 0.5, 'direction': 'horizontal'},
    'torchvision/RandomHorizontalFlip': {},
    'torchvision/RandomVerticalFlip': {},
    'torchvision/ColorJitter': {
        'brightness': 0.2, 'contrast': 0.2, 'saturation': 0.2, 'hue': 0.1,
    },
    'torchvision/RandomRotation': {'degrees': 30},
    'torchvision/RandomAffine': {'degrees': 0, 'translate': (0.1, 0.1)},
    'PILToNumpy': {'to_bgr': True},
    'RandomErasing': {
        'erase_prob': 0.5, 'min_area_ratio': 0.02, 'max_area_ratio': 0.33,
        'mode': 'const', 'fill_color': (104, 116, 124),
    },
    'PackInputs': {},
}  # fmt: skip


def schedule(cfg: Config) -> list[dict]:
    return [
        {k: v for k, v in one.items() if k != 'convert_to_iter_based'}
        for one in cfg.param_scheduler or []
    ]


def augmentations(cfg: Config) -> list[str]:
    kinds = [
        step.type.removeprefix('torchvision/')
        for step in cfg.train_dataloader.dataset.pipeline
    ]
    unaugmented = ('LoadImageFromFile', 'NumpyToPIL', 'PILToNumpy')
    return sorted(
        SHAPES.get(kind, kind)
        for kind in kinds
        if kind not in (*unaugmented, 'PackInputs')
    )


@pytest.mark.parametrize('path', REPORTS, ids=lambda path: path.stem)
def test_a_report_is_the_recipe_that_was_reported(path):
    backbone, optimizer, falling, epochs, batch, augmented = RECIPES[path.stem]
    cfg = read_config(str(path))
    found = cfg.model.backbone
    assert f'{found.type} {found.get("depth", "")}'.strip() == backbone
    assert cfg.optim_wrapper.optimizer == optimizer
    assert 'paramwise_cfg' not in cfg.optim_wrapper
    assert cfg.train_cfg.max_epochs == epochs
    assert cfg.train_dataloader.batch_size == batch
    assert augmentations(cfg) == sorted(augmented.split())
    if falling == ['ReduceOnPlateauLR']:
        (plateau,) = schedule(cfg)
        assert plateau['type'] == 'ReduceOnPlateauLR'
        assert plateau['monitor'] == 'accuracy/top1'
        assert plateau['rule'] == 'greater'
    else:
        assert schedule(cfg) == falling
    # As they were: one set of weights, in full precision.
    assert cfg.default_hooks.ema is None
    assert cfg.precision == 'float32'
    weights = backbone.lower().replace(' ', '')
    assert cfg.default_hooks.pretrained.weights == weights.replace(
        'mobilenetv2', 'mobilenet_v2'
    )


@pytest.mark.parametrize('path', REPORTS, ids=lambda path: path.stem)
def test_augmentations_are_as_strong_as_is_said(path):
    cfg = read_config(str(path))
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        for step in loader.dataset.pipeline:
            strength = {k: v for k, v in step.items() if k != 'type'}
            assert strength == STRENGTHS[step.type]
    assert [step.type for step in cfg.val_dataloader.dataset.pipeline] == [
        'LoadImageFromFile', 'ResizeEdge', 'CenterCrop', 'PackInputs',
    ]  # fmt: skip


@pytest.mark.parametrize('name', ['c_resnet101', 'c_linear', 'c_resnet152'])
def test_report_c_augments_in_its_order(name):
    cfg = read_config(str(FOLDER / f'{name}.py'))
    steps = [step.type for step in cfg.train_dataloader.dataset.pipeline]
    assert [step.removeprefix('torchvision/') for step in steps] == [
        'LoadImageFromFile', 'NumpyToPIL', 'Resize', 'CenterCrop',
        'ColorJitter', 'RandomHorizontalFlip', 'RandomRotation',
        'RandomAffine', 'PILToNumpy', 'RandomErasing', 'PackInputs',
    ]  # fmt: skip


@pytest.mark.parametrize('name', ['a1_resnet18', 'a2_resnet34'])
def test_report_a_waits_as_pytorch_does(name):
    (plateau,) = read_config(str(FOLDER / f'{name}.py')).param_scheduler
    assert (plateau.patience, plateau.factor) == (10, 0.1)


@pytest.mark.parametrize('path', REPORTS, ids=lambda path: path.stem)
def test_report_c_freezes_clips_and_has_two_layers(path):
    cfg = read_config(str(path))
    head = cfg.model.head
    if path.stem.startswith('c_'):
        assert cfg.model.backbone.frozen_stages == 2
        assert cfg.optim_wrapper.clip_grad == {'max_norm': 1.0}
        assert head.type == 'StackedLinearClsHead'
        assert head.mid_channels == [256]
        assert head.dropout_rate == 0.2
        assert head.act_cfg == {'type': 'ReLU'}
    else:
        assert 'frozen_stages' not in cfg.model.backbone
        assert 'clip_grad' not in cfg.optim_wrapper
        assert head.type == 'LinearClsHead'
    assert head.loss.type == 'CrossEntropyLoss'


def test_the_reports_figures_stand_in_the_headers():
    with (FOLDER / 'published.csv').open(encoding='utf-8') as file:
        theirs = {row['config']: row['top1'] for row in csv.DictReader(file)}
    assert theirs.keys() <= {path.stem for path in REPORTS}
    for path in REPORTS:
        text = path.read_text()
        said = re.search(r'Published: (.+?) %', text)
        assert (said[1] if said else None) == theirs.get(path.stem)
        assert f'python tools/train.py {path.relative_to(ROOT)}\n' in text
        assert 'num_classes' not in text
