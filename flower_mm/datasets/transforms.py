"""What MMPretrain's transforms leave out."""

import math

import numpy as np
from mmpretrain.datasets.transforms import RandomResizedCrop

from flower_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class GrowingCrop(RandomResizedCrop):
    """RandomResizedCrop whose size may grow while a run goes on.

    Early epochs learn nearly as much from small photos, in a fraction of the
    time. A FlowerDataset says how far the run is; of another one all photos
    have the first size.

    Where the crop lies is drawn in shares of the photo, so that it is the
    same part of one that was shrunk before; MMPretrain draws pixels.

    Args:
        scales: Sides in pixels; each for as many epochs as the others.
        kwargs: What RandomResizedCrop takes.
    """

    def __init__(self, scales: list[int], **kwargs) -> None:
        super().__init__(scale=scales[-1], **kwargs)
        self.scales = scales

    def transform(self, results: dict) -> dict:
        side = self.scales[int(results.get('progress', 0) * len(self.scales))]
        self.scale = (side, side)
        return super().transform(results)

    def rand_crop_params(self, img: np.ndarray) -> tuple[int, int, int, int]:
        """Where the crop begins, down and to the right, and its size."""
        height, width = img.shape[:2]
        low, high = map(math.log, self.aspect_ratio_range)
        for _ in range(self.max_attempts):
            area = np.random.uniform(*self.crop_ratio_range) * height * width
            aspect = math.exp(np.random.uniform(low, high))
            down, right = np.random.random_sample(2)
            tall, wide = math.sqrt(area / aspect), math.sqrt(area * aspect)
            if tall <= height and wide <= width:
                tall, wide = max(1, round(tall)), max(1, round(wide))
                down = round(down * (height - tall))
                return down, round(right * (width - wide)), tall, wide
        return super().rand_crop_params(img)
