"""The checkpoint that is exported: its model in float32, and its facts."""

import hashlib
import json
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from flower_mm import __version__
from flower_mm.errors import UserError
from flower_mm.export.preprocessing import in_words
from flower_mm.inference.model import TrainedModel

# Photos that lie and stand, larger than any network's input.
SHAPES = ((1200, 1600), (1600, 1200))


class Source:
    """What all formats are made of, and compared with.

    Args:
        file: best.pth, as of TrainedModel.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.trained = TrainedModel(file, 'cpu')
        # Exported files compute in float32, however it was validated.
        self.validated = self.trained.precision
        self.trained.precision = torch.autocast('cpu', enabled=False)
        self.model = self.trained.model
        self.preprocessor = self.model.data_preprocessor
        self.steps = [self.trained.first, *self.trained.rest.transforms]

    def scores(self, prepared: list[dict], validated: bool) -> np.ndarray:
        """In float32 or, if they differ, as it was validated."""
        exported = self.trained.precision
        self.trained.precision = self.validated if validated else exported
        try:
            return self.trained.scores(prepared)
        finally:
            self.trained.precision = exported

    def normalised(self, prepared: list[dict]) -> torch.Tensor:
        """What the network itself takes."""
        inputs = torch.stack([photo['inputs'] for photo in prepared])
        return self.preprocessor({'inputs': inputs})['inputs']

    @cached_property
    def size(self) -> tuple[int, int]:
        """Height and width of those."""
        photos = [np.zeros((*shape, 3), np.uint8) for shape in SHAPES]
        found = {
            tuple(self.normalised([self.trained.prepared(photo)]).shape[2:])
            for photo in photos
        }
        if len(found) > 1:
            raise UserError(
                f'{self.file} cannot be exported: its pipeline leaves photos '
                'in sizes that depend on theirs.\nEnd its test_pipeline with '
                "dict(type='CenterCrop', crop_size=224) before PackInputs"
            )
        return found.pop()

    @cached_property
    def facts(self) -> dict[str, str]:
        """What a file that takes tensors says of itself."""
        height, width = self.size
        content = self.file.read_bytes()
        found = {
            'classes': json.dumps(self.trained.classes, ensure_ascii=False),
            'input': f'float32 (N, 3, {height}, {width})',
            'preprocessing': in_words(self.steps, self.preprocessor),
            'output': 'probabilities, float32 (N, classes)',
            'source_sha256': hashlib.sha256(content).hexdigest(),
            'flower_mm': __version__,
        }
        sha256 = self.trained.meta.get('dataset_sha256')
        if isinstance(sha256, str):
            found['dataset_sha256'] = sha256
        return found
