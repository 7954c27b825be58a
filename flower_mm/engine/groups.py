"""Weights that are stepped together."""

from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from flower_mm.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class FewGroups(DefaultOptimWrapperConstructor):
    """MMEngine's constructor, with one group for all weights of a setting.

    It makes a group of each weight as soon as paramwise_cfg says anything, and
    an optimizer steps one group after the other: on a GPU a launch or more for
    each of 160 tensors, where two would do.
    """

    def add_params(
        self, params: list[dict], module: nn.Module, prefix: str = '', **kwargs
    ) -> None:
        super().add_params(params, module, prefix, **kwargs)
        if not prefix:  # all of the model's are there
            params[:] = _merged(params)


def _merged(groups: list[dict]) -> list[dict]:
    """In the order in which their settings come first."""
    found = {}
    for group in groups:
        settings = {k: v for k, v in group.items() if k != 'params'}
        key = repr(sorted(settings.items()))
        found.setdefault(key, settings | {'params': []})
        found[key]['params'] += group['params']
    return list(found.values())
