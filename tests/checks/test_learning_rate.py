"""Learning rates that do not fall, do not rise, or are not for fine-tuning."""

import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from examining import Examined, opened, write
from helpers import ROOT
from making import make_dataset
from PIL import Image

from flower_mm.checks import schedule
from flower_mm.checks.learning_rate import (
    LearningRate,
    draw_learning_rate,
    short,
)

CONFIGS = sorted((ROOT / 'configs' / 'flower').glob('*_flower.py'))
# A model of eleven million parameters that starts from pretrained weights.
PRETRAINED = """
_base_ = ['mmpretrain::_base_/models/resnet18.py', 'BASE']
model = dict(head=dict(num_classes=5))
default_hooks = dict(EMA
    pretrained=dict(type='PretrainedHook', weights='resnet18'))
"""
SGD = "type='SGD', momentum=0.9, weight_decay=1e-4"
LR = 'optim_wrapper.optimizer.lr'
FIRST, ALL = 'param_scheduler.0', 'param_scheduler'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two steps of 32 photos an epoch, thirty of 2."""
    counts = {'rose': 30, 'tulip': 30}
    return make_dataset(tmp_path / 'mine', train=counts, val={'rose': 2})


@pytest.fixture
def examine(tmp_path: Path, root: Path) -> Callable[..., Examined]:
    """Run the checks of the schedule alone."""

    def run(text: str, *words: str) -> Examined:
        text = text.replace('EMA', '')
        path = write(tmp_path, text)
        ctx = opened(path, '--data-root', root, '--device', 'cpu', *words)
        return Examined(list(schedule.check(ctx)), ctx)

    return run


def optimizer(settings: str) -> str:
    if 'weight_decay' not in settings:
        settings += ', weight_decay=0'
    return f'optim_wrapper = dict(optimizer=dict(_delete_=True, {settings}))'


def scheduled(*parts: str, epochs: int = 10) -> str:
    return (
        f'{PRETRAINED}\ntrain_cfg = dict(max_epochs={epochs})\n'
        f'param_scheduler = [{", ".join(f"dict({part})" for part in parts)}]\n'
    )


# --- as people had it --------------------------------------------------------

REPORT_D1 = """
_base_ = 'mmpretrain::resnet/resnet50_8xb32_in1k.py'
photos = dict(
    type='ImageNet', split='', classes='data/flower_dataset/classes.txt',
    data_root='data/flower_dataset')
train_dataloader = dict(
    batch_size=32,
    dataset=dict(ann_file='train.txt', data_prefix='train', **photos))
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.005, momentum=0.9, weight_decay=1e-4))
train_cfg = dict(by_epoch=True, max_epochs=20, val_interval=1)
load_from = 'resnet50_8xb32_in1k_20210831-ea4938fc.pth'
"""
REPORT_E1 = """
_base_ = 'mmpretrain::mobilenet_v2/mobilenet-v2_8xb32_in1k.py'
train_dataloader = dict(batch_size=8)
train_cfg = dict(max_epochs=20)
optimizer = dict(type='SGD', lr=0.001, momentum=0.9, weight_decay=4e-5)
load_from = 'mobilenet_v2_batch256_imagenet_20200708-3b2dc3af.pth'
"""


def test_inherited_milestones_that_never_come(examine):
    seen = examine(REPORT_D1)
    assert seen.rows() == {'W LR003 param_scheduler.milestones'}
    (finding,) = seen.findings
    assert '30, 60, 90' in finding.message
    words = shlex.split(finding.fix)
    assert examine(REPORT_D1, *words).rows() == set()


def test_imagenets_learning_rate(examine):
    finding = examine(REPORT_E1).one('LR007')
    assert '0.045' in finding.message
    assert finding.fix == '--lr 1e-3'


def test_imagenets_learning_rate_for_another_batch(examine):
    text = "_base_ = 'mmpretrain::resnet/resnet50_8xb32_in1k.py'\n"
    finding = examine(text).one('LR008')
    assert '256' in finding.message
    assert finding.fix.startswith('--lr 0.013')
    assert examine(text, '--auto-scale-lr').of('LR') == []
    batch = 'train_dataloader = dict(batch_size=256)'
    assert examine(text + batch).of('LR008') == []


# --- the peak ----------------------------------------------------------------


@pytest.mark.parametrize(
    ('settings', 'fix'),
    [
        (f'{SGD}, lr=0.1', '5e-3'),
        ("type='Adam', lr=1e-3", '3e-4'),
        ("type='AdamW', lr=0.01, weight_decay=0.01", '3e-4'),
        ("type='Lamb', lr=0.005", '1e-3'),
        ("type='RMSprop', lr=0.064", '1e-4'),
    ],
)
def test_a_learning_rate_for_random_weights(settings, fix, examine):
    text = PRETRAINED + optimizer(settings)
    finding = examine(text).one('LR')
    assert (finding.code, finding.where) == ('LR007', LR)
    assert finding.fix == f'--lr {fix}'
    assert examine(text, '--from-scratch').of('LR007') == []


@pytest.mark.parametrize(
    'text',
    [
        optimizer(f'{SGD}, lr=0.005'),
        optimizer("type='SGD', lr=0.1"),  # without momentum a tenth as far
        optimizer(f'{SGD}, lr=0.03')
        + '\ntrain_dataloader = dict(batch_size=512)',
        optimizer("type='AdamW', lr=3e-4"),
        optimizer("type='RMSprop', lr=1e-4, momentum=0.9"),
        optimizer("type='LARS', lr=1.6, momentum=0.9"),
        'model = dict(backbone=dict(frozen_stages=4))\n'
        + optimizer(f'{SGD}, lr=0.1'),
        'optim_wrapper = dict(optimizer=dict(lr=1e-2), paramwise_cfg=dict('
        "custom_keys={'backbone': dict(lr_mult=0.01)}))",
    ],
)
def test_learning_rates_for_fine_tuning(text, examine):
    assert examine(PRETRAINED + text).of('LR') == []


def test_one_cycle_sets_its_own_peak(examine):
    cycle = "type='OneCycleLR', eta_max={}, convert_to_iter_based=True"
    assert examine(scheduled(cycle.format('3e-4'))).of('LR') == []
    finding = examine(scheduled(cycle.format('0.1'))).one('LR')
    assert (finding.code, finding.where) == ('LR007', f'{FIRST}.eta_max')


def test_a_multiplier_for_parameters_that_do_not_exist(examine):
    text = PRETRAINED + (
        'optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'
        "'backbone.conv9': dict(lr_mult=0.1)}))"
    )
    assert examine(text).one('LR').code == 'LR009'
    assert examine(text.replace('conv9', 'conv1')).of('LR') == []


# --- the shape over the run --------------------------------------------------

WARM_UP = (
    "type='LinearLR', start_factor=0.01, end={}, convert_to_iter_based=True"
)
COSINE = "type='CosineAnnealingLR'"
PLATEAU = "type='ReduceOnPlateauLR', monitor='accuracy/top1', "
SHAPES = [
    ("type='StepLR', step_size=30", f'W LR003 {FIRST}.step_size'),
    ("type='CosineAnnealingLR', T_max=100", f'W LR002 {FIRST}'),
    (
        "type='CosineAnnealingLR', T_max=95, begin=5, end=100",
        f'W LR002 {FIRST}',
    ),
    (WARM_UP.format(10), f'W LR005 {FIRST}.end'),
    ((WARM_UP.format(20), COSINE), f'W LR005 {FIRST}.end'),
    ((WARM_UP.format(200), COSINE), f'W LR005 {ALL}'),
    (
        "type='LinearLR', start_factor=0.1, by_epoch=False, end=5000",
        f'W LR005 {FIRST}.end',
    ),
    ("type='StepLR', step_size=1", f'W LR006 {FIRST}'),
    (
        "type='MultiStepLR', milestones=[1, 2], by_epoch=False",
        f'W LR006 {FIRST}',
    ),
    (
        "type='MultiStepLR', milestones=[6, 10, 20, 30]",
        f'N LR003 {FIRST}.milestones',
    ),
    ((), f'N LR001 {ALL}'),  # the base averages the weights
    ("type='ExponentialLR', gamma=0.98", f'N LR002 {FIRST}'),
    (
        (
            "type='CosineAnnealingLR', end=10",
            "type='StepLR', step_size=2, begin=40, end=80",
        ),
        f'W LR004 {ALL}.1',
    ),
    (
        "type='OneCycleLR', eta_max=3e-4, total_steps=5",
        f'E RUN001 {FIRST}',
    ),
    ("type='CosineAnnealingLR', begin=20", f'E RUN001 {FIRST}'),
    (PLATEAU + "rule='greater'", f'W LR010 {FIRST}.patience'),
    (PLATEAU + 'patience=2', f'W HOOK002 {FIRST}.rule'),
    # no mistakes
    ("type='MultiStepLR', milestones=[6, 8]", ''),
    ("type='StepLR', step_size=7", ''),
    (COSINE, ''),
    ("type='CosineAnnealingLR', T_max=10", ''),
    (
        (
            "type='LinearLR', start_factor=0.1, by_epoch=False, end=4",
            "type='CosineAnnealingLR', by_epoch=False",
        ),
        '',
    ),
    ((WARM_UP.format(3), "type='CosineAnnealingLR', begin=3"), ''),
    ("type='PolyLR', power=0.9", ''),
    (
        "type='CosineRestartLR', periods=[5, 5], restart_weights=[1, 0.5], "
        'eta_min=0',
        '',
    ),
    ((COSINE, "type='LinearMomentum', start_factor=0.5, end=3"), ''),
    (PLATEAU + "rule='greater', patience=2", ''),
]


@pytest.mark.parametrize(('parts', 'expected'), SHAPES)
def test_the_shape_of_a_schedule(parts, expected, examine):
    parts = (parts,) if isinstance(parts, str) else parts
    seen = examine(scheduled(*parts))
    assert seen.rows(least=0) == set(filter(None, [expected]))
    for finding in seen.of('LR002', 'LR003', 'LR004', 'LR005', 'LR006'):
        if finding.fix.startswith('--cfg-options'):
            words = shlex.split(finding.fix)
            assert examine(scheduled(*parts), *words).of('LR') == []


def test_without_an_average_a_constant_learning_rate_is_a_warning(examine):
    text = scheduled().replace('EMA', 'ema=None,')
    assert examine(text).rows() == {f'W LR001 {ALL}'}
    text = scheduled(COSINE).replace('EMA', 'param_scheduler=None,')
    assert examine(text).rows() == {'W LR001 default_hooks.param_scheduler'}
    assert examine(scheduled(COSINE), '--cfg-options', f'{LR}=0').rows() == {
        f'W LR001 {LR}'
    }


def test_a_plateau_without_validation(examine):
    text = scheduled(PLATEAU + "rule='greater', patience=2")
    assert examine(text, '--no-validate').rows() == {f'W LR010 {FIRST}'}


@pytest.mark.parametrize('epochs', [1, 2])
def test_a_short_run_has_no_time_for_a_schedule(epochs, examine):
    text = scheduled("type='CosineAnnealingLR'", epochs=epochs)
    assert examine(text).of('LR') == []


# --- the curve ---------------------------------------------------------------


@pytest.mark.parametrize('config', CONFIGS, ids=lambda path: path.stem)
def test_our_own_configs_fall(config, root):
    ctx = opened(config, '--data-root', root, '--device', 'cpu')
    curve = LearningRate(ctx).curve()
    assert curve.last < 0.15 * curve.highest
    assert curve.peak < 0.3
    assert len(curve.values) == ctx.iterations * curve_epochs(ctx)


def curve_epochs(ctx) -> int:
    return ctx.cfg.train_cfg.max_epochs


def test_the_plot(tmp_path, root):
    path = write(tmp_path, scheduled(COSINE).replace('EMA', ''))
    ctx = opened(path, '--data-root', root, '--device', 'cpu')
    out = tmp_path / 'learning_rate.png'
    draw_learning_rate(ctx, out)
    with Image.open(out) as image:
        assert np.asarray(image).std() > 1


@pytest.mark.parametrize(
    ('number', 'text'),
    [(0.01, '0.01'), (3e-4, '3e-4'), (1.25e-5, '1.25e-5'), (0, '0')],
)
def test_learning_rates_are_short(number, text):
    assert short(number) == text
