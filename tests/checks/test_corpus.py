"""Mistakes in configs, and the codes and places of their findings."""

from pathlib import Path

import pytest
from examining import STOCK, TINY_ON_BASE, write

# The learning rate of the base suits the tiny model; what remains is the
# mistake. Photos of 48 pixels are large enough for its 32.
TINY = TINY_ON_BASE
WITH_PREVIOUS = "_base_ = 'base.py'\n"
OPTIMIZER = 'optim_wrapper.optimizer'
PIPELINE = 'train_dataloader.dataset.pipeline'

# What follows the tiny model, and what is found; more words are options.
TINY_CASES = {
    # --- keys that MMEngine refuses
    "model['backbone']['dept'] = 18": 'E CFG001 model.backbone.dept',
    "model['head']['in_channel'] = 32": 'E CFG001 model.head.in_channel',
    "model['head']['loss']['weight'] = 1": 'E CFG001 model.head.loss.weight',
    "model['head']['label_smooth_val'] = 0.1": (
        'E CFG001 model.head.label_smooth_val'
    ),
    "train_pipeline[1]['size'] = 32": f'E CFG001 {PIPELINE}.1.size',
    "test_pipeline[2]['crop'] = 32": (
        'E CFG001 val_dataloader.dataset.pipeline.2.crop'
    ),
    "train_dataloader['batchsize'] = 8": (
        'E CFG001 train_dataloader.batchsize'
    ),
    "train_dataloader['samples_per_gpu'] = 8": (
        'E CFG001 train_dataloader.samples_per_gpu'
    ),
    "train_dataloader['dataset']['data_rot'] = 'x'": (
        'E CFG001 train_dataloader.dataset.data_rot'
    ),
    "train_dataloader['sampler'] = dict(shufle=True)": (
        'E CFG001 train_dataloader.sampler.shufle'
    ),
    "optim_wrapper['optimizer']['weight_decy'] = 0": (
        f'E CFG001 {OPTIMIZER}.weight_decy'
    ),
    "optim_wrapper['clip_grads'] = dict(max_norm=1)": (
        'E CFG001 optim_wrapper.clip_grads'
    ),
    "optim_wrapper['clip_grad'] = dict(max_nrm=1.)": (
        'E CFG001 optim_wrapper.clip_grad.max_nrm'
    ),
    "optim_wrapper['clip_grad'] = dict(norm_type=2)": (
        'E CFG008 optim_wrapper.clip_grad'
    ),
    "train_cfg['max_epoch'] = 3": 'E CFG001 train_cfg.max_epoch',
    "val_cfg = dict(type='ValLoop', interval=1)": (
        'E CFG001 val_cfg.interval'
    ),
    "val_evaluator = [dict(type='Accuracy', top_k=1)]": (
        'E CFG001 val_evaluator.0.top_k'
    ),
    "param_scheduler = [dict(type='CosineAnnealingLR', eta_mn=0.1)]": (
        'E CFG001 param_scheduler.0.eta_mn'
    ),
    'default_hooks = dict(checkpoint=dict(max_keep_ckpt=3))': (
        'E CFG001 default_hooks.checkpoint.max_keep_ckpt'
    ),
    'default_hooks = dict(logger=dict(intervall=3))': (
        'E CFG001 default_hooks.logger.intervall'
    ),
    "custom_hooks = [dict(type='EMAHook', momentm=0.01)]": (
        'E CFG001 custom_hooks.0.momentm'
    ),
    'randomness = dict(sed=3)': 'E CFG001 randomness.sed',
    'log_processor = dict(window=10)': 'E CFG001 log_processor.window',
    # --- keys that MMEngine ignores
    'auto_scale_lr = dict(base_batchsize=32)': (
        'W CFG001 auto_scale_lr.base_batchsize'
    ),
    'env_cfg = dict(cudnn_bench=True)': 'W CFG001 env_cfg.cudnn_bench',
    "optim_wrapper['paramwise_cfg'] = dict(norm_decay=0.)": (
        'W CFG001 optim_wrapper.paramwise_cfg.norm_decay'
    ),
    "optim_wrapper['paramwise_cfg'] = dict(custom_keys=dict(neck=dict("
    'lr_mul=0.1)))': (
        'W CFG001 optim_wrapper.paramwise_cfg.custom_keys.neck.lr_mul'
    ),
    # --- types
    "model['backbone']['type'] = 'ResNett'": 'E CFG005 model.backbone.type',
    "model['head']['loss'] = dict(type='CrossEntropy')": (
        'E CFG005 model.head.loss.type'
    ),
    "train_pipeline[2]['type'] = 'RandomFlipp'": (
        f'E CFG005 {PIPELINE}.2.type'
    ),
    "custom_hooks = [dict(type='EvalHook')]": 'E CFG005 custom_hooks.0.type',
    "optim_wrapper['optimizer'] = dict(_delete_=True, type='Adm', lr=1e-3)": (
        f'E CFG005 {OPTIMIZER}.type'
    ),
    "default_scope = 'mmengine'": 'E CFG005 default_scope',
    'default_hooks = dict(checkpiont=dict(interval=1))': (
        'E CFG006 default_hooks.checkpiont'
    ),
    'train_pipeline[3] = dict(brightness=0.2)': f'E CFG006 {PIPELINE}.3',
    # --- values of the wrong kind
    'model = 3': 'E CFG007 model',
    "train_cfg['max_epochs'] = '3'": 'E CFG007 train_cfg.max_epochs',
    "train_dataloader['batch_size'] = 2.5": (
        'E CFG007 train_dataloader.batch_size'
    ),
    "optim_wrapper['optimizer']['lr'] = '1e-3'": f'E CFG007 {OPTIMIZER}.lr',
    "param_scheduler = ['cosine']": 'E CFG007 param_scheduler',
    "param_scheduler = [dict(type='MultiStepLR', milestones=3)]": (
        'E CFG007 param_scheduler.0.milestones'
    ),
    "custom_hooks = dict(type='EMAHook')": 'E CFG007 custom_hooks',
    'default_hooks = dict(logger=10)': 'E CFG007 default_hooks.logger',
    "optim_wrapper['clip_grad'] = 1.0": 'E CFG007 optim_wrapper.clip_grad',
    # --- sections
    'model = None': 'E CFG008 model',
    'val_cfg = None': 'E CFG008 val_cfg',
    "val_dataloader = dict(_delete_=True, sampler=dict(type='X'))": (
        'E CFG008 val_dataloader.dataset'
    ),
    'test_cfg = None': 'E CFG008 test_cfg',
    # --- parts that cannot be built
    "model['backbone']['depth'] = 19": 'E RUN001 model.backbone',
    "model['backbone']['strides'] = (1, 2, 2)": 'E RUN001 model.backbone',
    "model['head']['loss'] = dict(type='LabelSmoothLoss')": (
        'E RUN001 model.head.loss'
    ),
    "model['train_cfg'] = dict(augment=dict(type='Mixup', alpha=0.8))": (
        'E CFG001 model.train_cfg.augment'
    ),
    'data_preprocessor = dict(std=None)': 'E RUN001 data_preprocessor',
    "train_pipeline[1] = dict(type='RandomResizedCrop')": (
        f'E RUN001 {PIPELINE}.1, W DATA016 train.txt'
    ),
    "train_dataloader['timeout'] = -1": 'E RUN001 train_dataloader',
    "train_dataloader['shuffle'] = True": 'E RUN001 train_dataloader',
    "test_dataloader['shuffle'] = True": 'W RUN001 test_dataloader',
    "optim_wrapper['constructor'] = "
    "'LearningRateDecayOptimWrapperConstructor'\n"
    "optim_wrapper['paramwise_cfg'] = dict(layer_decay_rate=0.7)": (
        'E RUN001 optim_wrapper'
    ),
    "param_scheduler = [dict(type='CosineAnnealingLR', begin=3, end=2)]": (
        'E RUN001 param_scheduler.0'
    ),
    # --- a step
    'train_pipeline.pop(0)': f'E RUN002 {PIPELINE}.0',
    'train_pipeline.pop()': f'E RUN002 {PIPELINE}.4',
    "train_pipeline[1] = dict(type='torchvision/Resize', size=32)": (
        f'E RUN002 {PIPELINE}.1'
    ),
    "model['head']['in_channels'] = 512": 'E RUN004 model.head.in_channels',
    "model['neck'] = None": 'E RUN004 model.neck',
    "model['head']['loss'] = dict(type='CrossEntropyLoss', "
    'class_weight=[1., 2.])': 'E RUN004 model.head.loss',
    "model['head']['loss']['use_sigmoid'] = True": (
        'E RUN004 model.head.loss'
    ),
    "model['head'] = dict(type='ClsHead')": 'W RUN007 model.head',
    "val_evaluator = [dict(type='Accuracy', topk=(1, 9))]": '',
    "train_dataloader['batch_size'] = 99\n"
    "train_dataloader['drop_last'] = True": (
        'E RUN006 train_dataloader.drop_last'
    ),
    # --- metrics and hooks
    "default_hooks = dict(checkpoint=dict(save_best='accuracy/top5'))": (
        'E HOOK001 default_hooks.checkpoint.save_best'
    ),
    "custom_hooks = [dict(type='EarlyStoppingHook', monitor='acc')]": (
        'W HOOK001 custom_hooks.0.monitor'
    ),
    "custom_hooks = [dict(type='EarlyStoppingHook', monitor='acc', "
    'strict=True)]': 'E HOOK001 custom_hooks.0.monitor',
    "default_hooks = dict(checkpoint=dict(save_best='cross_entropy', "
    "rule='greater'))": 'W HOOK002 default_hooks.checkpoint.rule',
    "custom_hooks = [dict(type='EMAHook'), dict(type='EMAHook')]": (
        'W HOOK003 custom_hooks.1'
    ),
    'default_hooks = dict(runtime_info=None)': (
        'E HOOK004 default_hooks.runtime_info'
    ),
    "visualizer = dict(vis_backends=[dict(type='NeptuneVisBackend')])": (
        'E HW006 visualizer.vis_backends.0'
    ),
    "runner_type = 'FlexibleRunner'\nstrategy = dict(type='FSDPStrategy')": (
        'E CFG016 strategy.type'
    ),
    "model_wrapper_cfg = dict(type='MMFullyShardedDataParallel')": (
        'E CFG016 model_wrapper_cfg.type'
    ),
    # --- preprocessing
    "test_pipeline[2] = dict(type='RandomCrop', crop_size=32)": (
        'W DATA020 val_dataloader.dataset.pipeline'
    ),
    "train_dataloader['sampler'] = dict(shuffle=False)": (
        'W DATA019 train_dataloader.sampler.shuffle'
    ),
    "train_pipeline.insert(-1, dict(type='Normalize', mean=[0.] * 3, "
    'std=[1.] * 3))': f'W PRE004 {PIPELINE}.5',
    "train_dataloader['dataset']['decode_once'] = 16": (
        'W DATA018 train_dataloader.dataset.decode_once'
    ),
    "train_dataloader['dataset']['classes'] = ['a', 'b']": (
        'W CFG013 train_dataloader.dataset.classes'
    ),
    # --- the machine
    "train_dataloader['num_workers'] = 500": (
        'W HW001 train_dataloader.num_workers'
    ),
    "optim_wrapper['type'] = 'AmpOptimWrapper'": (
        'E HW003 optim_wrapper.type'
    ),
    # --- no mistakes
    '': '',
    "train_pipeline[1] = dict(type='RandomResizedCrop', scale=64)": '',
    "model['train_cfg'] = dict(augments=dict(type='Mixup', alpha=0.8))": '',
    "model['head']['loss'] = dict(type='FocalLoss')": '',
    "model['head']['loss'] = dict(type='LabelSmoothLoss', "
    'label_smooth_val=0.1)': '',
    "train_dataloader['dataset'] = dict(_delete_=True, type='RepeatDataset', "
    "times=2, dataset=dict(type='FlowerDataset', data_root='x', "
    "split='train', pipeline=train_pipeline))": '',
    'default_hooks = dict(ema=None)\n'
    "custom_hooks = [dict(type='EMAHook', momentum=0.01)]": '',
    "custom_hooks = [dict(type='EarlyStoppingHook', "
    "monitor='accuracy/top1')]": '',
    "optim_wrapper['paramwise_cfg'] = dict(custom_keys=dict("
    'backbone=dict(lr_mult=0.1)))': '',
    "val_evaluator = dict(_delete_=True, type='Accuracy', topk=1)": '',
}


def rows(expected: str) -> set[str]:
    return set(filter(None, expected.split(', ')))


@pytest.mark.parametrize(('text', 'expected'), TINY_CASES.items())
def test_a_mistake_is_found_and_nothing_else(text, expected, examine):
    seen = examine(f'{TINY}{text}\n', '--from-scratch')
    assert seen.rows() == rows(expected), '\n'.join(map(str, seen.findings))


# What follows MMPretrain's own config: an error of the dataset ends it
# before anything is built.
STOCK_CASES = {
    'lr = 0.001': 'W CFG002 mine.py:2',
    'LEARNING_RATE = 0.001': 'W CFG002 mine.py:2',
    'max_epochs = 20': 'W CFG002 mine.py:2',
    'BATCH_SIZE = 8': 'W CFG002 mine.py:2',
    'SEED = 3': 'W CFG002 mine.py:2',
    "train_pipeline = [dict(type='LoadImageFromFile')]": 'W CFG002 mine.py:2',
    "backbone = dict(type='ResNet', depth=18)": 'W CFG002 mine.py:2',
    'milestones = [5, 8]': 'W CFG002 mine.py:2',
    "pretrained = 'resnet50.pth'": 'W CFG002 mine.py:2',
    'optim_wraper = dict(optimizer=dict(lr=0.001))': 'W CFG001 mine.py:2',
    'param_schedulers = []': 'W CFG001 mine.py:2',
    "load_form = 'x.pth'": 'W CFG001 mine.py:2',
    'IMG_SIZE = 192': 'N CFG003 mine.py:2',
    'mixing = dict(alpha=1)': 'W CFG003 mine.py:2',
    'num_classes = 5': 'W CFG013 mine.py:2',
    "CLASSES = ['a', 'b', 'c']": 'W CFG013 mine.py:2',
    'data = dict(samples_per_gpu=8)\nrunner = dict(max_epochs=3)': (
        'W CFG004 mine.py:2'
    ),
    "evaluation = dict(interval=1)\nlr_config = dict(policy='step')": (
        'W CFG004 mine.py:2'
    ),
    "optimizer = dict(type='SGD', lr=0.001)": 'W CFG004 mine.py:2',
    "load_from = '/home/nobody/weights.pth'": 'W CFG009 mine.py:2',
    "work_dir = 'D:/runs'": 'W CFG009 mine.py:2',
    # used, or as it is anyway
    'lr = 0.001\noptim_wrapper = dict(optimizer=dict(lr=lr))': '',
    'max_epochs = 100': '',
    '_note = dict(by="me")': '',
    'num_classes = 3': '',
    'find_unused_parameters = True': '',
    "ignore_checks = ['WGT']": '',
    'data_root = {{_base_.train_dataloader.dataset.data_root}}\n'
    'train_dataloader = dict(dataset=dict(data_root=data_root))': '',
}


@pytest.mark.parametrize(('text', 'expected'), STOCK_CASES.items())
def test_a_name_that_changes_nothing(text, expected, tmp_path, dataset):
    findings = static_findings(tmp_path, STOCK + text, dataset)
    assert findings == rows(expected)


@pytest.mark.parametrize(
    ('option', 'expected'),
    [
        ('lr=0.001', 'W CFG002 --cfg-options lr'),
        ('optimizer.lr=0.001', 'W CFG004 --cfg-options optimizer.lr'),
        ('optim_wraper.optimizer.lr=1', 'W CFG001 --cfg-options '),
        ('optim_wrapper.optimizer.lr=0.001', ''),
    ],
)
def test_an_option_that_changes_nothing(option, expected, tmp_path, dataset):
    words = ('--cfg-options', option)
    findings = static_findings(tmp_path, STOCK, dataset, *words)
    assert [row[: len(expected)] for row in findings] == (
        [expected] if expected else []
    )


def static_findings(
    folder: Path, text: str, dataset: Path, *words: str
) -> set[str]:
    """Return the rows of the checks that only read the config."""
    from examining import Examined, read

    from flower_mm.checks import config_structure

    cfg, args = read(write(folder, text), '--data-root', dataset, *words)
    seen = Examined(list(config_structure.check(cfg, args)), None)
    usual = ('CFG010', 'CFG012')  # of every stock config
    return {row for row in seen.rows(least=0) if not row[2:].startswith(usual)}


def test_a_variable_for_the_configs_above(tmp_path, dataset):
    write(tmp_path, STOCK + 'width = 50\nheight = 6', 'base.py')
    text = f'{WITH_PREVIOUS}model = dict(backbone=dict(depth=_base_.width))'
    findings = static_findings(tmp_path, text, dataset)
    assert findings == {'N CFG003 base.py:3'}


def test_a_key_left_over_from_the_base_is_named_so(examine, tmp_path):
    line = "optim_wrapper['optimizer']['betas'] = (0.9, 0.99)\n"
    write(tmp_path, TINY + line, 'base.py')
    text = "optim_wrapper = dict(optimizer=dict(type='SGD'))\n"
    finding = examine(WITH_PREVIOUS + text).one('CFG001')
    assert finding.where == f'{OPTIMIZER}.betas'
    assert '_delete_=True' in finding.fix


@pytest.mark.parametrize(
    ('text', 'meant'),
    [
        ("model['backbone']['dept'] = 18", 'model.backbone.depth'),
        ("model['neck']['in_channels'] = 3", 'model.head.in_channels'),
        ("train_cfg['lr'] = 3", 'optim_wrapper.optimizer.lr'),
        ("optim_wrapper['lr'] = 3", 'optim_wrapper.optimizer.lr'),
        ("train_dataloader['pipeline'] = []", PIPELINE),
        (
            "train_dataloader['samples_per_gpu'] = 8",
            'train_dataloader.batch_size',
        ),
    ],
)
def test_the_place_that_was_meant(text, meant, examine):
    finding = examine(f'{TINY}{text}\n').one('CFG001')
    assert finding.fix == f'did you mean {meant}?'
