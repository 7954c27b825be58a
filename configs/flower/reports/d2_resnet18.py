"""Report D2: ResNet-18 in plain PyTorch, SGD. Published: 92.81 %.

python tools/train.py configs/flower/reports/d2_resnet18.py

The report omits the momentum (here 0.9), the factor of the learning rate (here
a tenth), the number of epochs (here 25, as in PyTorch's tutorial), the batch
size (here 32) and the strength of the augmentations.
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
    dict(
        type='torchvision/ColorJitter',
        brightness=0.2,
        contrast=0.2,
        saturation=0.2,
        hue=0.1,
    ),
    dict(type='torchvision/RandomRotation', degrees=30),
    dict(type='torchvision/RandomAffine', degrees=0, translate=(0.1, 0.1)),
    dict(type='PILToNumpy', to_bgr=True),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=1e-3, momentum=0.9),
)
param_scheduler = [dict(type='StepLR', step_size=7, gamma=0.1)]
train_cfg = dict(max_epochs=25)
default_hooks = dict(
    pretrained=dict(type='PretrainedHook', weights='resnet18')
)
