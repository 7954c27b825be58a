"""Rates that do not fall, do not rise, or are not for fine-tuning."""

import shlex
from pathlib import Path

import forked
import numpy as np
import pytest
import torch
from examining import NOTE, STOP, WARN, Examined, look_at, read, write
from helpers import ROOT
from making import make_dataset
from PIL import Image

from flower_mm.checks.run import open_case
from flower_mm.checks.schedule.course import check
from flower_mm.checks.schedule.rate import Rate, short

CONFIGS = sorted((ROOT / 'configs' / 'flower').glob('*_flower.py'))
# A model of eleven million weights that starts from pretrained ones.
PRETRAINED = """
_base_ = ['mmpretrain::_base_/models/resnet18.py', 'BASE']
model = dict(head=dict(num_classes=5))
default_hooks = dict(
    pretrained=dict(type='PretrainedHook', weights='resnet18'))
"""
SGD = "type='SGD', momentum=0.9, weight_decay=1e-4"
PLACES = (
    'param_scheduler',
    'optim_wrapper.optimizer',
    'optim_wrapper.paramwise_cfg',
    'default_hooks.param_scheduler',
)


def of_the_rate(seen: Examined) -> list:
    return [
        finding
        for finding in seen.found
        if finding.where.startswith(PLACES)
        or 'could not be checked' in finding.what
    ]


@pytest.fixture
def examine(tmp_path: Path, dataset: Path):
    def run(text: str, *words: str | Path) -> Examined:
        path = write(tmp_path, text)
        return look_at(path, '--data-root', dataset, *words)

    return run


def optimizer(settings: str) -> str:
    """Another one than the base's, whose paramwise_cfg needs a decay."""
    if 'weight_decay' not in settings:
        settings += ', weight_decay=0'
    return f'optim_wrapper = dict(optimizer=dict(_delete_=True, {settings}))'


def again(seen: Examined, mend: str, tmp_path: Path, dataset: Path) -> list:
    """What is left when the advice is pasted."""
    config = tmp_path / 'mine.py'
    words = shlex.split(mend[mend.index('--cfg-options') :])
    return of_the_rate(look_at(config, '--data-root', dataset, *words))


# --- mistake 1, as people had it ---------------------------------------------


def test_report_d1_inherits_milestones_that_never_come(
    examine, tmp_path, dataset
):
    """ResNet-50, SGD 5e-3, 20 epochs: a good rate, which stays what it is."""
    seen = examine("""
_base_ = 'mmpretrain::resnet/resnet50_8xb32_in1k.py'
model = dict(head=dict(num_classes=3, topk=(1,)))
photos = dict(
    type='ImageNet', split='', classes='data/flower_dataset/classes.txt',
    data_root='data/flower_dataset')
train_dataloader = dict(
    batch_size=32,
    dataset=dict(ann_file='train.txt', data_prefix='train', **photos))
val_dataloader = dict(
    batch_size=32,
    dataset=dict(ann_file='val.txt', data_prefix='val', **photos))
test_dataloader = val_dataloader
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.005, momentum=0.9, weight_decay=1e-4))
train_cfg = dict(by_epoch=True, max_epochs=20, val_interval=1)
load_from = 'resnet50_8xb32_in1k_20210831-ea4938fc.pth'
""")
    (found,) = of_the_rate(seen)
    assert found.level == WARN
    assert 'the milestones 30, 60, 90 lie beyond' in found.what
    assert '20 epochs' in found.what
    assert found.where == 'param_scheduler.milestones'
    assert 'param_scheduler.milestones=[14,18]' in found.mend
    assert again(seen, found.mend, tmp_path, dataset) == []


def test_report_e1_trains_at_imagenets_rate(examine):
    """MobileNetV2, batch 8: 0.001 was meant, 0.045 is in its log."""
    seen = examine("""
_base_ = 'mmpretrain::mobilenet_v2/mobilenet-v2_8xb32_in1k.py'
model = dict(head=dict(num_classes=5, topk=(1,)))
train_dataloader = dict(batch_size=8)
train_cfg = dict(max_epochs=20)
optimizer = dict(type='SGD', lr=0.001, momentum=0.9, weight_decay=4e-5)
load_from = 'mobilenet_v2_batch256_imagenet_20200708-3b2dc3af.pth'
""")
    found = seen.one('SGD with a rate of 0.045 at 8 photos')
    assert found.level == WARN
    assert 'optim_wrapper.optimizer.lr=1e-3' in found.mend
    assert '0.045' in seen.one('optimizer is of MMClassification 0.x').what


@pytest.mark.parametrize(
    'settings',
    [
        f'{SGD}, lr=0.1',
        "type='Adam', lr=1e-3",
        "type='AdamW', lr=0.01, weight_decay=0.01",  # report C
        "type='Lamb', lr=0.005",
        "type='RMSprop', lr=0.064",
    ],
)
def test_a_rate_for_random_weights(settings, examine, tmp_path, dataset):
    """Reports A, B, C and E2, and what MMPretrain's bases have."""
    seen = examine(PRETRAINED + optimizer(settings))
    (found,) = of_the_rate(seen)
    assert found.level == WARN
    assert 'is for random weights' in found.what
    assert again(seen, found.mend, tmp_path, dataset) == []


def test_the_rate_of_swin_from_scratch_is_told_with_a_lower_one(examine):
    seen = examine("""
_base_ = 'CONFIGS/swin_tiny_flower.py'
optim_wrapper = dict(optimizer=dict(lr=1e-3))
""")
    assert '=1e-4' in of_the_rate(seen)[0].mend


@pytest.mark.parametrize(
    'text',
    [
        optimizer(f'{SGD}, lr=0.005'),
        optimizer(f'{SGD}, lr=0.01')
        + '\ntrain_dataloader = dict(batch_size=64)',
        optimizer("type='SGD', lr=0.1"),  # without momentum a tenth as far
        optimizer(f'{SGD}, lr=0.03')
        + '\ntrain_dataloader = dict(batch_size=512)',
        optimizer("type='AdamW', lr=3e-4"),
        optimizer("type='Adam', lr=1e-4"),
        optimizer("type='Lamb', lr=1e-3"),
        optimizer("type='RMSprop', lr=1e-4, momentum=0.9"),
        optimizer("type='LARS', lr=1.6, momentum=0.9"),
    ],
)
def test_rates_for_fine_tuning_are_left_alone(text, examine):
    assert of_the_rate(examine(PRETRAINED + text)) == []


def test_from_scratch_any_rate_will_do(examine):
    text = PRETRAINED + optimizer(f'{SGD}, lr=0.1')
    assert of_the_rate(examine(text, '--from-scratch')) == []


def test_a_high_rate_for_the_head_alone_will_do(examine):
    """Frozen stages, and a backbone of a hundredth of the rate."""
    frozen = 'model = dict(backbone=dict(frozen_stages=4))'
    seen = examine(f'{PRETRAINED}\n{frozen}\n{optimizer(SGD + ", lr=0.1")}')
    assert of_the_rate(seen) == []
    seen = examine(
        PRETRAINED
        + """
optim_wrapper = dict(
    optimizer=dict(lr=1e-2),
    paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.01)}))
"""
    )
    assert of_the_rate(seen) == []


def test_layer_decay_lowers_the_rate_of_most_weights(examine):
    text = """
_base_ = 'CONFIGS/vit_small_flower.py'
optim_wrapper = dict(
    constructor='LearningRateDecayOptimWrapperConstructor',
    optimizer=dict(lr=2e-3),
    paramwise_cfg=dict(layer_decay_rate=0.65))
"""
    assert of_the_rate(examine(text)) == []
    text = text.replace('0.65', '0.99')
    assert 'random weights' in of_the_rate(examine(text))[0].what


def test_a_multiplier_for_weights_that_are_not_there(examine):
    text = (
        PRETRAINED
        + """
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys={'KEY': dict(lr_mult=0.1)}))
"""
    )
    (found,) = of_the_rate(examine(text.replace('KEY', 'backbone.conv9')))
    assert found.level == WARN
    assert "'backbone.conv9'" in found.what
    assert of_the_rate(examine(text.replace('KEY', 'backbone.conv1'))) == []


# --- the shape over the run --------------------------------------------------


@pytest.mark.parametrize('config', CONFIGS, ids=lambda path: path.stem)
def test_our_own_configs_have_nothing_amiss(config, dataset):
    cfg, args = read(config, '--data-root', dataset)
    for epochs in (cfg.train_cfg.max_epochs, 1, 2, 3, 50):
        cfg.train_cfg.max_epochs = epochs
        assert list(check(open_case(cfg, args))) == []


def schedule(*parts: str, epochs: int = 10) -> str:
    return (
        f'{PRETRAINED}\ntrain_cfg = dict(max_epochs={epochs})\n'
        f'param_scheduler = [{", ".join(f"dict({part})" for part in parts)}]'
    )


PLATEAU = "type='ReduceOnPlateauLR', monitor='accuracy/top1', "
WARM_UP = "type='LinearLR', start_factor=0.01, end={}, " + (
    'convert_to_iter_based=True'
)
BAD = {
    'step': (["type='StepLR', step_size=30"], 'step 30 lies beyond'),
    'cosine': (["type='CosineAnnealingLR', T_max=100"], 'made for 100 epochs'),
    'cosine until': (
        ["type='CosineAnnealingLR', T_max=95, begin=5, end=100"],
        'made for 100 epochs',
    ),
    'warm-up of all': ([WARM_UP.format(10)], 'rises for 10 epochs'),
    'warm-up beyond': (
        [WARM_UP.format(20), "type='CosineAnnealingLR'"],
        'rises for 20 epochs, and the run has 10',
    ),
    'warm-up far beyond': (
        [WARM_UP.format(200), "type='CosineAnnealingLR'"],
        'the warm-up takes longer than the run',
    ),
    'steps of warm-up': (
        ["type='LinearLR', start_factor=0.1, by_epoch=False, end=5000"],
        'rises for 5000 iterations, and the run has 20',
    ),
    'fast': (["type='StepLR', step_size=1"], 'From epoch 5 of 10 on'),
}


@pytest.mark.parametrize(('parts', 'said'), BAD.values(), ids=list(BAD))
def test_a_schedule_for_another_length(
    parts, said, examine, tmp_path, dataset
):
    seen = examine(schedule(*parts))
    (found,) = of_the_rate(seen)
    assert found.level == WARN
    assert said in found.what
    if '--cfg-options' in found.mend:
        assert again(seen, found.mend, tmp_path, dataset) == []


GOOD = {
    'steps': ["type='MultiStepLR', milestones=[6, 8]"],
    'half a run': ["type='StepLR', step_size=7"],
    'cosine': ["type='CosineAnnealingLR'"],
    'cosine by epochs': ["type='CosineAnnealingLR', T_max=10"],
    'warm-up by steps': [
        "type='LinearLR', start_factor=0.1, by_epoch=False, end=4",
        "type='CosineAnnealingLR', by_epoch=False",
    ],
    'warm-up, then the rest': [
        WARM_UP.format(3),
        "type='CosineAnnealingLR', begin=3",
    ],
    'one cycle': [
        "type='OneCycleLR', eta_max=3e-4, convert_to_iter_based=True"
    ],
    'polynomial': ["type='PolyLR', power=0.9"],
    'restarts': [
        "type='CosineRestartLR', periods=[5, 5], restart_weights=[1, 0.5], "
        'eta_min=0'
    ],
    'momentum beside': [
        "type='CosineAnnealingLR'",
        "type='LinearMomentum', start_factor=0.5, end=3",
    ],
    'weight decay beside': [
        "type='CosineAnnealingLR'",
        "type='CosineAnnealingParamScheduler', param_name='weight_decay', "
        'eta_min=1e-5',
    ],
}


@pytest.mark.parametrize('parts', GOOD.values(), ids=list(GOOD))
def test_a_schedule_for_this_length(parts, examine):
    assert of_the_rate(examine(schedule(*parts))) == []


@pytest.mark.parametrize('parts', [GOOD['cosine by epochs'], BAD['cosine'][0]])
def test_one_epoch_has_no_time_for_a_schedule(parts, examine):
    assert of_the_rate(examine(schedule(*parts, epochs=1))) == []


def test_two_epochs_of_cosine_end_at_half(examine):
    text = schedule("type='CosineAnnealingLR'", epochs=2)
    assert of_the_rate(examine(text)) == []


def test_some_milestones_beyond_the_end_are_worth_a_note(examine):
    seen = examine(schedule("type='MultiStepLR', milestones=[6, 10, 20, 30]"))
    (found,) = of_the_rate(seen)
    assert found.level == NOTE
    assert 'milestones 20, 30 lie' in found.what


def test_what_begins_after_the_end(examine, tmp_path, dataset):
    """Swin's warm-up of 20 epochs, and a run of 10."""
    seen = examine("""
_base_ = ['mmpretrain::_base_/models/resnet18.py',
          'mmpretrain::_base_/schedules/imagenet_bs1024_adamw_swin.py',
          'mmpretrain::_base_/datasets/imagenet_bs64.py',
          'mmpretrain::_base_/default_runtime.py']
train_cfg = dict(max_epochs=10)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
""")
    found = seen.one('begins at epoch 20')
    assert found.level == STOP
    assert again(seen, found.mend, tmp_path, dataset) == []

    seen = examine(
        schedule(
            "type='CosineAnnealingLR', end=10",
            "type='StepLR', step_size=2, begin=40, end=80",
        )
    )
    (found,) = of_the_rate(seen)
    assert found.level == WARN
    assert 'never acts' in found.what


def test_a_cycle_that_is_over_before_the_run(examine, tmp_path, dataset):
    """MMEngine raises in the middle of the run."""
    seen = examine(schedule("type='OneCycleLR', eta_max=3e-4, total_steps=5"))
    (found,) = of_the_rate(seen)
    assert found.level == STOP
    assert 'number of total steps is 5' in found.what
    assert again(seen, found.mend, tmp_path, dataset) == []


def test_a_rate_that_stays_is_a_warning_without_an_average(examine):
    text = schedule().replace('[]', 'None')
    (found,) = of_the_rate(examine(text))
    assert found.level == NOTE  # the base averages the weights
    assert 'stays at 3e-4 from the first step' in found.what
    assert 'the average of the weights (EMAHook) makes up' in found.what
    text = text.replace(
        'default_hooks = dict(', 'default_hooks = dict(ema=None,'
    )
    (found,) = of_the_rate(examine(text))
    assert found.level == WARN
    text = schedule(WARM_UP.format(1), "type='CosineAnnealingLR'")
    off = 'default_hooks = dict(param_scheduler=None,'
    text = text.replace('default_hooks = dict(', off)
    found = examine(text).one('the hook that moves it is off')
    assert found.where == 'default_hooks.param_scheduler'


@pytest.mark.parametrize(('lr', 'amiss'), [('0', True), ('1e-6', False)])
def test_a_rate_of_nothing(lr, amiss, examine):
    seen = examine(
        PRETRAINED, '--cfg-options', f'optim_wrapper.optimizer.lr={lr}'
    )
    assert bool(seen.about('nothing is learned')) == amiss


def test_a_rate_that_hardly_falls_is_like_one_that_stays(examine):
    """To two thirds in five epochs is a fall; to four fifths in ten is not."""
    tenth = schedule("type='ExponentialLR', gamma=0.9", epochs=5)
    assert of_the_rate(examine(tenth)) == []
    slow = schedule("type='ExponentialLR', gamma=0.98")
    (found,) = of_the_rate(examine(slow))
    assert found.level == NOTE
    assert '83 % of its highest (10 epochs); the average' in found.what
    off = 'default_hooks = dict(ema=None,'
    (found,) = of_the_rate(examine(slow.replace('default_hooks = dict(', off)))
    assert found.level == WARN
    assert 'average' not in found.what


# --- in iterations -----------------------------------------------------------


@pytest.fixture
def examine_steps(tmp_path: Path):
    """With 30 iterations an epoch."""
    root = make_dataset(
        tmp_path / 'steps', train={'rose': 30, 'tulip': 30}, val={'rose': 2}
    )

    def run(text: str, *words: str | Path) -> Examined:
        text += '\ntrain_dataloader = dict(batch_size=2)\nauto_scale_lr = None'
        return look_at(write(tmp_path, text), '--data-root', root, *words)

    return run


@pytest.mark.parametrize(
    ('part', 'said', 'mend'),
    [
        (
            "type='MultiStepLR', milestones=[9, 20]",
            'milestones=[9, 20] counts iterations, of which an epoch has 30: '
            'the rate is down to 3e-6 in epoch 1 of 25',
            '--cfg-options param_scheduler.0.by_epoch=True',
        ),
        (
            "type='MultiStepLR', milestones=[30, 60]",
            'in epoch 2 of 25',
            '--cfg-options param_scheduler.0.by_epoch=True '
            "'param_scheduler.0.milestones=[17,22]'",
        ),
        (
            "type='StepLR', step_size=10",
            'step_size=10 counts iterations',
            '--cfg-options param_scheduler.0.by_epoch=True',
        ),
        (
            "type='MultiStepLR', milestones=[30, 60], begin=10, end=750",
            'in epoch 3 of 25',
            None,
        ),
    ],
)
def test_epochs_that_are_counted_as_iterations(
    part, said, mend, examine_steps
):
    text = schedule(part + ', by_epoch=False', epochs=25)
    (found,) = of_the_rate(examine_steps(text))
    assert found.level == WARN
    assert said in found.what
    assert mend in (None, found.mend)
    words = shlex.split(found.mend)
    assert of_the_rate(examine_steps(text, *words)) == []


@pytest.mark.parametrize(
    ('part', 'epochs'),
    [
        ("type='MultiStepLR', milestones=[300, 600]", 25),
        ("type='MultiStepLR', milestones=[20, 600]", 25),
        ("type='MultiStepLR', milestones=[30, 50]", 2),
        ("type='StepLR', step_size=1, gamma=0.998", 25),
        ("type='StepLR', step_size=250", 25),
    ],
)
def test_iterations_that_are_meant(part, epochs, examine_steps):
    text = schedule(part + ', by_epoch=False', epochs=epochs)
    assert of_the_rate(examine_steps(text)) == []


def test_no_scope_is_left_switched(tmp_path):
    """MMEngine says so on the screen where another one had been set."""
    root = make_dataset(
        tmp_path / 'photos', train={'rose': 6, 'tulip': 6}, val={'rose': 2}
    )
    config = write(
        tmp_path,
        """
_base_ = [
    'mmpretrain::_base_/models/resnet18.py',
    'mmpretrain::_base_/datasets/imagenet_bs32.py',
    'mmpretrain::_base_/schedules/imagenet_bs256.py',
]
custom_imports = dict(imports=['flower_mm.engine'])
photos = dict(
    _delete_=True, type='flower_mm.FlowerDataset', data_root='x',
    pipeline=_base_.test_pipeline)
train_dataloader = dict(dataset=dict(split='train', **photos))
val_dataloader = dict(dataset=dict(split='val', **photos))
test_dataloader = val_dataloader
""",
    )
    run = forked.finish(
        tmp_path / 'log', 'doctor', config, '--data-root', root
    )
    assert 'default scope' not in run.text


# --- rates that follow a metric ----------------------------------------------


def test_report_a_follows_the_accuracy(examine):
    text = schedule(PLATEAU + "rule='greater', patience=2")
    assert of_the_rate(examine(text)) == []


@pytest.mark.parametrize(
    ('part', 'words', 'level', 'said'),
    [
        ("type='ReduceOnPlateauLR'", (), STOP, 'follows loss'),
        (
            "type='ReduceOnPlateauLR', monitor='single-label/f1-score'",
            (),
            STOP,
            'does not measure',
        ),
        (PLATEAU + 'patience=2', (), WARN, 'whenever the model gets better'),
        (PLATEAU + "rule='greater'", (), WARN, 'after 11 validations'),
        (
            PLATEAU + "rule='greater'",
            ('--no-validate',),
            WARN,
            'there is none',
        ),
    ],
)
def test_a_metric_that_does_not_lower_the_rate(
    part, words, level, said, examine, tmp_path, dataset
):
    seen = examine(schedule(part), *words)
    (found,) = of_the_rate(seen)
    assert found.level == level, seen.text
    assert said in found.what


# --- the batch ---------------------------------------------------------------


def test_imagenets_rate_at_another_batch(examine):
    """From scratch, for else the rate itself is named."""
    text = """
_base_ = 'mmpretrain::resnet/resnet50_8xb32_in1k.py'
train_cfg = dict(max_epochs=100)
"""
    (found,) = of_the_rate(examine(text))
    assert found.level == WARN
    assert '0.1 was set for 256 photos a step' in found.what
    assert 'takes 32' in found.what
    assert 'optim_wrapper.optimizer.lr=0.013' in found.mend
    assert '--auto-scale-lr' in found.mend
    assert of_the_rate(examine(text, '--auto-scale-lr')) == []
    batch = 'train_dataloader = dict(batch_size=256)'
    assert of_the_rate(examine(text + batch)) == []


def test_a_rate_that_was_set_anew_goes_with_its_own_batch(examine, tmp_path):
    text = PRETRAINED + optimizer(f'{SGD}, lr=0.005')
    assert of_the_rate(examine(text)) == []
    small = '\ntrain_dataloader = dict(batch_size=8)'
    assert of_the_rate(examine(text + small)) == []
    # Another batch after that is another matter.
    words = '--cfg-options', 'train_dataloader.batch_size=8'
    (found,) = of_the_rate(examine(text, *words))
    assert 'was set for 32 photos a step, and this run takes 8' in found.what


def test_adams_rate_goes_with_the_root_of_the_batch(examine):
    words = '--cfg-options', 'train_dataloader.batch_size=128'
    (found,) = of_the_rate(examine(PRETRAINED, *words))
    assert found.level == NOTE
    assert 'optim_wrapper.optimizer.lr=6e-4' in found.mend


@pytest.mark.parametrize('parts', ['2', '16'])
def test_a_batch_in_parts_is_the_same_batch(parts, examine):
    assert of_the_rate(examine(PRETRAINED, '--accumulate', parts)) == []


def test_auto_scale_lr_is_named_where_it_makes_the_rate(
    examine, tmp_path, dataset
):
    """3e-4 for 32 photos is no rate for pretrained weights at 128."""
    batch = ('--cfg-options', 'train_dataloader.batch_size=128')
    flat = schedule("type='ConstantLR', factor=1.0, end=1")
    (found,) = [
        finding
        for finding in examine(flat, '--auto-scale-lr', *batch).found
        if 'random weights' in finding.what
    ]
    assert 'a rate of 1.2e-3 (3e-4, which auto_scale_lr multiplies by 4)' in (
        found.what
    )
    assert found.mend.startswith('leave out --auto-scale-lr, and ')
    assert found.mend.endswith('optim_wrapper.optimizer.lr=6e-4')
    text = flat + '\nauto_scale_lr = dict(enable=True)'
    (found,) = examine(text, *batch).about('random weights')
    words = shlex.split(found.mend)
    seen = examine(text, *batch, *words[1:])
    assert seen.about('random weights') == []
    assert Rate(seen.case).base == pytest.approx(6e-4)
    # A rate that is too high by itself: what is advised is scaled as well.
    high = text + '\n' + optimizer("type='AdamW', lr=1e-2")
    (found,) = examine(high, *batch).about('random weights')
    seen = examine(high, *batch, *shlex.split(found.mend)[1:])
    assert seen.about('random weights') == []


def test_one_cycle_is_at_its_highest_for_a_moment(examine, tmp_path, dataset):
    part = "type='OneCycleLR', eta_max={}, convert_to_iter_based=True"
    assert of_the_rate(examine(schedule(part.format(1e-3)))) == []
    (found,) = of_the_rate(examine(schedule(part.format(3e-3))))
    assert 'AdamW with a rate of 3e-3' in found.what
    assert found.where == 'param_scheduler.0.eta_max'
    assert again(examine, found.mend, tmp_path, dataset) == []


# --- the simulation ----------------------------------------------------------


def test_the_rate_is_the_one_that_a_run_logs(config, dataset, plain_run):
    """Step by step, by MMEngine's Runner."""
    case = look_at(config, '--data-root', dataset).case
    curve = Rate(case).curve(thorough=False)
    checkpoint = torch.load(plain_run / 'epoch_2.pth', weights_only=True)
    logged = checkpoint['message_hub']['log_scalars']['train/lr'][0]
    assert curve.rates == pytest.approx(logged.numpy())


def test_a_long_run_is_looked_at_in_fewer_steps(examine):
    words = '--cfg-options', 'train_cfg.max_epochs=3000'
    seen = examine(PRETRAINED, *words, 'train_dataloader.batch_size=1')
    assert len(Rate(seen.case).curve(thorough=False).rates) <= 20_000
    assert seen.about('could not be checked') == []
    # A warm-up in iterations needs their true number.
    text = schedule("type='LinearLR', by_epoch=False, end=500")
    seen = examine(text, *words, 'train_dataloader.batch_size=1')
    assert Rate(seen.case).curve(thorough=False) is None


@pytest.mark.parametrize(
    ('number', 'text'),
    [(0.1, '0.1'), (0.045, '0.045'), (3e-4, '3e-4'), (1.25e-5, '1.25e-5')],
)
def test_rates_are_written_as_people_do(number, text):
    assert short(number) == text


def test_the_doctor_draws_the_rate(config, dataset, tmp_path):
    out = tmp_path / 'rate.png'
    options = config, '--data-root', dataset, '--plot', out
    run = forked.finish(tmp_path / 'log', 'doctor', *options)
    assert str(out) in run.text
    pixels = np.asarray(Image.open(out).convert('L'))
    assert pixels.shape[0] > 200
    assert (pixels < 200).mean() > 0.005  # something is drawn


def test_a_rate_that_follows_a_metric_cannot_be_drawn(
    config, dataset, tmp_path
):
    path = tmp_path / 'mine.py'
    plateau = PLATEAU + "rule='greater', patience=1"
    path.write_text(
        f'_base_ = {str(config)!r}\n'
        f'param_scheduler = [dict({plateau})]\n'
        'train_cfg = dict(max_epochs=9)\n'
    )
    out = tmp_path / 'rate.png'
    options = path, '--data-root', dataset, '--plot', out
    run = forked.start(tmp_path / 'log', 'doctor', *options)
    assert run.wait() == 2
    assert 'there is no rate to draw: it follows a metric' in run.text
    assert '0 to stop for' in run.text  # which is said all the same
    assert not out.exists()
