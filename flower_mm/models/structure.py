"""The parts of a model inside its wrappers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import Tensor, nn


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


def classifier_layer(model: nn.Module, classes: int) -> nn.Linear | None:
    """Return the linear layer whose outputs are the logits of the classes."""
    layers = [
        layer
        for layer in model.modules()
        if type(layer) is nn.Linear and layer.out_features == classes
    ]
    return layers[-1] if layers else None


@contextmanager
def inputs_of(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Collect what a layer gets as input, in float32.

    A head gets the outputs of several stages, of which it uses the last one.
    """
    inputs: list[Tensor] = []

    def collect(_: nn.Module, arguments: tuple) -> None:
        tensor = arguments[0]
        while isinstance(tensor, (tuple, list)):
            tensor = tensor[-1]
        inputs.append(tensor.detach().float())

    hook = layer.register_forward_pre_hook(collect)
    try:
        yield inputs
    finally:
        hook.remove()
