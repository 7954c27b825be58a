"""Swin tiny. Not measured: its ImageNet weights were not available.

python tools/train.py configs/flower/swin_tiny_flower.py
"""

_base_ = [
    'mmpretrain::_base_/models/swin_transformer/tiny_224.py',
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
# The usual learning rate for attention and layer norm; not measured here.
peak_lr = 1e-4
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={
            'relative_position_bias_table': dict(decay_mult=0.0),
        }
    ),
)
default_hooks = dict(
    pretrained=dict(type='PretrainedHook', weights='swin_tiny')
)
