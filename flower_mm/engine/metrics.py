"""What MMPretrain's metrics leave out."""

import torch
from mmengine.evaluator import BaseMetric

from flower_mm.registry import METRICS


@METRICS.register_module()
class CrossEntropy(BaseMetric):
    """The validation loss: -log of the probability given to the true class.

    Without label smoothing, so that runs with and without it compare.
    """

    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        for sample in data_samples:
            score = sample['pred_score'][int(sample['gt_label'])]
            # float32 probabilities may underflow to 0; 1e-12 costs 27.6.
            self.results.append(
                -torch.log(score.float().clamp_min(1e-12)).item()
            )

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        # Not `loss` in its name: MMEngine would log a mean over epochs.
        return {'cross_entropy': sum(results) / len(results)}
