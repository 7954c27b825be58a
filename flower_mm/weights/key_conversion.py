"""From the names that torchvision and timm give tensors to MMPretrain's."""

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import torch

State = dict[str, torch.Tensor]
# (a pattern, what takes its place), tried in order, all that match.
Rules = list[tuple[str, str | Callable[[re.Match], str]]]


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


def _less(number: str, by: int = 1) -> str:
    return str(int(number) - by)


def _half(number: str) -> str:
    return str(int(number) // 2)


def _resnet(state: State) -> Rules:
    return []


def _densenet(state: State) -> Rules:
    return [
        # The files of 2017 still write norm.1 where the code has norm1.
        (r'(denselayer\d+\.(?:norm|conv))\.(\d)\.', r'\1\2.'),
        (
            r'^features\.denseblock(\d+)\.denselayer(\d+)\.',
            lambda m: f'stages.{_less(m[1])}.block.{_less(m[2])}.',
        ),
        (
            r'^features\.transition(\d+)\.',
            lambda m: f'transitions.{_less(m[1])}.',
        ),
        (r'^features\.conv0\.', 'stem.0.'),
        (r'^features\.norm0\.', 'stem.1.'),
        (r'^features\.norm5\.', 'transitions.3.0.'),
    ]


def _mobilenet_v2_place(index: int) -> str:
    """The stage and block of torchvision's running number."""
    for stage, blocks in enumerate((1, 2, 3, 4, 3, 3, 1), start=1):
        if index <= blocks:
            return f'layer{stage}.{index - 1}'
        index -= blocks
    return f'layer8.{index - 1}'


def _mobilenet_v2(state: State) -> Rules:
    return [
        (r'^features\.0\.0\.', 'conv1.conv.'),
        (r'^features\.0\.1\.', 'conv1.bn.'),
        (r'^features\.18\.0\.', 'conv2.conv.'),
        (r'^features\.18\.1\.', 'conv2.bn.'),
        # The last pair of a block stands bare behind the nested ones.
        (r'^(features\.1\.conv\.)1\.(?!\d)', r'\1 1.conv.'),
        (r'^(features\.1\.conv\.)2\.', r'\1 1.bn.'),
        (r'^(features\.\d+\.conv\.)2\.', r'\1 2.conv.'),
        (r'^(features\.\d+\.conv\.)3\.', r'\1 2.bn.'),
        (r'^(features\.\d+\.conv\.)(\d)\.0\.', r'\1 \2.conv.'),
        (r'^(features\.\d+\.conv\.)(\d)\.1\.', r'\1 \2.bn.'),
        (
            r'^features\.(\d+)\.conv\. ',
            lambda m: f'{_mobilenet_v2_place(int(m[1]))}.conv.',
        ),
    ]


def _block_parts(state: State, place: str) -> Rules:
    """Names for what torchvision numbers within an inverted residual.

    Which number is which depends on whether the block widens first.
    """
    found: dict[str, list[str]] = {}
    for key in state:
        if match := re.match(rf'({place}\.block)\.(\d+)\.0\.weight', key):
            found.setdefault(match[1], []).append(match[2])
    rules: Rules = [(r'\.block\.\d\.fc([12])\.', r'.se.conv\1.conv.')]
    parts = ('expand_conv', 'depthwise_conv', 'linear_conv')
    for block, numbers in found.items():
        numbers.sort(key=int)
        for number, part in zip(numbers, parts[-len(numbers) :], strict=False):
            there = block.removesuffix('.block')
            for own, new in (('0', 'conv'), ('1', 'bn')):
                rules.append(
                    (
                        rf'^{re.escape(block)}\.{number}\.{own}\.',
                        f'{there}.{part}.{new}.',
                    )
                )
    return rules


def _mobilenet_v3(state: State) -> Rules:
    return [
        *_block_parts(state, r'features\.\d+'),
        (r'^features\.(\d+)\.0\.', r'layer\1.conv.'),
        (r'^features\.(\d+)\.1\.', r'layer\1.bn.'),
        (r'^features\.(\d+)\.', r'layer\1.'),
    ]


def _merged(state: State, stages: str) -> Callable[[int, str], str]:
    """EfficientNet's stages as MMPretrain counts them.

    It joins those that do not halve the image to the one before: the fifth
    to the fourth, the seventh to the sixth.
    """
    blocks = [re.match(rf'{stages}(\d+)\.(\d+)\.', key) for key in state]
    size: dict[int, int] = defaultdict(int)
    for match in filter(None, blocks):
        stage = int(match[1]) + (stages == r'blocks\.')
        size[stage] = max(size[stage], int(match[2]) + 1)

    def place(stage: int, block: str) -> str:
        if stage in (5, 7):
            block = str(int(block) + size[stage - 1])
        return f'layers.{ {5: 4, 6: 5, 7: 5}.get(stage, stage) }.{block}.'

    return place


def _efficientnet(state: State) -> Rules:
    place = _merged(state, r'features\.')
    return [
        *_block_parts(state, r'features\.[1-7]\.\d+'),
        (r'^features\.0\.0\.', 'layers.0.conv.'),
        (r'^features\.0\.1\.', 'layers.0.bn.'),
        (r'^features\.8\.0\.', 'layers.6.conv.'),
        (r'^features\.8\.1\.', 'layers.6.bn.'),
        (r'^features\.(\d)\.(\d+)\.', lambda m: place(int(m[1]), m[2])),
    ]


def _timm_block(first: list[str], later: list[str]) -> Rules:
    """Name the parts of timm's blocks; the very first does not widen."""
    own = ('conv_dw', 'bn1', 'conv_pw', 'bn2')
    rest = ('conv_pw', 'bn1', 'conv_dw', 'bn2', 'conv_pwl', 'bn3')
    return [
        *(
            (rf'^(blocks\.0\.\d+\.){old}\.', rf'\g<1>{new}.')
            for old, new in zip(own, first, strict=True)
        ),
        *(
            (rf'^(blocks\.[1-9]\.\d+\.){old}\.', rf'\g<1>{new}.')
            for old, new in zip(rest, later, strict=True)
        ),
    ]


def _timm_mobilenet_v2(state: State) -> Rules:
    pair = [f'conv.{i}.{part}' for i in range(3) for part in ('conv', 'bn')]
    return [
        *_timm_block(pair[:4], pair),
        (r'^blocks\.(\d)\.', lambda m: f'layer{int(m[1]) + 1}.'),
        (r'^conv_stem\.', 'conv1.conv.'),
        (r'^bn1\.', 'conv1.bn.'),
        (r'^conv_head\.', 'conv2.conv.'),
        (r'^bn2\.', 'conv2.bn.'),
    ]


def _timm_efficientnet(state: State) -> Rules:
    place = _merged(state, r'blocks\.')
    pair = [
        f'{name}_conv.{part}'
        for name in ('expand', 'depthwise', 'linear')
        for part in ('conv', 'bn')
    ]
    return [
        *_timm_block(pair[2:], pair),
        (r'\.se\.conv_reduce\.', '.se.conv1.conv.'),
        (r'\.se\.conv_expand\.', '.se.conv2.conv.'),
        (r'^blocks\.(\d)\.(\d+)\.', lambda m: place(int(m[1]) + 1, m[2])),
        (r'^conv_stem\.', 'layers.0.conv.'),
        (r'^bn1\.', 'layers.0.bn.'),
        (r'^conv_head\.', 'layers.6.conv.'),
        (r'^bn2\.', 'layers.6.bn.'),
    ]


def _convnext(state: State) -> Rules:
    return [
        (r'\.layer_scale$', '.gamma'),
        (r'\.block\.0\.', '.depthwise_conv.'),
        (r'\.block\.2\.', '.norm.'),
        (r'\.block\.3\.', '.pointwise_conv1.'),
        (r'\.block\.5\.', '.pointwise_conv2.'),
        (
            r'^features\.([02468])\.',
            lambda m: f'downsample_layers.{_half(m[1])}.',
        ),
        (r'^features\.(\d)\.', lambda m: f'stages.{_half(m[1])}.'),
        (r'^classifier\.0\.', 'norm3.'),
    ]


def _timm_convnext(state: State) -> Rules:
    return [
        (r'^stem\.', 'downsample_layers.0.'),
        (r'^stages\.(\d)\.downsample\.', r'downsample_layers.\1.'),
        (r'^(stages\.\d\.)blocks\.', r'\1'),
        (r'\.conv_dw\.', '.depthwise_conv.'),
        (r'\.mlp\.fc([12])\.', r'.pointwise_conv\1.'),
        (r'^head\.norm\.', 'norm3.'),
    ]


def _flat_scale(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Flatten the scales, which torchvision keeps as images of one pixel."""
    return tensor.flatten() if name.endswith('.gamma') else tensor


def _swin(state: State) -> Rules:
    return [
        (r'^features\.0\.0\.', 'patch_embed.projection.'),
        (r'^features\.0\.2\.', 'patch_embed.norm.'),
        (r'\.attn\.', '.attn.w_msa.'),
        (r'\.mlp\.0\.', '.ffn.layers.0.0.'),
        (r'\.mlp\.3\.', '.ffn.layers.1.'),
        (
            r'^features\.([246])\.',
            lambda m: f'stages.{int(m[1]) // 2 - 1}.downsample.',
        ),
        (r'^features\.(\d)\.', lambda m: f'stages.{_half(m[1])}.blocks.'),
        (r'^norm\.', 'norm3.'),
    ]


def _timm_swin(state: State) -> Rules:
    # A merge ends a stage for the authors and begins the next one for timm.
    shift = 0 if any(k.startswith('layers.0.downsample') for k in state) else 1
    return [
        (r'^patch_embed\.proj\.', 'patch_embed.projection.'),
        (r'\.attn\.', '.attn.w_msa.'),
        (r'\.mlp\.fc1\.', '.ffn.layers.0.0.'),
        (r'\.mlp\.fc2\.', '.ffn.layers.1.'),
        (
            r'^layers\.(\d)\.downsample\.',
            lambda m: f'stages.{_less(m[1], shift)}.downsample.',
        ),
        (r'^layers\.', 'stages.'),
        (r'^norm\.', 'norm3.'),
    ]


def _unfolded(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Reorder the inputs of a patch merge, four pixels of C channels.

    Elsewhere they come pixel by pixel, down first and then right; MMPretrain
    unfolds them, channel by channel, right first and then down.
    """
    if '.downsample.' not in name:
        return tensor
    pixels = tensor.unflatten(-1, (4, -1))[..., [0, 2, 1, 3], :]
    return pixels.transpose(-1, -2).flatten(-2)


def _vit(state: State) -> Rules:
    return [
        (r'^patch_embed\.proj\.', 'patch_embed.projection.'),
        (r'^blocks\.', 'layers.'),
        (r'\.norm([12])\.', r'.ln\1.'),
        (r'\.mlp\.fc1\.', '.ffn.layers.0.0.'),
        (r'\.mlp\.fc2\.', '.ffn.layers.1.'),
        (r'^norm\.', 'ln1.'),
    ]


def _tinyvit(state: State) -> Rules:
    return [
        (r'^patch_embed\.conv1\.', 'patch_embed.seq.0.'),
        (r'^patch_embed\.conv2\.', 'patch_embed.seq.2.'),
        (
            r'^stages\.(\d)\.downsample\.',
            lambda m: f'stages.{_less(m[1])}.downsample.',
        ),
        (r'\.conv\.', '.conv2d.'),
        (r'\.bn\.', '.bn2d.'),
        (r'^head\.norm\.', 'norm3.'),
    ]


# The first whose marks are all there is taken.
STYLES = [
    Style("torchvision's ResNet", (r'layer1\.0\.conv1\.w', r'bn1\.'), _resnet),
    Style("torchvision's DenseNet", (r'features\.denseblock1',), _densenet),
    Style(
        "torchvision's MobileNetV2",
        (r'features\.1\.conv\.0\.0\.weight',),
        _mobilenet_v2,
    ),
    Style(
        "torchvision's MobileNetV3",
        (r'features\.1\.block\.0\.0\.weight',),
        _mobilenet_v3,
    ),
    Style(
        "torchvision's EfficientNet",
        (r'features\.1\.0\.block\.0\.0\.weight',),
        _efficientnet,
    ),
    Style(
        "torchvision's ConvNeXt",
        (r'features\.1\.0\.layer_scale',),
        _convnext,
        reshape=_flat_scale,
    ),
    Style(
        "torchvision's Swin Transformer",
        (r'features\.1\.0\.attn\.qkv',),
        _swin,
        reshape=_unfolded,
    ),
    Style(
        "timm's EfficientNet",
        (r'conv_stem\.', r'bn2\.', r'blocks\.0\.0\.se\.'),
        _timm_efficientnet,
    ),
    Style(
        "timm's MobileNetV2",
        (r'conv_stem\.', r'bn2\.', r'blocks\.6\.0\.conv_pwl\.'),
        _timm_mobilenet_v2,
    ),
    Style(
        "timm's ConvNeXt",
        (r'stem\.0\.', r'stages\.0\.blocks\.0\.conv_dw\.'),
        _timm_convnext,
    ),
    Style(
        "timm's Swin Transformer",
        (r'layers\.0\.blocks\.0\.attn\.relative_position_bias_table',),
        _timm_swin,
        reshape=_unfolded,
    ),
    Style(
        "timm's Vision Transformer",
        (r'blocks\.0\.norm1\.', r'cls_token', r'patch_embed\.proj\.'),
        _vit,
    ),
    Style(
        "timm's TinyViT",
        (r'patch_embed\.conv1\.conv\.', r'stages\.1\.blocks\.0\.attn\.'),
        _tinyvit,
    ),
]
