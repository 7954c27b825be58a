"""A metric that measures nothing and keeps the predictions."""

import numpy as np
from mmengine.evaluator import BaseMetric

from flower_mm.report.predictions import Predictions


class KeepPredictions(BaseMetric):
    """Keep the prediction for each photo, from all processes.

    Args:
        classes: Their names.
        every: Keep one of so many photos.
    """

    default_prefix = 'predictions'

    def __init__(self, classes: list[str], every: int = 1) -> None:
        super().__init__()
        self.classes = classes
        self.every = every
        self.seen = 0
        self.predictions: Predictions | None = None

    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        for sample in data_samples:
            # Another task than one class for each photo.
            if 'pred_score' not in sample or sample['gt_label'].numel() != 1:
                continue
            if self.seen % self.every == 0:
                scores = sample['pred_score'].float().cpu().numpy()
                label = int(sample['gt_label'])
                self.results.append((sample['img_path'], label, scores))
            self.seen += 1

    def compute_metrics(self, results: list[tuple]) -> dict:
        self.seen, self.predictions = 0, None
        if results:
            photos, labels, scores = zip(*results, strict=True)
            self.predictions = Predictions(
                list(photos), np.array(labels), np.stack(scores), self.classes
            )
        return {}
