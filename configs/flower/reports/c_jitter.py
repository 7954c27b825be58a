"""Report C, table 2: crop, flip, jitter, rotation. Published: 80.3 %.

python tools/train.py configs/flower/reports/c_jitter.py
"""

_base_ = './c_resnet101.py'

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
    dict(type='PILToNumpy', to_bgr=True),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
