"""A trained model that predicts the photos of a dataset."""

import time
from pathlib import Path

import numpy as np
from mmengine.config import Config

from flower_mm.commands import command
from flower_mm.console import progress
from flower_mm.datasets.flower_dataset import read_photo
from flower_mm.errors import UserError
from flower_mm.inference.model import TrainedModel
from flower_mm.photo_bytes import is_file
from flower_mm.report.predictions import Predictions
from flower_mm.report.run_folder import checked

BATCH_SIZE = 64  # as in test_dataloader of our configs


class Predictor(TrainedModel):
    """A model from a checkpoint, for batches of photos.

    Args:
        checkpoint: As for TrainedModel, like the other arguments.
        batch_size: Photos per batch.
    """

    def __init__(
        self,
        checkpoint: str | Path,
        device: str = 'auto',
        batch_size: int = BATCH_SIZE,
        config: Config | None = None,
        unselected: bool = False,
    ) -> None:
        super().__init__(
            checkpoint, device, config=config, unselected=unselected
        )
        self.batch_size = batch_size
        self.images_per_second = 0.0  # of the last `predict`, with loading

    @property
    def run_of_checkpoint(self) -> dict:
        """What the checkpoint says about the run that wrote it."""
        sha256 = self.meta.get('dataset_sha256')
        return {
            'checkpoint_epoch': checked(self.meta.get('epoch'), 'integer'),
            'checkpoint_top1': checked(self.top1, 'number'),
            'checkpoint_seed': checked(self.meta.get('seed'), 'integer'),
            'checkpoint_dataset_sha256': checked(sha256, 'string'),
        }

    def predict(self, photos: list[str], labels: list[int]) -> Predictions:
        """Predict photos whose true classes are `labels`."""
        scores = []
        start_time = time.perf_counter()
        with progress(len(photos), 'predicting') as advance:
            for start in range(0, len(photos), self.batch_size):
                batch = range(start, min(start + self.batch_size, len(photos)))
                scores.append(
                    self.scores([self.packed(photos[i], i) for i in batch])
                )
                advance(len(batch))
        seconds = time.perf_counter() - start_time
        self.images_per_second = len(photos) / seconds
        return Predictions(
            list(photos),
            np.array(labels),
            np.concatenate(scores),
            self.classes,
        )

    def packed(self, photo: str, index: int = 0) -> dict:
        """The model input of a photo of the dataset."""
        if not is_file(photo):
            raise UserError(
                f'{photo} is missing.\nRestore it, or list all missing '
                'photos: ' + command('prepare', '--check', 'DATASET')
            )
        image = read_photo([self.first], {'img_path': photo})['img']
        return self.prepared(image, index)
