"""Rules from the names of torchvision's tensors to MMPretrain's."""

import re
from collections import defaultdict
from collections.abc import Callable

import torch

State = dict[str, torch.Tensor]
# (a pattern, its replacement), tried in order, all that match.
Rules = list[tuple[str, str | Callable[[re.Match], str]]]


def less(number: str, by: int = 1) -> str:
    return str(int(number) - by)


def half(number: str) -> str:
    return str(int(number) // 2)


def resnet(state: State) -> Rules:
    return []


def densenet(state: State) -> Rules:
    return [
        # The files of 2017 still write norm.1 where the code has norm1.
        (r'(denselayer\d+\.(?:norm|conv))\.(\d)\.', r'\1\2.'),
        (
            r'^features\.denseblock(\d+)\.denselayer(\d+)\.',
            lambda m: f'stages.{less(m[1])}.block.{less(m[2])}.',
        ),
        (
            r'^features\.transition(\d+)\.',
            lambda m: f'transitions.{less(m[1])}.',
        ),
        (r'^features\.conv0\.', 'stem.0.'),
        (r'^features\.norm0\.', 'stem.1.'),
        (r'^features\.norm5\.', 'transitions.3.0.'),
    ]


def mobilenet_v2_place(index: int) -> str:
    """The stage and block of torchvision's running number."""
    for stage, blocks in enumerate((1, 2, 3, 4, 3, 3, 1), start=1):
        if index <= blocks:
            return f'layer{stage}.{index - 1}'
        index -= blocks
    return f'layer8.{index - 1}'


def mobilenet_v2(state: State) -> Rules:
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
            lambda m: f'{mobilenet_v2_place(int(m[1]))}.conv.',
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


def mobilenet_v3(state: State) -> Rules:
    return [
        *_block_parts(state, r'features\.\d+'),
        (r'^features\.(\d+)\.0\.', r'layer\1.conv.'),
        (r'^features\.(\d+)\.1\.', r'layer\1.bn.'),
        (r'^features\.(\d+)\.', r'layer\1.'),
    ]


def merged(state: State, stages: str) -> Callable[[int, str], str]:
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


def efficientnet(state: State) -> Rules:
    place = merged(state, r'features\.')
    return [
        *_block_parts(state, r'features\.[1-7]\.\d+'),
        (r'^features\.0\.0\.', 'layers.0.conv.'),
        (r'^features\.0\.1\.', 'layers.0.bn.'),
        (r'^features\.8\.0\.', 'layers.6.conv.'),
        (r'^features\.8\.1\.', 'layers.6.bn.'),
        (r'^features\.(\d)\.(\d+)\.', lambda m: place(int(m[1]), m[2])),
    ]


def convnext(state: State) -> Rules:
    return [
        (r'\.layer_scale$', '.gamma'),
        (r'\.block\.0\.', '.depthwise_conv.'),
        (r'\.block\.2\.', '.norm.'),
        (r'\.block\.3\.', '.pointwise_conv1.'),
        (r'\.block\.5\.', '.pointwise_conv2.'),
        (
            r'^features\.([02468])\.',
            lambda m: f'downsample_layers.{half(m[1])}.',
        ),
        (r'^features\.(\d)\.', lambda m: f'stages.{half(m[1])}.'),
        (r'^classifier\.0\.', 'norm3.'),
    ]


def flat_scale(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Flatten the scales, which torchvision keeps as images of one pixel."""
    return tensor.flatten() if name.endswith('.gamma') else tensor


def swin(state: State) -> Rules:
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
        (r'^features\.(\d)\.', lambda m: f'stages.{half(m[1])}.blocks.'),
        (r'^norm\.', 'norm3.'),
    ]


def unfolded(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Reorder the inputs of a patch merge, four pixels of C channels.

    Elsewhere they come pixel by pixel, down first and then right; MMPretrain
    unfolds them, channel by channel, right first and then down.
    """
    if '.downsample.' not in name:
        return tensor
    pixels = tensor.unflatten(-1, (4, -1))[..., [0, 2, 1, 3], :]
    return pixels.transpose(-1, -2).flatten(-2)
