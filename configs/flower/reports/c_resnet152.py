"""Report C's text also names ResNet-152: its recipe with that.

python tools/train.py configs/flower/reports/c_resnet152.py
"""

_base_ = './c_resnet101.py'

model = dict(backbone=dict(depth=152))
default_hooks = dict(pretrained=dict(weights='resnet152'))
