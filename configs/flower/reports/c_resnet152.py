"""Report C with ResNet-152, which its text names as well.

python tools/train.py configs/flower/reports/c_resnet152.py
"""

_base_ = './c_resnet101.py'

model = dict(backbone=dict(depth=152))
default_hooks = dict(pretrained=dict(weights='resnet152'))
