"""Values of the wrong kind."""

import pytest
from bases import THEIRS
from examining import STOP


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
