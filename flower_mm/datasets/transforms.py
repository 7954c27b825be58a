"""Transforms that MMPretrain lacks."""

import math

import cv2
import numpy as np
from mmpretrain.datasets.transforms import ColorJitter, RandomResizedCrop

from flower_mm.errors import UserError
from flower_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class GrowingCrop(RandomResizedCrop):
    """RandomResizedCrop whose size can grow during a run.

    Early epochs with small photos take a fraction of the time for nearly the
    same accuracy. FlowerDataset passes the progress of the run; with another
    dataset the first size stays.

    The position of the crop is a random fraction of the photo, so that a
    reduced photo gets the same part; MMPretrain takes random pixels.

    Args:
        scales: Sides in pixels, for equal numbers of epochs.
        kwargs: The arguments of RandomResizedCrop.
    """

    def __init__(self, scales: list[int], **kwargs) -> None:
        if not scales:
            raise UserError(
                'invalid scales of GrowingCrop: expected sides in pixels, '
                'such as [160, 224], got []'
            )
        super().__init__(scale=scales[-1], **kwargs)
        self.scales = scales

    def transform(self, results: dict) -> dict:
        side = self.scales[int(results.get('progress', 0) * len(self.scales))]
        self.scale = (side, side)
        return super().transform(results)

    def rand_crop_params(self, img: np.ndarray) -> tuple[int, int, int, int]:
        """Return top, left, height and width of the crop."""
        height, width = img.shape[:2]
        low, high = map(math.log, self.aspect_ratio_range)
        for _ in range(self.max_attempts):
            area = np.random.uniform(*self.crop_ratio_range) * height * width
            aspect = math.exp(np.random.uniform(low, high))
            top, left = np.random.random_sample(2)
            h, w = math.sqrt(area / aspect), math.sqrt(area * aspect)
            if h <= height and w <= width:
                h, w = max(1, round(h)), max(1, round(w))
                return (
                    round(top * (height - h)),
                    round(left * (width - w)),
                    h,
                    w,
                )
        # The largest centre crop of a valid ratio, as in MMPretrain.
        h = min(height, round(width / self.aspect_ratio_range[0]))
        w = min(width, round(height * self.aspect_ratio_range[1]))
        return (height - h) // 2, (width - w) // 2, h, w


@TRANSFORMS.register_module()
class QuickJitter(ColorJitter):
    """ColorJitter in a quarter of the time.

    ColorJitter takes half of the time of loading a photo. The random
    parameters are the same, and the pixels except for rounding: brightness
    and contrast are a table of the 256 values of a pixel.
    """

    def transform(self, results: dict) -> dict:
        # RandomFlip returns a view, which each step below would copy.
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
                # Hues are a circle of 256. With numpy 2, mmcv's own step
                # accepts positive changes only.
                img[..., 0] += np.uint8(int(hue * 255) % 256)
                img = cv2.cvtColor(img, cv2.COLOR_HSV2BGR_FULL)
        results['img'] = img
        return results


def _blended(img: np.ndarray, with_value: float, share: float) -> np.ndarray:
    """Mix a photo with one value; a share above 1 moves away from it."""
    values = np.arange(256) * share + with_value * (1 - share)
    return cv2.LUT(img, values.clip(0, 255).round().astype(np.uint8))
