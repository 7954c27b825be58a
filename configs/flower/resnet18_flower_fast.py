"""ResNet-18, four epochs. Not measured: its weights were not available.

python tools/train.py configs/flower/resnet18_flower_fast.py
"""

_base_ = [
    'mmpretrain::_base_/models/resnet18.py',
    '../_base_/flower_fast.py',
]

model = dict(
    # The stem and the first two of four stages.
    backbone=dict(frozen_stages=2),
    head=dict(
        loss=dict(_delete_=True, type='LabelSmoothLoss', label_smooth_val=0.1),
        cal_acc=True,
    ),
)
default_hooks = dict(
    pretrained=dict(type='PretrainedHook', weights='resnet18')
)
