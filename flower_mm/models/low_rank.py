"""LoRA: train low-rank updates of frozen weights, and merge them.

https://arxiv.org/abs/2106.09685. MMPretrain's LoRAModel wraps the forward of
a layer, which Swin V2 and EVA bypass by `F.linear(x, self.qkv.weight)`, and
leaves the frozen weights out of checkpoints. torch's parametrizations change
the weight itself.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from flower_mm.errors import UserError

SCALE = 2.0  # alpha / rank of the paper
LAYERS = ('.attn.', '.mlp.')
# What torch puts between the names of a layer and of its tensors.
_WEIGHT = '.parametrizations.weight.'


class LowRankUpdate(nn.Module):
    """The weight of a linear layer plus a product of two small matrices."""

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        rows, columns = weight.shape
        self.down = nn.Parameter(torch.empty(rank, columns))
        self.up = nn.Parameter(torch.zeros(rows, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + SCALE * self.up @ self.down


def add_low_rank_updates(network: nn.Module, rank: int) -> None:
    """Freeze a network; train updates of its attention and MLP layers."""
    network.requires_grad_(False)
    layers = [
        layer
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Linear)
        and any(part in f'.{name}.' for part in LAYERS)
    ]
    if not layers:
        raise UserError(
            f'invalid lora_rank: expected 0, because {type(network).__name__} '
            'has no linear layers in attention or MLP blocks'
        )
    for layer in layers:
        update = LowRankUpdate(layer.weight, rank)
        parametrize.register_parametrization(layer, 'weight', update)
        layer.register_load_state_dict_pre_hook(_accept_plain)


def accept_plain(network: nn.Module, state: dict[str, Tensor]) -> None:
    """Rename the weights of a plain network to the keys of this one."""
    for name, layer in network.named_modules():
        if parametrize.is_parametrized(layer, 'weight'):
            _accept_plain(layer, state, f'{name}.')


def _accept_plain(
    layer: nn.Module, state: dict[str, Tensor], prefix: str, *_: object
) -> None:
    plain = state.pop(f'{prefix}weight', None)
    if plain is not None:
        update: Any = layer.get_submodule('parametrizations.weight.0')
        key = prefix.removesuffix('.') + _WEIGHT
        state[f'{key}original'] = plain
        state[f'{key}0.down'] = update.down.detach()
        state[f'{key}0.up'] = torch.zeros_like(update.up)


def merge_low_rank_updates(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dict of the plain network that computes the same."""
    merged = {}
    for key, tensor in state.items():
        layer, is_parametrized, part = key.partition(_WEIGHT)
        if not is_parametrized:
            merged[key] = tensor
        elif part == 'original':
            up, down = (
                state[f'{layer}{_WEIGHT}0.{n}'] for n in ('up', 'down')
            )
            merged[f'{layer}.weight'] = tensor + SCALE * up @ down
    return merged
