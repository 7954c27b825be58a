"""A trained model as ONNX: float32 tensors in, probabilities out."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import onnx
import onnx_ir
import torch
from mmpretrain.models.utils import ShiftWindowMSA
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from torch import nn
from torch.nn import functional

from flower_mm.errors import UserError
from flower_mm.inference.known_photos import NEAREST, KnownPhotos
from flower_mm.models.structure import backbone_of

# Names of inputs and output in the files, and of the batch dimension.
PHOTOS, INPUTS, PROBABILITIES = 'photos', 'inputs', 'probabilities'
UNLIKENESS = 'unlikeness'  # a second output
COUNT = 'N'


@contextmanager
def quiet() -> Iterator[None]:
    """Hide the exporters' warnings; the result is compared on photos."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(before)


class Probabilities(nn.Module):
    """The probabilities alone, without MMPretrain's data samples.

    Args:
        model: A classifier of MMPretrain.
        temperature: Of the calibration, if any.
    """

    def __init__(self, model: nn.Module, temperature: float | None) -> None:
        super().__init__()
        self.model = model
        self.temperature = temperature or 1.0

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.of_logits(self.model(inputs, mode='tensor'))

    def of_logits(self, logits: torch.Tensor) -> torch.Tensor:
        if self.temperature != 1:
            logits = logits / self.temperature
        return logits.softmax(1)


class WithUnlikeness(nn.Module):
    """The probabilities, and how unlike the training photos a photo is.

    Args:
        model: A classifier of MMPretrain.
        temperature: Of the calibration, if any.
        layer: Its last layer.
        known: What best.pth knows about the training photos.
    """

    def __init__(
        self,
        model: nn.Module,
        temperature: float | None,
        layer: nn.Module,
        known: KnownPhotos,
    ) -> None:
        super().__init__()
        self.probabilities = Probabilities(model, temperature)
        self._inputs: list[torch.Tensor] = []
        self.hook = layer.register_forward_pre_hook(
            lambda _, arguments: self._inputs.append(arguments[0])
        )
        self.known = known
        self.table: torch.Tensor
        self.register_buffer('table', torch.from_numpy(known.table.copy()))

    def forward(
        self, inputs: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        self._inputs.clear()
        logits = self.probabilities.model(inputs, mode='tensor')
        features = functional.normalize(self._inputs[-1].flatten(1))
        vectors = functional.normalize(self.table.float())
        count = min(NEAREST, len(vectors))
        similar = (features @ vectors.T).topk(count, dim=1).values.mean(1)
        distance, energy = self.known.distance, self.known.energy
        unlikeness = torch.maximum(
            (1 - similar - distance.mean) / distance.deviation,
            (-logits.logsumexp(1) - energy.mean) / energy.deviation,
        )
        return self.probabilities.of_logits(logits), unlikeness


def tensor_model(
    model: nn.Module,
    size: tuple[int, int],
    temperature: float | None = None,
    layer: nn.Module | None = None,
    known: KnownPhotos | None = None,
) -> onnx.ModelProto:
    """The ONNX model for batches of any size of inputs (height, width).

    With the last layer and the known photos, it has a second output.
    """
    # A batch of one would become a constant.
    example = torch.zeros(2, 3, *size)
    network: nn.Module = Probabilities(model, temperature)
    names = [PROBABILITIES]
    if layer and known:
        network = WithUnlikeness(model, temperature, layer, known)
        names.append(UNLIKENESS)
    try:
        with torch.no_grad(), quiet(), any_number_of_windows():
            program = torch.onnx.export(
                network,
                (example,),
                dynamo=True,
                verbose=False,
                input_names=[INPUTS],
                output_names=names,
                dynamic_shapes=({0: torch.export.Dim(COUNT)},),
            )
    except torch.onnx.OnnxExporterError as error:
        backbone = type(backbone_of(model)).__name__
        why = str(error.__cause__ or error).strip().partition('\n')[0]
        raise UserError(
            f'{backbone} cannot be exported to ONNX with a dynamic batch '
            f'size: {why[:200]}\n'
            'Use another format: --to torchscript, or --to safetensors'
        ) from error
    assert program is not None  # dynamo=True returns one
    # The exporter records the paths of Python files of this machine.
    ClearMetadataAndDocStringPass()(program.model)
    return onnx_ir.to_proto(program.model)


@contextmanager
def any_number_of_windows() -> Iterator[None]:
    """Let Swin merge its windows for batches of any size.

    MMPretrain computes the batch size by dividing floats. Exporters take the
    result for a constant, and the file is wrong for all other batch sizes.
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
