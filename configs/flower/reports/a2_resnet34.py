"""Report A2: report A1's recipe with ResNet-34. Published: 79.30 %.

python tools/train.py configs/flower/reports/a2_resnet34.py
"""

_base_ = './a1_resnet18.py'

model = dict(backbone=dict(depth=34))
default_hooks = dict(pretrained=dict(weights='resnet34'))
