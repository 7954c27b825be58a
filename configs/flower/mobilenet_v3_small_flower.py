"""MobileNetV3 small. Not measured: its ImageNet weights were not available.

python tools/train.py configs/flower/mobilenet_v3_small_flower.py
"""

_base_ = [
    'mmpretrain::_base_/models/mobilenet_v3/mobilenet_v3_small_imagenet.py',
    '../_base_/flower.py',
]

model = dict(
    head=dict(
        loss=dict(_delete_=True, type='LabelSmoothLoss', label_smooth_val=0.1),
        cal_acc=True,
    ),
)
default_hooks = dict(
    pretrained=dict(type='PretrainedHook', weights='mobilenet_v3_small')
)
