"""What the configs in the tests of the keys are based on."""

OURS = "_base_ = 'CONFIGS/resnet18_flower.py'\n"
THEIRS = "_base_ = 'mmpretrain::resnet/resnet50_8xb32_in1k.py'\n"
