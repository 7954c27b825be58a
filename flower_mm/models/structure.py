"""The parts of a model, whatever wraps it."""

from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import nn


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside distributed training and test-time augmentation."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def backbone_of(model: nn.Module) -> nn.Module:
    """The network that computes features of the photos.

    TimmClassifier and HuggingFaceClassifier call it `model`.
    """
    network = unwrapped(model)
    for name in ('backbone', 'model'):
        if isinstance(backbone := getattr(network, name, None), nn.Module):
            return backbone
    return network
