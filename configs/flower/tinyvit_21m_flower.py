"""TinyViT 21M. Not measured: its ImageNet weights were not available.

python tools/train.py configs/flower/tinyvit_21m_flower.py
"""

_base_ = [
    'mmpretrain::_base_/models/tinyvit/tinyvit-21m.py',
    '../_base_/flower.py',
]

model = dict(
    head=dict(
        loss=dict(_delete_=True, type='LabelSmoothLoss', label_smooth_val=0.1),
        cal_acc=True,
    ),
)
# The usual learning rate for attention and layer norm; not measured here.
peak_lr = 1e-4
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={
            'attention_biases': dict(decay_mult=0.0),
        }
    ),
)
default_hooks = dict(
    pretrained=dict(type='PretrainedHook', weights='tinyvit_21m')
)
