"""Report C, table 2: the centre crop and the flip. Published: 79.1 %.

python tools/train.py configs/flower/reports/c_flip.py
"""

_base_ = './c_resnet101.py'

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='NumpyToPIL', to_rgb=True),
    dict(type='torchvision/Resize', size=256),
    dict(type='torchvision/CenterCrop', size=224),
    dict(type='torchvision/RandomHorizontalFlip'),
    dict(type='PILToNumpy', to_bgr=True),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
