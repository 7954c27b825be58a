"""Keys that no class takes."""

import pytest
from bases import OURS, THEIRS
from examining import STOP, WARN, read, write

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
    # As it is mended, with the pipeline that it had.
    line = found.mend.removeprefix('in the config ')
    assert 'pipeline=_base_.train_dataloader.dataset.pipeline' in line
    assert check(THEIRS + line).found == []


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


@pytest.mark.parametrize(
    'pipeline',
    ['steps', "[dict(type='LoadImageFromFile'), dict(type='PackInputs')]"],
)
def test_a_dataset_made_anew_keeps_its_pipeline(pipeline, check, tmp_path):
    text = (
        THEIRS
        + "steps = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]\n"
    )
    seen = check(
        f"{text}train_dataloader = dict(dataset=dict(type='CustomDataset', "
        f"data_root='data/flower', pipeline={pipeline}))\nused = steps"
    )
    line = seen.one('left over').mend.removeprefix('in the config ')
    assert f'pipeline={pipeline}' in line
    cfg, _ = read(write(tmp_path, text + line))
    names = [step.type for step in cfg.train_dataloader.dataset.pipeline]
    assert names == ['LoadImageFromFile', 'PackInputs']


def test_another_dataset_by_an_option_keeps_its_folder(check):
    option = 'train_dataloader.dataset.type=CustomDataset'
    found = check(THEIRS, '--cfg-options', option).one('takes no split')
    line = found.mend.removeprefix('in the config ')
    assert "data_root='data/imagenet'" in line
    assert check(THEIRS + line).found == []


CLIP = 'optim_wrapper = dict(clip_grad={})'


@pytest.mark.parametrize(
    ('clip', 'said', 'mend'),
    [
        ('dict(maxnorm=1.0)', 'takes no maxnorm', 'clip_grad.max_norm is'),
        ("dict(type='value', max_norm=1.0)", 'has no clip_value', 'clip_va'),
        ("dict(type='values', clip_value=1.0)", "be 'values'", "'value'"),
        ('dict(norm_type=2)', 'has no max_norm', 'max_norm=1.0'),
        ('1.0', "cannot be '1.0'", 'dict(max_norm=1.0)'),
    ],
)
def test_clipping_that_would_end_the_run(clip, said, mend, check):
    found = check(THEIRS + CLIP.format(clip)).one(said)
    assert found.level == STOP
    assert mend in found.mend


@pytest.mark.parametrize(
    'clip',
    [
        'None',
        'dict(max_norm=1.0, norm_type=2, error_if_nonfinite=True)',
        "dict(type='norm', max_norm=5)",
        "dict(type='value', clip_value=0.5)",
    ],
)
def test_clipping_as_torch_does_it(clip, check):
    assert check(THEIRS + CLIP.format(clip)).found == []


HOOKS = {
    "custom_hooks = [dict(type='EMAHook', priorty=49)]": 'priority',
    "custom_hooks = [dict(type='EMAHook', momentumm=1e-4)]": 'momentum',
    "custom_hooks = [dict(type='EarlyStoppingHook', monitor='x', "
    'patiance=3)]': 'patience',
    "default_hooks = dict(checkpoint=dict(save_bset='auto'))": 'save_best',
    'default_hooks = dict(checkpoint=dict(save_optimiser=0))': (
        'save_optimizer'
    ),
    'default_hooks = dict(visualization=dict(enabled=True))': 'enable',
    'default_hooks = dict(sampler_seed=dict(priorty=49))': 'priority',
    'default_hooks = dict(timer=dict(priorty=49))': 'priority',
}


@pytest.mark.parametrize(('line', 'meant'), HOOKS.items())
def test_a_misspelt_key_of_a_hook(line, meant, check):
    (found,) = check(THEIRS + line).found
    assert found.level == STOP
    assert found.mend.endswith(f'.{meant} is meant?')


@pytest.mark.parametrize(
    'line',
    [
        "custom_hooks = [dict(type='EMAHook', ema_type='StochasticWeight"
        "Average', update_buffers=True, interval=2, priority=49)]",
        'default_hooks = dict(checkpoint=dict(save_optimizer=False, '
        "max_keep_ckpts=3, save_best='auto', priority='LOW'))",
        'default_hooks = dict(visualization=dict(enable=True, '
        'draw_score=False, out_dir="x"), sampler_seed=dict(priority=49))',
    ],
)
def test_keys_that_hooks_take_or_hand_on(line, check):
    assert check(THEIRS + line).found == []


@pytest.mark.parametrize(
    'loss',
    [
        "type='CrossEntropyLoss', label_smooth=0.1",
        'label_smooth_val=0.1',
        'label_smoothing=0.1',
    ],
)
def test_smoothing_is_a_loss_of_its_own(loss, check):
    text = THEIRS + f'model = dict(head=dict(loss=dict({loss})))'
    found = check(text).one('takes no label_smooth')
    line = found.mend.removeprefix('instead of it ')
    assert line == (
        "model = dict(head=dict(loss=dict(type='LabelSmoothLoss', "
        'label_smooth_val=0.1)))'
    )
    assert check(THEIRS + line).found == []


# --- what was meant, and cannot be the key itself ----------------------------


def test_a_momentum_that_has_no_other_place(check):
    text = "optim_wrapper = dict(optimizer=dict(_delete_=True, type='Adam', "
    text += 'lr=1e-4, momentum=0.9, weight_decay=0))'
    (found,) = check(THEIRS + text).found
    assert found.mend.startswith('take it out; betas=(0.9, 0.999)')


def test_a_loop_of_iterations_has_no_epochs(check):
    text = "train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', "
    (found,) = check(THEIRS + text + 'max_epochs=1)').found
    assert found.mend.startswith('take train_cfg.type out')


@pytest.mark.parametrize('listed', [True, False])
def test_mixing_as_it_was_called(listed, check):
    text = "dict(type='BatchMixup', alpha=0.2, num_classes=5, prob=1.0)"
    text = f'[{text}]' if listed else text
    seen = check(f'{THEIRS}model = dict(train_cfg=dict(augments={text}))')
    found = seen.one('MMClassification 0.x')
    assert found.level == STOP
    assert found.mend.startswith("'Mixup', without num_classes and prob")
    new = "[dict(type='Mixup', alpha=0.2), dict(type='CutMix', alpha=1.0)]"
    seen = check(f'{THEIRS}model = dict(train_cfg=dict(augments={new}))')
    assert seen.found == []


# --- multipliers of a weight decay -------------------------------------------

SWIN = "_base_ = 'mmpretrain::swin_transformer/swin-tiny_16xb64_in1k.py'\n"
SGD = 'optim_wrapper = dict(optimizer=dict({}lr=0.005, momentum=0.9{}))'


@pytest.mark.parametrize('base', [SWIN, OURS])
def test_multipliers_of_no_weight_decay(base, check):
    sgd = "_delete_=True, type='SGD', "
    found = check(base + SGD.format(sgd, '')).one('no weight_decay')
    assert found.level == STOP
    assert found.mend == '--cfg-options optim_wrapper.optimizer.weight_decay=0'
    words = found.mend.split()
    seen = check(base + SGD.format(sgd, ''), *words)
    assert seen.about('weight_decay') == []
    seen = check(base + SGD.format(sgd, ', weight_decay=1e-4'))
    assert seen.about('weight_decay') == []


def test_no_multipliers_and_no_weight_decay(check):
    """ResNet's config has no paramwise_cfg, and a decay of 0 is SGD's own."""
    sgd = "_delete_=True, type='SGD', "
    assert check(THEIRS + SGD.format(sgd, '')).found == []


def test_an_optimizer_made_anew_has_a_weight_decay(check):
    text = SGD.format("type='SGD', ", '')
    mends = {found.mend for found in check(SWIN + text).about('left over')}
    (mend,) = mends
    line = mend.removeprefix('in the config ')
    assert 'weight_decay=0)' in line
    assert check(SWIN + line).found == []
