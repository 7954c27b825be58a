"""Report C: ResNet-101 with a two-layer head. Published: 81.93 %.

python tools/train.py configs/flower/reports/c_resnet101.py

The report omits which layers are frozen (here the stem and the first two of
four stages), the length of the warm-up (here one epoch), the clipping norm
(here 1) and the probability of erasing (here PyTorch's defaults). Its five
augmentations follow the centre crop that its table 2 begins with.
"""

_base_ = [
    'mmpretrain::_base_/models/resnet101.py',
    '../../_base_/report.py',
]

model = dict(
    backbone=dict(frozen_stages=2),
    head=dict(
        type='StackedLinearClsHead',
        mid_channels=[256],
        dropout_rate=0.2,
        act_cfg=dict(type='ReLU'),
        cal_acc=True,
    ),
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='NumpyToPIL', to_rgb=True),
    dict(type='torchvision/Resize', size=256),
    dict(type='torchvision/CenterCrop', size=224),
    dict(
        type='torchvision/ColorJitter',
        brightness=0.2,
        contrast=0.2,
        saturation=0.2,
        hue=0.1,
    ),
    dict(type='torchvision/RandomHorizontalFlip'),
    dict(type='torchvision/RandomRotation', degrees=30),
    dict(type='torchvision/RandomAffine', degrees=0, translate=(0.1, 0.1)),
    dict(type='PILToNumpy', to_bgr=True),
    dict(
        type='RandomErasing',
        erase_prob=0.5,
        min_area_ratio=0.02,
        max_area_ratio=0.33,
        mode='const',
        fill_color=(104, 116, 124),  # the mean as BGR
    ),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=0.01, weight_decay=0.01),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.1,
        begin=0,
        end=1,
        convert_to_iter_based=True,
    ),
    dict(type='CosineAnnealingLR', begin=1, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=50)
default_hooks = dict(
    pretrained=dict(type='PretrainedHook', weights='resnet101')
)
