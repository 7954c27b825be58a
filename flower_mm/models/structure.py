"""The parts of a model inside its wrappers."""

from typing import Any

from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import nn


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the model inside distributed and test-time wrappers."""
    network: Any = model
    while is_model_wrapper(network) or isinstance(network, BaseTTAModel):
        network = network.module
    return network


def backbone_of(model: nn.Module) -> nn.Module:
    """Return the network that computes features of the photos.

    TimmClassifier and HuggingFaceClassifier call it `model`.
    """
    network = unwrapped(model)
    for name in ('backbone', 'model'):
        if isinstance(backbone := getattr(network, name, None), nn.Module):
            return backbone
    return network
