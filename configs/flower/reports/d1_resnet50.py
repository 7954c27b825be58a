"""Report D1: ResNet-50 by MMPretrain, SGD. Published: 95.98 %.

python tools/train.py configs/flower/reports/d1_resnet50.py

As logged: it keeps ImageNet's milestones, which twenty epochs never reach.
The report omits augmentations: here those of MMPretrain's own config, a random
resized crop and a flip.
"""

_base_ = [
    'mmpretrain::_base_/models/resnet50.py',
    '../../_base_/report.py',
]

model = dict(head=dict(cal_acc=True))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=224),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=5e-3, momentum=0.9, weight_decay=1e-4),
)
param_scheduler = [
    dict(type='MultiStepLR', milestones=[30, 60, 90], gamma=0.1)
]
train_cfg = dict(max_epochs=20)
default_hooks = dict(
    pretrained=dict(type='PretrainedHook', weights='resnet50')
)
