"""Building a model whose size a stranger's config decides."""

import math

import torch
from torch.utils._python_dispatch import TorchDispatchMode

# Buffers and initial values that a file does not hold are smaller than this,
# and a tensor takes fewer steps to make.
SPARE_NUMBERS = 16_000_000
SPARE_STEPS = 20_000
NUMBERS_EACH, STEPS_EACH = 4, 200


class TooLargeError(Exception):
    """The config asks for a model that the file cannot fill."""

    def __str__(self) -> str:
        return 'the model is larger than the weights in the file'


class LimitedBuild(TorchDispatchMode):
    """Refuse to allocate much more than the weights in the file.

    A config of 1 KB may ask for a layer of 100,000 x 100,000 numbers. The
    weights of an honest file fill its model, so their size is the limit.

    Args:
        weights: The tensors of the file.
    """

    def __init__(self, weights: list[torch.Tensor]) -> None:
        super().__init__()
        held = sum(tensor.numel() for tensor in weights)
        self.limit = NUMBERS_EACH * held + SPARE_NUMBERS
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
    """How many numbers arithmetic on these tensors makes."""
    shapes = [a.shape for a in args if isinstance(a, torch.Tensor)]
    if len(shapes) < 2:
        return 0
    try:
        return math.prod(torch.broadcast_shapes(*shapes))
    except RuntimeError:  # a product of matrices, or none at all
        return 0
