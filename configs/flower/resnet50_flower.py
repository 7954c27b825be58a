"""ResNet-50. Not measured: its ImageNet weights were not available.

python tools/train.py configs/flower/resnet50_flower.py
"""

_base_ = [
    'mmpretrain::_base_/models/resnet50.py',
    '../_base_/flower.py',
]

model = dict(
    head=dict(
        loss=dict(_delete_=True, type='LabelSmoothLoss', label_smooth_val=0.1),
        cal_acc=True,
    ),
)
default_hooks = dict(
    pretrained=dict(type='PretrainedHook', weights='resnet50')
)
