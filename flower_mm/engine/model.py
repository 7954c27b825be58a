"""A model in what is wrapped around it, and how it lies in memory."""

import warnings
from collections.abc import Iterator
from types import CodeType, FunctionType

import torch
from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import nn

with warnings.catch_warnings():
    # Of mmcv-lite, about an operator that no classifier of MMPretrain uses.
    warnings.filterwarnings('ignore', 'Fail to import ``MultiScaleDeformable')
    from mmpretrain.models import VGG, AlexNet

# The nightly test of all families trains these in channels_last.
TRIED = ('flower_mm', 'mmcv', 'mmengine', 'mmpretrain', 'timm', 'torch')
UNSAFE = {'group_norm', 'view'}


def unwrapped(model: nn.Module) -> nn.Module:
    """Distributed training and test-time augmentation wrap the model."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def backbone_of(model: nn.Module) -> nn.Module:
    """The network that sees the photos.

    TimmClassifier and HuggingFaceClassifier call it `model`.
    """
    network = unwrapped(model)
    for name in ('backbone', 'model'):
        if isinstance(found := getattr(network, name, None), nn.Module):
            return found
    return network


def laid_out(model: nn.Module) -> nn.Module:
    """Use the channels_last memory format where it is safe.

    Elsewhere the backbone gets contiguous photos: a convolution computes in
    channels_last as soon as its input is, and batches may be.

    On two CPU cores MobileNetV2 trains twice as fast for it in float32 (10.3
    to 21.5 photos a second), ResNet-18 a sixth faster.
    """
    network = unwrapped(model)
    # Heads and necks get pooled features, which are contiguous either way.
    backbone = backbone_of(network)
    if any(map(_corrupts_memory, network.modules())) or any(
        map(_needs_contiguous, backbone.modules())
    ):
        backbone.register_forward_pre_hook(_to_contiguous, with_kwargs=True)
        return model
    return model.to(memory_format=torch.channels_last)


def _to_contiguous(
    module: nn.Module, args: tuple, kwargs: dict
) -> tuple[tuple, dict]:
    def contiguous(value: object) -> object:
        is_batch = isinstance(value, torch.Tensor)
        return value.contiguous() if is_batch else value

    return (
        tuple(map(contiguous, args)),
        {name: contiguous(value) for name, value in kwargs.items()},
    )


def _corrupts_memory(layer: nn.Module) -> bool:
    """Whether torch 2.11's backward pass crashes in channels_last on a CPU.

    GroupNorm does where its input needs no gradient, as behind frozen
    layers. A strided 1x1 convolution does with 1 to 15 input channels and
    not with 16 or more.
    """
    if isinstance(layer, nn.GroupNorm):
        return True
    return (
        isinstance(layer, nn.Conv2d)
        and layer.kernel_size == (1, 1)
        and layer.in_channels < 16
        and max(layer.stride) > 1
    )


def _needs_contiguous(layer: nn.Module) -> bool:
    """Whether a layer's own code may fail in channels_last.

    `Tensor.view` may, and `functional.group_norm` as GroupNorm does. Of the
    classes in TRIED only AlexNet and VGG call `view` on feature maps.
    """
    return isinstance(layer, (AlexNet, VGG)) or any(
        not UNSAFE.isdisjoint(code.co_names) for code in _own_code(layer)
    )


def _own_code(layer: nn.Module) -> Iterator[CodeType]:
    """The methods that a layer has from classes outside TRIED."""
    for kind in type(layer).__mro__:
        if kind.__module__.partition('.')[0] in (*TRIED, 'builtins'):
            continue
        for method in vars(kind).values():
            if isinstance(method, FunctionType):
                yield method.__code__
