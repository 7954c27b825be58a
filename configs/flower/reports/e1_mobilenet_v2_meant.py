"""Report E1: MobileNetV2 by MMPretrain, with the intended settings.

python tools/train.py configs/flower/reports/e1_mobilenet_v2_meant.py

The learning rate falls as in MMPretrain's own config, by 2 % an epoch. The
report omits augmentations: here that config's, a random resized crop and a
flip, with OpenCV's resizing in place of Pillow's.
"""

_base_ = [
    'mmpretrain::_base_/models/mobilenet_v2_1x.py',
    '../../_base_/report.py',
]

model = dict(head=dict(cal_acc=True))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=224),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=1e-3, momentum=0.9, weight_decay=4e-5),
)
param_scheduler = [dict(type='StepLR', step_size=1, gamma=0.98)]
auto_scale_lr = dict(base_batch_size=8)
train_cfg = dict(max_epochs=20)
default_hooks = dict(
    pretrained=dict(type='PretrainedHook', weights='mobilenet_v2')
)
