"""A trained model as ONNX: float32 tensors in, probabilities out."""

from collections.abc import Iterator
from contextlib import contextmanager

import onnx
import onnx_ir
import torch
from mmpretrain.models.utils import ShiftWindowMSA
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from torch import nn

from flower_mm.errors import UserError
from flower_mm.export.quiet import quiet
from flower_mm.models.structure import backbone_of

# What the files call their inputs, their output, and the number of photos.
PHOTOS, INPUTS, PROBABILITIES, COUNT = (
    'photos',
    'inputs',
    'probabilities',
    'N',
)


class Probabilities(nn.Module):
    """What the model says, without MMPretrain's samples around it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.model(inputs, mode='tensor').softmax(1)


def tensor_model(model: nn.Module, size: tuple[int, int]) -> onnx.ModelProto:
    """For any number of photos of `size`, height and width, at a time."""
    # Of one photo the exporter would take the number for a constant.
    example = torch.zeros(2, 3, *size)
    try:
        with torch.no_grad(), quiet(), any_number_of_windows():
            program = torch.onnx.export(
                Probabilities(model),
                (example,),
                dynamo=True,
                verbose=False,
                input_names=[INPUTS],
                output_names=[PROBABILITIES],
                dynamic_shapes=({0: torch.export.Dim(COUNT)},),
            )
    except torch.onnx.OnnxExporterError as error:
        backbone = type(backbone_of(model)).__name__
        why = str(error.__cause__ or error).strip().partition('\n')[0]
        raise UserError(
            f'{backbone} cannot be exported to ONNX for any number of photos '
            f'at a time: {why[:200]}\n'
            'Take another format: --to torchscript, or --to safetensors'
        ) from error
    # It notes where on this machine each line of Python lies.
    ClearMetadataAndDocStringPass()(program.model)
    return onnx_ir.to_proto(program.model)


@contextmanager
def any_number_of_windows() -> Iterator[None]:
    """Let Swin put its windows together for any number of photos.

    MMPretrain divides floats to learn the number. Exporters take the result
    for a constant, and the file answers wrongly for all other numbers.
    """
    theirs = ShiftWindowMSA.window_reverse
    ShiftWindowMSA.window_reverse = staticmethod(_window_reverse)
    try:
        yield
    finally:
        ShiftWindowMSA.window_reverse = staticmethod(theirs)


def _window_reverse(
    windows: torch.Tensor, height: int, width: int, side: int
) -> torch.Tensor:
    down, right, channels = height // side, width // side, windows.shape[-1]
    grid = windows.view(-1, down, right, side, side, channels)
    grid = grid.permute(0, 1, 3, 2, 4, 5).contiguous()
    return grid.view(-1, height, width, channels)
