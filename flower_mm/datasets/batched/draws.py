"""Draws without a generator: a function of what they are for."""

import math

import torch
from torch import Tensor

# SplitMix64's: a step, and two multipliers, as signed numbers.
STEP = 0x9E3779B97F4A7C15 - 2**64
FIRST = 0xBF58476D1CE4E5B9 - 2**64
SECOND = 0x94D049BB133111EB - 2**64


class Draws:
    """Uniform numbers as a function of (seed, epoch, index), of no state."""

    def __init__(self, seed: int, epoch: int, index: Tensor) -> None:
        key = torch.zeros_like(index)
        for part in (seed, epoch, index):
            key = _mixed(key + part + STEP)
        self._key = key

    def uniform(self, step: int, *shape: int) -> Tensor:
        """Numbers of [0, 1) for a step, of that shape for each photo."""
        count = math.prod(shape)
        begin = step << 32  # no step draws as many as lie between two
        counter = torch.arange(
            begin, begin + count, device=self._key.device, dtype=torch.int64
        )
        found = _mixed(self._key[:, None] + counter * STEP)
        # The upper 24 of 64 bits: what a float32 holds exactly.
        return (_shifted(found, 40).float() * 2**-24).view(-1, *shape)


def _mixed(x: Tensor) -> Tensor:
    x = (x ^ _shifted(x, 30)) * FIRST
    x = (x ^ _shifted(x, 27)) * SECOND
    return x ^ _shifted(x, 31)


def _shifted(x: Tensor, bits: int) -> Tensor:
    """To the right, with zeros coming in; torch brings in the sign."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)
