"""Report A1: ResNet-18, Adam, all five augmentations. Published: 78.95 %.

python tools/train.py configs/flower/reports/a1_resnet18.py

The report omits the learning rate (here Adam's default), the strength of the
augmentations, and the patience of its schedule (here PyTorch's default: a
tenth of the learning rate after more than ten epochs without improvement,
which ten epochs never reach).
"""

_base_ = [
    'mmpretrain::_base_/models/resnet18.py',
    '../../_base_/report.py',
]

model = dict(head=dict(cal_acc=True))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='NumpyToPIL', to_rgb=True),
    dict(type='torchvision/RandomResizedCrop', size=224),
    dict(type='torchvision/RandomHorizontalFlip'),
    dict(type='torchvision/RandomVerticalFlip'),
    dict(type='torchvision/RandomRotation', degrees=30),
    dict(
        type='torchvision/ColorJitter',
        brightness=0.2,
        contrast=0.2,
        saturation=0.2,
        hue=0.1,
    ),
    dict(type='torchvision/RandomAffine', degrees=0, translate=(0.1, 0.1)),
    dict(type='PILToNumpy', to_bgr=True),
    dict(type='PackInputs'),
]
train_dataloader = dict(batch_size=64, dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=1e-3),
)
param_scheduler = [
    dict(
        type='ReduceOnPlateauLR',
        monitor='accuracy/top1',
        rule='greater',
        factor=0.1,
        patience=10,
    )
]
auto_scale_lr = dict(base_batch_size=64)
default_hooks = dict(
    pretrained=dict(type='PretrainedHook', weights='resnet18')
)
