"""Settings of MMClassification 0.x."""

import shlex

import pytest
from bases import THEIRS
from examining import NOTE, STOP, WARN, read, write

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
    assert {found.level for found in seen.found} <= {NOTE, WARN}
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


SCHEDULES = {
    "policy='step', step=[30, 60]": [
        {'type': 'MultiStepLR', 'milestones': [30, 60], 'by_epoch': True}
    ],
    "policy='step', step=3, gamma=0.5": [
        {'type': 'StepLR', 'step_size': 3, 'gamma': 0.5, 'by_epoch': True}
    ],
    "policy='CosineAnnealing', min_lr=0, warmup='linear', warmup_iters=5, "
    'warmup_ratio=0.25, warmup_by_epoch=True': [
        {
            'type': 'LinearLR',
            'start_factor': 0.25,
            'by_epoch': True,
            'end': 5,
            'convert_to_iter_based': True,
        },
        {
            'type': 'CosineAnnealingLR',
            'eta_min': 0,
            'by_epoch': True,
            'begin': 5,
        },
    ],
    "policy='poly', min_lr=0, by_epoch=False, warmup='constant', "
    'warmup_iters=5000': [
        {
            'type': 'ConstantLR',
            'factor': 0.1,
            'by_epoch': False,
            'end': 5000,
        },
        {'type': 'PolyLR', 'eta_min': 0, 'by_epoch': False},
    ],
    "policy='fixed'": [],
}


@pytest.mark.parametrize(('old', 'new'), SCHEDULES.items())
def test_an_old_schedule_is_said_anew(old, new, check, tmp_path):
    mend = check(THEIRS + f'lr_config = dict({old})').one('lr_config is').mend
    line = mend.removeprefix('in the config ')
    assert check(THEIRS + line).found == []
    assert read(write(tmp_path, THEIRS + line))[0].param_scheduler == new


@pytest.mark.parametrize('old', ["policy='inv'", "policy='step'"])
def test_a_schedule_that_cannot_be_said_anew(old, check):
    mend = check(THEIRS + f'lr_config = dict({old})').found[0].mend
    assert mend.startswith('now param_scheduler')


def test_an_old_evaluation_that_the_base_does_anyway(check):
    text = THEIRS + "evaluation = dict(interval=1, metric='accuracy')"
    (found,) = check(text).found
    assert found.level == NOTE
    assert 'val_interval and val_evaluator of Accuracy' in found.what


def test_an_old_evaluation_of_more(check):
    seen = check(
        THEIRS + "evaluation = dict(interval=5, save_best='accuracy_top-1', "
        "metric=['accuracy', 'f1_score'])"
    )
    found = seen.one('evaluation is of')
    assert found.level == WARN
    options, line = found.mend.split('; in the config ')
    words = shlex.split(options)
    assert words[1:] == [
        'train_cfg.val_interval=5',
        'default_hooks.checkpoint.save_best=accuracy/top1',
    ]
    assert check(THEIRS + line, *words).found == []
    assert "items=['f1-score']" in line


def test_another_optimizer_of_old_takes_the_place_of_the_new(check):
    old = "optimizer = dict(type='AdamW', lr=3e-4, weight_decay=0.05)"
    found = check(THEIRS + old).one('optimizer is of')
    assert 'optim_wrapper.optimizer.lr stays 0.1' in found.what
    assert (
        check(THEIRS + found.mend.removeprefix('in the config ')).found == []
    )


@pytest.mark.parametrize(
    'line',
    [
        'optimizer_config = None',
        'optimizer_config = dict(grad_clip=None)',
        'resume_from = None',
        'fp16 = None',
    ],
)
def test_what_was_switched_off_needs_no_mending(line, check):
    assert check(THEIRS + line).found == []


@pytest.mark.parametrize(
    'line',
    [
        'evaluation = dict(metric=1, metric_options=2, interval=3)',
        'evaluation = dict(metric=[dict(a=1)], interval=3)',
        'lr_config = [1]',
        'runner = 5',
        'optimizer = "SGD"',
    ],
)
def test_old_settings_of_an_odd_kind(line, check):
    (found,) = check(THEIRS + line).found
    assert found.level == WARN
    assert 'optim_wrapper.optimizer=' not in found.mend
