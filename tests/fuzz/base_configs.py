"""Small classifiers, one a family, whose configs the fuzz tests change."""

import torch
from mmengine.config import Config

from flower_mm.registry import MODELS

_GAP = {'type': 'GlobalAveragePooling'}


def _linear(in_channels: int) -> dict:
    return {
        'type': 'LinearClsHead',
        'num_classes': 3,
        'in_channels': in_channels,
        'loss': {'type': 'CrossEntropyLoss'},
        'topk': [1],
    }


def _config(model: dict, transforms: list[dict]) -> dict:
    return {
        'default_scope': 'flower_mm',
        'model': {'type': 'ImageClassifier', **model},
        'data_preprocessor': {
            'mean': [123.675, 116.28, 103.53],
            'std': [58.395, 57.12, 57.375],
            'to_rgb': True,
            'num_classes': 3,
        },
        'test_dataloader': {
            'dataset': {
                'pipeline': [
                    {'type': 'LoadImageFromFile'},
                    *transforms,
                    {'type': 'PackInputs'},
                ]
            }
        },
    }


_EDGE = [
    {'type': 'ResizeEdge', 'scale': 32, 'edge': 'short'},
    {'type': 'CenterCrop', 'crop_size': 32},
]
_PILLOW = [
    {'type': 'NumpyToPIL', 'to_rgb': True},
    {'type': 'torchvision/Resize', 'size': 36, 'interpolation': 'bicubic'},
    {'type': 'torchvision/CenterCrop', 'size': 32},
    {'type': 'PILToNumpy', 'to_bgr': True},
]
_PADDED = [
    {'type': 'Resize', 'scale': (32, 32), 'keep_ratio': True},
    {'type': 'Pad', 'size': [32, 32], 'pad_val': 0},
]

BASES = {
    'ResNet': _config(
        {
            'backbone': {
                'type': 'ResNet',
                'depth': 18,
                'stem_channels': 8,
                'base_channels': 8,
                'num_stages': 2,
                'strides': [1, 2],
                'dilations': [1, 1],
                'out_indices': [1],
                'conv_cfg': {'type': 'Conv2d'},
                'norm_cfg': {'type': 'GN', 'num_groups': 4},
            },
            'neck': _GAP,
            'head': _linear(16),
        },
        _EDGE,
    ),
    'VisionTransformer': _config(
        {
            'backbone': {
                'type': 'VisionTransformer',
                'arch': {
                    'embed_dims': 8,
                    'num_layers': 2,
                    'num_heads': 2,
                    'feedforward_channels': 16,
                },
                'img_size': 32,
                'patch_size': 8,
                'norm_cfg': {'type': 'LN', 'eps': 1e-6},
                'patch_cfg': {'conv_type': 'Conv2d'},
                'layer_cfgs': {'act_cfg': {'type': 'GELU'}},
            },
            'head': {
                'type': 'VisionTransformerClsHead',
                'num_classes': 3,
                'in_channels': 8,
                'hidden_dim': 8,
                'act_cfg': {'type': 'Tanh'},
                'loss': {'type': 'LabelSmoothLoss', 'label_smooth_val': 0.1},
            },
        },
        _PILLOW,
    ),
    'SwinTransformer': _config(
        {
            'backbone': {
                'type': 'SwinTransformer',
                'arch': {
                    'embed_dims': 8,
                    'depths': [1, 1],
                    'num_heads': [1, 2],
                },
                'img_size': 32,
                'window_size': 4,
                'out_indices': [1],
                'patch_cfg': {'norm_cfg': {'type': 'LN'}},
                'stage_cfgs': {
                    'downsample_cfg': {'bias': False},
                    'block_cfgs': {
                        'attn_cfgs': {'qkv_bias': True},
                        'ffn_cfgs': {'num_fcs': 2},
                    },
                },
            },
            'neck': _GAP,
            'head': _linear(16),
        },
        _EDGE,
    ),
    'ConvNeXt': _config(
        {
            'backbone': {
                'type': 'ConvNeXt',
                'arch': {
                    'depths': [1, 1, 1, 1],
                    'channels': [8, 8, 16, 16],
                },
                'norm_cfg': {'type': 'LN2d', 'eps': 1e-6},
                'act_cfg': {'type': 'GELU'},
            },
            'head': {
                'type': 'StackedLinearClsHead',
                'num_classes': 3,
                'in_channels': 16,
                'mid_channels': [8],
                'act_cfg': {'type': 'ReLU'},
                'norm_cfg': {'type': 'BN1d'},
            },
        },
        _PADDED,
    ),
    'TIMMBackbone': _config(
        {
            'backbone': {
                'type': 'TIMMBackbone',
                'model_name': 'test_convnext',
                'pretrained': False,
            },
            'neck': _GAP,
            'head': _linear(64),
        },
        _EDGE,
    ),
}


class Weights(dict):
    """Of a model; an error message need not show them all."""

    def __repr__(self) -> str:
        return 'weights'


def weights_of(model: torch.nn.Module) -> Weights:
    """Its tensors; those that were left as they were allocated get numbers."""
    return Weights(
        {
            name: tensor.nan_to_num(0, 0, 0)
            if tensor.is_floating_point()
            else tensor
            for name, tensor in model.state_dict().items()
        }
    )


def build(config: dict) -> torch.nn.Module:
    return MODELS.build(Config(config).model)
