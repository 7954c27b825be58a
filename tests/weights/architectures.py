"""Backbones of MMPretrain beside the models that weights come from."""

from pathlib import Path

import mmpretrain
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS
from mmpretrain.utils import register_all_modules
from torch import nn

MODELS_OF_MMPRETRAIN = (
    Path(mmpretrain.__file__).parent / '.mim/configs/_base_/models'
)
CONFIGS = {
    'resnet18': 'resnet18',
    'resnet34': 'resnet34',
    'resnet50': 'resnet50',
    'resnet101': 'resnet101',
    'resnet152': 'resnet152',
    'mobilenet_v2': 'mobilenet_v2_1x',
    'mobilenet_v3_small': 'mobilenet_v3/mobilenet_v3_small_imagenet',
    'mobilenet_v3_large': 'mobilenet_v3/mobilenet_v3_large_imagenet',
    'densenet161': 'densenet/densenet161',
    'resnext50': 'resnext50_32x4d',
    'efficientnet_b0': 'efficientnet_b0',
    'convnext_tiny': 'convnext/convnext-tiny',
    'swin_tiny': 'swin_transformer/tiny_224',
    'tinyvit_21m': 'tinyvit/tinyvit-21m',
}
DEIT_SMALL = {
    'type': 'VisionTransformer',
    'arch': 'deit-small',
    'img_size': 224,
    'patch_size': 16,
}
# What the fixed input sizes of windows and patches ask for.
SIZES = {'swin_tiny': 224, 'vit_small': 224, 'tinyvit_21m': 224}


def backbone_config(name: str) -> dict:
    if name == 'vit_small':
        return dict(DEIT_SMALL)
    path = MODELS_OF_MMPRETRAIN / f'{CONFIGS[name]}.py'
    return Config.fromfile(path).model.backbone


def build(name: str, **changes) -> nn.Module:
    """A model that has nothing but the backbone, in the mode of training."""
    register_all_modules()
    torch.manual_seed(0)
    model = nn.Module()
    model.backbone = MODELS.build({**backbone_config(name), **changes})
    return model


def shake(model: nn.Module) -> nn.Module:
    """Give every tensor other numbers than those that all models begin with.

    Freshly built, the norms, scales and biases of two models agree however
    they are mixed up.
    """
    dice = torch.Generator().manual_seed(0)
    for name, tensor in model.state_dict().items():
        if not tensor.is_floating_point():
            continue
        noise = torch.randn(tensor.shape, generator=dice)
        if name.endswith('running_var'):
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=dice))
        elif tensor.ndim <= 1 or 'scale' in name:
            scales = 'gamma' in name or 'scale' in name
            middle = 1 if name.endswith('weight') else 0.3 * scales
            tensor.copy_(middle + 0.1 * noise)
        elif any(part in name for part in ('bias', 'pos_', 'token')):
            tensor.copy_(0.5 * noise)
    return model.eval()


def features(backbone: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """One vector for each image."""
    found = backbone(images)[-1]
    return found.mean((2, 3)) if found.ndim == 4 else found
