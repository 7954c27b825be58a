"""The checkpoint to export: its model in float32, and its metadata."""

import hashlib
import json
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from flower_mm import __version__
from flower_mm.errors import UserError
from flower_mm.export.preprocessing import describe_preprocessing
from flower_mm.inference.model import TrainedModel

# Landscape and portrait, larger than any network's input.
SHAPES = ((1200, 1600), (1600, 1200))


class Source:
    """The checkpoint that all formats are made from and compared with.

    Args:
        file: best.pth, as for TrainedModel.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.trained = TrainedModel(file, 'cpu')
        # Exported files compute in float32, however it was validated.
        self.validated = self.trained.precision
        self.trained.precision = torch.autocast('cpu', enabled=False)
        self.model = self.trained.model
        self.temperature = self.trained.calibration.temperature
        self.preprocessor = self.model.data_preprocessor
        self.steps = [self.trained.first, *self.trained.rest.transforms]

    def scores(self, prepared: list[dict], validated: bool) -> np.ndarray:
        """Probabilities in float32 or in the precision of the validation."""
        exported = self.trained.precision
        self.trained.precision = self.validated if validated else exported
        try:
            return self.trained.scores(prepared)
        finally:
            self.trained.precision = exported

    def normalised(self, prepared: list[dict]) -> torch.Tensor:
        """The network's inputs of prepared photos."""
        inputs = torch.stack([photo['inputs'] for photo in prepared])
        return self.preprocessor({'inputs': inputs})['inputs']

    @cached_property
    def size(self) -> tuple[int, int]:
        """Height and width of the network's inputs."""
        photos = [np.zeros((*shape, 3), np.uint8) for shape in SHAPES]
        sizes = {
            tuple(self.normalised([self.trained.prepared(photo)]).shape[2:])
            for photo in photos
        }
        if len(sizes) > 1:
            raise UserError(
                f'{self.file} cannot be exported: expected inputs of one '
                f'size, got {sorted(sizes)}.\nEnd its test_pipeline with '
                "dict(type='CenterCrop', crop_size=224) before PackInputs"
            )
        height, width = sizes.pop()
        return height, width

    @cached_property
    def facts(self) -> dict[str, str]:
        """The metadata of a file that takes tensors."""
        height, width = self.size
        content = self.file.read_bytes()
        facts = {
            'classes': json.dumps(self.trained.classes, ensure_ascii=False),
            'input': f'float32 (N, 3, {height}, {width})',
            'preprocessing': describe_preprocessing(
                self.steps, self.preprocessor
            ),
            'output': 'probabilities, float32 (N, classes)',
            'source_sha256': hashlib.sha256(content).hexdigest(),
            'flower_mm': __version__,
        }
        sha256 = self.trained.meta.get('dataset_sha256')
        if isinstance(sha256, str):
            facts['dataset_sha256'] = sha256
        return facts
