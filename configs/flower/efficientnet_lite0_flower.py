"""EfficientNet-Lite0 of timm. Not measured yet.

python tools/train.py configs/flower/efficientnet_lite0_flower.py
"""

_base_ = ['./timm_flower.py']

model = dict(backbone=dict(model_name='tf_efficientnet_lite0'))
# The weights were trained on (value - 127) / 128.
data_preprocessor = dict(mean=[127.0] * 3, std=[128.0] * 3)
# The learning rate of our configs for CNNs.
peak_lr = 3e-4
default_hooks = dict(
    pretrained=dict(type='PretrainedHook', weights='efficientnet_lite0')
)
