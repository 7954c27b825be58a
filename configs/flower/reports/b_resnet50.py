"""Report B: ResNet-50, Adam, a step schedule. Published: 80.53 %.

python tools/train.py configs/flower/reports/b_resnet50.py

The report omits after how many epochs the learning rate falls (here seven, as
in PyTorch's tutorial) and the batch size (here 32).
"""

_base_ = [
    'mmpretrain::_base_/models/resnet50.py',
    '../../_base_/report.py',
]

model = dict(head=dict(cal_acc=True))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=256, edge='short'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=1e-3),
)
param_scheduler = [dict(type='StepLR', step_size=7, gamma=0.1)]
train_cfg = dict(max_epochs=25)
default_hooks = dict(
    pretrained=dict(type='PretrainedHook', weights='resnet50')
)
