"""What stands at the top level of a config and is read by nobody."""

import pytest
from bases import THEIRS
from examining import NOTE, WARN, write

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


COMMON = {
    'BATCH_SIZE = 8': 'train_dataloader.batch_size=8',
    'NUM_EPOCHS = 20': 'train_cfg.max_epochs=20',
    'max_epoch = 20': 'train_cfg.max_epochs=20',
    'LEARNING_RATE = 0.001': 'optim_wrapper.optimizer.lr=0.001',
    'base_learning_rate = 0.001': 'optim_wrapper.optimizer.lr=0.001',
    'WEIGHT_DECAY = 0.05': 'optim_wrapper.optimizer.weight_decay=0.05',
    "DATA_ROOT = 'data/mine'": '--data-root data/mine',
    "data_dir = 'data/mine'": '--data-root data/mine',
    'SEED = 3': 'randomness.seed=3',
}


@pytest.mark.parametrize(('line', 'mend'), COMMON.items())
def test_what_people_change_most_by_any_name(line, mend, check):
    (found,) = check(THEIRS + line).found
    assert found.level == WARN
    assert found.mend.endswith(mend)


def test_other_numbers_that_nobody_uses_are_notes(check):
    seen = check(THEIRS + 'IMG_SIZE = 192\nwarmup_epochs = 2')
    assert [found.level for found in seen.found] == [NOTE, NOTE]


def test_a_constant_that_is_used_is_left_alone(check):
    text = 'BATCH_SIZE = 8\ntrain_dataloader = dict(batch_size=BATCH_SIZE)'
    assert check(THEIRS + text).found == []


@pytest.mark.parametrize(
    'line', ['NUM_CLASSES = 5', 'num_classes = 5', "CLASSES = ['a', 'b', 'c']"]
)
def test_classes_that_the_dataset_does_not_have(line, check, dataset):
    (found,) = check(THEIRS + line, '--data-root', dataset).found
    assert found.level == WARN
    assert 'classes.txt names 3 classes, blue tit, red' in found.what


@pytest.mark.parametrize(
    'line', ['NUM_CLASSES = 3', "CLASSES = ['blue tit', 'red', 'étoile']"]
)
def test_classes_that_the_dataset_has(line, check, dataset):
    assert check(THEIRS + line, '--data-root', dataset).found == []


def test_a_path_is_shown_without_detours(check, tmp_path):
    (tmp_path / 'a').mkdir()
    write(
        tmp_path,
        THEIRS + "load_from = '{{fileDirname}}/a/../x.pth'",
        'base.py',
    )
    text = "_base_ = 'a/../base.py'\npretrained = 'mine.pth'"
    (found,) = check(text).found
    assert f"load_from stays '{tmp_path / 'x.pth'}'" in found.what
    write(tmp_path, THEIRS + 'height = 6', 'base.py')
    (found,) = check("_base_ = 'a/../base.py'").found
    assert found.where == f'{tmp_path / "base.py"}:2'


def test_a_mend_keeps_what_the_file_says_beside_it(check):
    text = (
        THEIRS + 'test_pipeline = []\nval_dataloader = dict(batch_size=8, '
        "dataset=dict(data_root='data/mine'))"
    )
    (found,) = check(text).found
    assert found.mend == (
        'val_dataloader = dict(…, dataset=dict(…, pipeline=test_pipeline))'
    )


def test_what_the_file_sets_is_not_the_bases(check):
    text = (
        THEIRS + 'test_pipeline = []\nval_dataloader = dict(dataset=dict('
        "pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')]))"
    )
    (found,) = check(text).found
    assert found.what.endswith(
        'val_dataloader.dataset.pipeline is set by itself.'
    )
    assert '…' not in found.mend


def test_what_the_command_line_has_decided(check):
    text = THEIRS + "dataset_type = 'CustomDataset'"
    option = 'train_dataloader.dataset.type=flower_mm.FlowerDataset'
    seen = check(text, '--cfg-options', option)
    assert seen.about('dataset_type') == []
