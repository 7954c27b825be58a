"""Report E2: ResNet-18 in plain PyTorch, Adam. Published: over 77 %.

python tools/train.py configs/flower/reports/e2_resnet18.py

The report omits the number of epochs (here 10), the batch size (here 32),
whether the learning rate falls (here it stays constant), and which five
augmentations it used (here report C's).
"""

_base_ = [
    'mmpretrain::_base_/models/resnet18.py',
    '../../_base_/report.py',
]

model = dict(head=dict(cal_acc=True))
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
        fill_color=(104, 116, 124),  # the mean, in OpenCV's order
    ),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=1e-3),
)
param_scheduler = None  # the rate stays
default_hooks = dict(
    pretrained=dict(type='PretrainedHook', weights='resnet18')
)
