"""Build a model from the config of an untrusted file."""

import math
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

import torch
from mmengine.registry import registry
from torch.utils._python_dispatch import TorchDispatchMode

from flower_mm.user_modules import KNOWN_PACKAGES

# Buffers and initial values that the file lacks are smaller than this, and
# creating a tensor takes fewer steps.
SPARE_NUMBERS = 16_000_000
SPARE_STEPS = 20_000
NUMBERS_EACH, STEPS_EACH = 4, 200

_patching = threading.RLock()


class TooLargeError(Exception):
    """The config describes a larger model than the file can fill."""

    def __str__(self) -> str:
        return 'the model is larger than the weights in the file'


class LimitedBuild(TorchDispatchMode):
    """Refuse to allocate much more than the weights in the file.

    A config of 1 KB can describe a layer of 100,000 x 100,000 numbers. The
    weights of a valid file fill its model, so their size is the limit.

    Args:
        weights: The tensors of the file.
    """

    def __init__(self, weights: list[torch.Tensor]) -> None:
        super().__init__()
        available = sum(tensor.numel() for tensor in weights)
        self.limit = NUMBERS_EACH * available + SPARE_NUMBERS
        self.numbers_left = self.limit
        self.steps_left = STEPS_EACH * len(weights) + SPARE_STEPS

    def __torch_dispatch__(
        self, func, types, args: tuple = (), kwargs: dict | None = None
    ) -> object:
        kwargs = kwargs or {}
        self.steps_left -= 1
        arguments = func._schema.arguments
        if arguments and arguments[0].name == 'size':
            size = args[0] if args else kwargs['size']
            self.numbers_left -= math.prod(size)
        if (
            self.numbers_left < 0
            or self.steps_left < 0
            or _numbers_of_result(args) > self.limit
        ):
            raise TooLargeError
        return func(*args, **kwargs)


def _numbers_of_result(args: tuple) -> int:
    """Return the size of an elementwise result of these tensors."""
    shapes = [a.shape for a in args if isinstance(a, torch.Tensor)]
    if len(shapes) < 2:
        return 0
    try:
        return math.prod(torch.broadcast_shapes(*shapes))
    except RuntimeError:  # such as a product of matrices
        return 0


@contextmanager
def registered_names_only() -> Iterator[None]:
    """Keep registries from importing modules for unknown names.

    `Registry.get` imports them, also for arguments other than `type` that some
    classes look up, such as `conv_type` or `padding_mode`.
    """
    replacements = {
        'get_object_from_string': lambda name: None,
        'import_module': _import_known,
    }
    with _patching:
        before = {name: getattr(registry, name) for name in replacements}
        vars(registry).update(replacements)
        try:
            yield
        finally:
            vars(registry).update(before)


def _import_known(name: str) -> ModuleType:
    if name in sys.modules or name.partition('.')[0] in KNOWN_PACKAGES:
        return import_module(name)
    raise ImportError(f'{name} is not imported for the config of a file')
