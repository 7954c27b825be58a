"""Stock MMPretrain's best known recipe, in the precision of our configs.

The pipelines and the schedule are those of stock_adamw.py. Our Runner trains
it, so that both recipes compute in bfloat16 where that is faster.
"""

_base_ = [
    'mmpretrain::_base_/models/mobilenet_v2_1x.py',
    '../../configs/_base_/report.py',
]

precision = 'auto'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=224),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(
    optimizer=dict(lr=3e-4, weight_decay=0.02),
    # MMPretrain's decay is for all weights.
    paramwise_cfg=dict(_delete_=True),
)
param_scheduler = dict(_delete_=True, type='CosineAnnealingLR', by_epoch=True)
default_hooks = dict(
    pretrained=dict(type='PretrainedHook', weights='mobilenet_v2')
)
