"""ConvNeXt tiny. Not measured: its ImageNet weights were not available.

python tools/train.py configs/flower/convnext_tiny_flower.py
"""

_base_ = [
    'mmpretrain::_base_/models/convnext/convnext-tiny.py',
    '../_base_/flower.py',
]

model = dict(
    head=dict(
        loss=dict(_delete_=True, type='LabelSmoothLoss', label_smooth_val=0.1),
        cal_acc=True,
    ),
    # Mixup and CutMix pay in ImageNet's long schedules, not in short ones.
    train_cfg=dict(_delete_=True),
)
# The usual learning rate for layer norm; not measured here.
peak_lr = 1e-4
default_hooks = dict(
    pretrained=dict(type='PretrainedHook', weights='convnext_tiny')
)
