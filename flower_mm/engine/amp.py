"""Mixed precision where MMEngine's own wrapper asks for a GPU."""

from contextlib import contextmanager

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper

from flower_mm.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class Bf16OptimWrapper(OptimWrapper):
    """Forward in bfloat16, on a CPU or a GPU.

    bfloat16 has float32's range, so the loss needs no scaling.
    """

    @contextmanager
    def optim_context(self, model: torch.nn.Module):
        device = torch.device(get_device()).type
        with (
            super().optim_context(model),
            torch.autocast(device, dtype=torch.bfloat16),
        ):
            yield
