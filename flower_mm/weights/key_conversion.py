"""From the names that torchvision and timm give tensors to MMPretrain's."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import torch

from flower_mm.weights import timm_keys, torchvision_keys
from flower_mm.weights.torchvision_keys import Rules, State


@dataclass(frozen=True)
class Style:
    """One family of names; a file is of it when it has all the `marks`."""

    name: str
    marks: tuple[str, ...]
    rules: Callable[[State], Rules]
    head: str = r'(head|fc|classifier)\.'
    # What differs between the two in more than the names.
    reshape: Callable[[str, torch.Tensor], torch.Tensor] | None = None


def style_of(state: State) -> Style | None:
    """The first style all of whose marks are found among the names."""
    for style in STYLES:
        if all(any(re.match(m, key) for key in state) for m in style.marks):
            return style
    return None


def convert(state: State, style: Style) -> State:
    """The backbone in MMPretrain's names; the classifier stays behind."""
    rules = style.rules(state)
    renamed = {}
    for key, tensor in state.items():
        name = key
        for pattern, new in rules:
            name = re.sub(pattern, new, name)
        # The rules take out of the head what MMPretrain counts as backbone.
        if name == key and re.match(style.head, name):
            continue
        if style.reshape is not None:
            tensor = style.reshape(name, tensor)
        renamed[name] = tensor
    return renamed


# Its names become timm's; all others become MMPretrain's.
EFFICIENTNET_LITE = Style(
    'EfficientNet-Lite',
    (r'_conv_stem\.', r'_blocks\.0\._depthwise_conv\.', r'_fc\.'),
    timm_keys.efficientnet_lite,
)
# The first style whose marks are all found is taken.
STYLES = [
    Style(
        "torchvision's ResNet",
        (r'layer1\.0\.conv1\.w', r'bn1\.'),
        torchvision_keys.resnet,
    ),
    Style(
        "torchvision's DenseNet",
        (r'features\.denseblock1',),
        torchvision_keys.densenet,
    ),
    Style(
        "torchvision's MobileNetV2",
        (r'features\.1\.conv\.0\.0\.weight',),
        torchvision_keys.mobilenet_v2,
    ),
    Style(
        'MobileNetV2 in plain sequences',
        (r'features\.1\.conv\.3\.weight',),
        timm_keys.plain_mobilenet_v2,
    ),
    Style(
        "torchvision's MobileNetV3",
        (r'features\.1\.block\.0\.0\.weight',),
        torchvision_keys.mobilenet_v3,
    ),
    Style(
        "torchvision's EfficientNet",
        (r'features\.1\.0\.block\.0\.0\.weight',),
        torchvision_keys.efficientnet,
    ),
    Style(
        "torchvision's ConvNeXt",
        (r'features\.1\.0\.layer_scale',),
        torchvision_keys.convnext,
        reshape=torchvision_keys.flat_scale,
    ),
    Style(
        "torchvision's Swin Transformer",
        (r'features\.1\.0\.attn\.qkv',),
        torchvision_keys.swin,
        reshape=torchvision_keys.unfolded,
    ),
    EFFICIENTNET_LITE,
    Style(
        "timm's EfficientNet",
        (r'conv_stem\.', r'bn2\.', r'blocks\.0\.0\.se\.'),
        timm_keys.efficientnet,
    ),
    Style(
        "timm's MobileNetV2",
        (r'conv_stem\.', r'bn2\.', r'blocks\.6\.0\.conv_pwl\.'),
        timm_keys.mobilenet_v2,
    ),
    Style(
        "timm's ConvNeXt",
        (r'stem\.0\.', r'stages\.0\.blocks\.0\.conv_dw\.'),
        timm_keys.convnext,
    ),
    Style(
        "timm's Swin Transformer",
        (r'layers\.0\.blocks\.0\.attn\.relative_position_bias_table',),
        timm_keys.swin,
        reshape=torchvision_keys.unfolded,
    ),
    Style(
        "timm's Vision Transformer",
        (r'blocks\.0\.norm1\.', r'cls_token', r'patch_embed\.proj\.'),
        timm_keys.vit,
    ),
    Style(
        "timm's TinyViT",
        (r'patch_embed\.conv1\.conv\.', r'stages\.1\.blocks\.0\.attn\.'),
        timm_keys.tinyvit,
    ),
]
