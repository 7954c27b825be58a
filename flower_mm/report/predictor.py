"""What a checkpoint says of a dataset's photos."""

import time
from pathlib import Path

import numpy as np
from mmengine.config import Config

from flower_mm.console import progress
from flower_mm.datasets.flower_dataset import read_photo
from flower_mm.errors import UserError
from flower_mm.inference.model import TrainedModel
from flower_mm.report.predictions import Predictions
from flower_mm.report.run_folder import checked

BATCH = 64  # photos, as in our configs' test_dataloader


class Predictor(TrainedModel):
    """A trained model that is asked about photos of a dataset.

    Args:
        checkpoint: As of TrainedModel, like what follows it.
        batch_size: Photos at a time.
    """

    def __init__(
        self,
        checkpoint: str | Path,
        device: str = 'auto',
        batch_size: int = BATCH,
        config: Config | None = None,
        plain: bool = False,
    ) -> None:
        super().__init__(checkpoint, device, config=config, plain=plain)
        self.batch_size = batch_size
        self.photos_per_second = 0.0  # of the last `predict`, reading included

    @property
    def noted(self) -> dict:
        """Which run best.pth is of, as far as the file tells."""
        return {
            'best_epoch': checked(self.meta.get('epoch'), int),
            'best_top1': checked(self.top1, float),
            'best_seed': checked(self.meta.get('seed'), int),
            'best_dataset_sha256': checked(
                self.meta.get('dataset_sha256'), str
            ),
        }

    def predict(self, photos: list[str], labels: list[int]) -> Predictions:
        """Score photos whose true classes are `labels`."""
        scores = []
        begin = time.perf_counter()
        with progress(len(photos), 'predicting') as advance:
            for start in range(0, len(photos), self.batch_size):
                part = range(start, min(start + self.batch_size, len(photos)))
                scores.append(
                    self.scores([self.packed(photos[i], i) for i in part])
                )
                advance(len(part))
        seconds = time.perf_counter() - begin
        self.photos_per_second = len(photos) / seconds
        return Predictions(
            list(photos),
            np.array(labels),
            np.concatenate(scores),
            self.classes,
        )

    def packed(self, photo: str, index: int = 0) -> dict:
        """What the model is given of a photo of the dataset."""
        if not Path(photo).is_file():
            raise UserError(
                f'{photo} is not there any more.\nPut it back, or look '
                'which are missing: python tools/prepare_dataset.py --check '
                '--out DATASET'
            )
        return self.prepared(
            read_photo([self.first], {'img_path': photo})['img'], index
        )
