"""The classification head in float32, whatever precision the backbone has.

bfloat16 has 8 significant bits: logits between 8 and 16 are multiples of 1/16,
every probability above 0.998 is 1.0, and torch's autocast on a CPU computes
softmax and log_softmax in bfloat16.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from flower_mm.models.structure import unwrapped

LOW_PRECISION = (torch.bfloat16, torch.float16)


def classify_in_float32(model: nn.Module) -> None:
    """Exempt the head, and so probabilities and losses, from autocast.

    Without autocast the model is unchanged.
    """
    classifier = unwrapped(model)
    head = getattr(classifier, 'head', None)
    if head is not None:
        head.forward = _Float32Forward(head)
    elif isinstance(network := getattr(classifier, 'model', None), nn.Module):
        # TimmClassifier and HuggingFaceClassifier.
        network.register_forward_hook(_return_float32)
    if head is None or next(head.parameters(), None) is None:
        # The last layer of the network itself returns the logits, as in VGG.
        layers: list[Any] = [
            m for m in classifier.modules() if type(m) is nn.Linear
        ]
        for layer in layers[-1:]:
            layer.forward = _Float32Forward(layer)


class _Float32Forward:
    """A module's forward outside autocast.

    An object, not a closure: a deep copy of the module, such as EMAHook's,
    has to compute with its own weights.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        forward = type(self.module).forward
        tensor = next(_tensors([args, kwargs]), None)
        device = 'cpu' if tensor is None else tensor.device.type
        # Exporters run without autocast and cannot trace its context.
        if not torch.is_autocast_enabled(device):
            return forward(self.module, *args, **kwargs)
        with torch.autocast(device, enabled=False):
            return forward(self.module, *_float32(args), **_float32(kwargs))


def _return_float32(module: nn.Module, inputs: tuple, output: Any) -> Any:
    """Convert logits: a tensor, or Hugging Face's output with `logits`."""
    if hasattr(output, 'logits'):
        output.logits = _float32(output.logits)
        return output
    return _float32(output)


def _tensors(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (dict, list, tuple)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _tensors(item)


def _float32(value: Any) -> Any:
    """Convert the tensors in nested lists, tuples and dictionaries."""
    if isinstance(value, Tensor):
        return value.float() if value.dtype in LOW_PRECISION else value
    if isinstance(value, dict):
        return {key: _float32(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(_float32, value))
    return value
