"""What MMPretrain's transforms leave out."""

import math

import cv2
import numpy as np
from mmpretrain.datasets.transforms import ColorJitter, RandomResizedCrop

from flower_mm.errors import UserError
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
        if not scales:
            raise UserError(
                'GrowingCrop: `scales` needs a size, as [160, 224]'
            )
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
        # As MMPretrain has it: all that the ratio allows, from the middle.
        tall = min(height, round(width / self.aspect_ratio_range[0]))
        wide = min(width, round(height * self.aspect_ratio_range[1]))
        return (height - tall) // 2, (width - wide) // 2, tall, wide


@TRANSFORMS.register_module()
class QuickJitter(ColorJitter):
    """ColorJitter in a quarter of the time.

    It takes half of what a photo costs otherwise. The draws are the same,
    and so are the pixels but for rounding: brightness and contrast are a
    table of the 256 values a pixel can have.
    """

    def transform(self, results: dict) -> dict:
        # RandomFlip leaves a view, which each step below would copy.
        img = np.ascontiguousarray(results['img'])
        order, brightness, contrast, saturation, hue = self._rand_params()
        for kind in order:
            if kind == 0 and brightness is not None:
                img = _blended(img, 0.0, brightness)
            elif kind == 1 and contrast is not None:
                grey = cv2.cvtColor(img, cv2.COLOR_BGR2GRAY)
                img = _blended(img, round(cv2.mean(grey)[0]), contrast)
            elif kind == 2 and saturation is not None:
                grey = cv2.cvtColor(img, cv2.COLOR_BGR2GRAY)
                grey = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
                img = cv2.addWeighted(img, saturation, grey, 1 - saturation, 0)
            elif kind == 3 and hue is not None:
                img = cv2.cvtColor(img, cv2.COLOR_BGR2HSV_FULL)
                # Hues are a circle of 256. mmcv's own step takes only turns
                # to the right with numpy 2.
                img[..., 0] += np.uint8(int(hue * 255) % 256)
                img = cv2.cvtColor(img, cv2.COLOR_HSV2BGR_FULL)
        results['img'] = img
        return results


def _blended(img: np.ndarray, with_value: float, share: float) -> np.ndarray:
    """A share of the photo, the rest of one value; above 1 away from it."""
    values = np.arange(256) * share + with_value * (1 - share)
    return cv2.LUT(img, values.clip(0, 255).round().astype(np.uint8))
