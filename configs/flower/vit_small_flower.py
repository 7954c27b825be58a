"""ViT small (DeiT). Not measured: its ImageNet weights were not available.

python tools/train.py configs/flower/vit_small_flower.py
"""

_base_ = [
    'mmpretrain::_base_/models/vit-base-p16.py',
    '../_base_/flower.py',
]

# MMPretrain's DeiT3 applies the first norm of each block twice and the second
# one never, so that pretrained weights compute wrongly in it.
model = dict(
    backbone=dict(arch='deit-small', drop_rate=0.0, drop_path_rate=0.1),
    head=dict(
        in_channels=384,
        loss=dict(_delete_=True, type='LabelSmoothLoss', label_smooth_val=0.1),
        cal_acc=True,
    ),
)
# The usual learning rate for attention and layer norm; not measured here.
peak_lr = 1e-4
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={
            'pos_embed': dict(decay_mult=0.0),
            'cls_token': dict(decay_mult=0.0),
        }
    ),
)
default_hooks = dict(
    pretrained=dict(type='PretrainedHook', weights='vit_small')
)
