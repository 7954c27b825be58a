"""Optimizer wrappers: bfloat16 on any device, and few parameter groups."""

from contextlib import contextmanager

import torch
from mmengine.device import get_device
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from torch import nn

from flower_mm.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class Bf16OptimWrapper(OptimWrapper):
    """Compute the forward pass in bfloat16, on a CPU or a GPU.

    MMEngine's AmpOptimWrapper requires a GPU. bfloat16 has float32's range, so
    that the loss needs no scaling.
    """

    @contextmanager
    def optim_context(self, model: nn.Module):
        device = torch.device(get_device()).type
        with (
            super().optim_context(model),
            torch.autocast(device, dtype=torch.bfloat16),
        ):
            yield


@OPTIM_WRAPPER_CONSTRUCTORS.register_module(
    name=['MergedGroupsConstructor', 'FewGroups']
)
class MergedGroupsConstructor(DefaultOptimWrapperConstructor):
    """MMEngine's constructor, with one group for all weights of a setting.

    With paramwise_cfg MMEngine makes one group of each weight, and optimizers
    update group by group: on a GPU, one kernel launch or more for each of 160
    tensors instead of two.
    """

    def add_params(
        self, params: list[dict], module: nn.Module, prefix: str = '', **kwargs
    ) -> None:
        super().add_params(params, module, prefix, **kwargs)
        if not prefix:  # the whole model, not one of its modules
            params[:] = _merged(params)


def _merged(groups: list[dict]) -> list[dict]:
    """Merge groups of equal settings, in the order of the first of each."""
    merged: dict[str, dict] = {}
    for group in groups:
        settings = {k: v for k, v in group.items() if k != 'params'}
        key = repr(sorted(settings.items()))
        merged.setdefault(key, settings | {'params': []})
        merged[key]['params'] += group['params']
    return list(merged.values())
