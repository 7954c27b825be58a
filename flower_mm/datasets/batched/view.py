"""Which part of each photo of a batch is seen, and reading it."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass
class View:
    """Which part of each photo is seen, how large, and whether mirrored.

    All tensors are N x 2, down and to the right. A place `u` of the picture
    as it is now lies at `scale * u + begin` of the photo, where the centre of
    the first pixel is at 0.5.
    """

    size: Tensor  # in pixels
    scale: Tensor
    begin: Tensor
    low: Tensor  # the first centre that is read; none is beyond a crop
    high: Tensor

    @classmethod
    def whole(cls, size: Tensor) -> 'View':
        size = size.float()
        one = torch.ones_like(size)
        return cls(size, one, one - 1, one / 2, size - 0.5)

    def resized(self, size: Tensor) -> 'View':
        return replace(self, size=size, scale=self.scale * self.size / size)

    def cropped(self, first: Tensor, size: Tensor) -> 'View':
        begin = self.begin + self.scale * first
        one, other = begin + self.scale / 2, begin + self.scale * (size - 0.5)
        return replace(
            self,
            size=size,
            begin=begin,
            low=self.low.maximum(one.minimum(other)),
            high=self.high.minimum(one.maximum(other)),
        )

    def mirrored(self, which: Tensor) -> 'View':
        end = self.begin + self.scale * self.size
        return replace(
            self,
            scale=torch.where(which, -self.scale, self.scale),
            begin=torch.where(which, end, self.begin),
        )


def read(
    pixels: Tensor, first: Tensor, shape: Tensor, view: View, size: list[int]
) -> Tensor:
    """Read the photos of a batch as cv2.INTER_LINEAR would, rounded.

    Args:
        pixels: Of all photos, one behind the other, three bytes each.
        first: Each photo's first pixel among them.
        shape: Each photo's height and width.
        view: What is to be seen of each.
        size: Height and width that all have now.

    Returns:
        N x height x width x 3, whole numbers as floats.
    """
    (up, down, y), (left, right, x) = (
        _neighbours(view, shape, axis, size[axis]) for axis in (0, 1)
    )
    width = shape[:, 1, None]
    up, down = (first[:, None] + row * width for row in (up, down))
    y, x = y[:, :, None, None], x[:, None, :, None]

    def line(row: Tensor) -> Tensor:
        one, other = (
            _at(pixels, row[:, :, None] + column[:, None])
            for column in (left, right)
        )
        return torch.lerp(one, other, x)

    return torch.lerp(line(up), line(down), y).add_(0.5).floor_()


def _at(pixels: Tensor, index: Tensor) -> Tensor:
    found = pixels.index_select(0, index.view(-1))
    return found.view(*index.shape, -1).float()


def _neighbours(
    view: View, shape: Tensor, axis: int, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """For each place along an axis two pixels, and the second one's part."""
    place = torch.arange(count, device=shape.device) + 0.5
    scale, begin, low, high = (
        part[:, axis, None]
        for part in (view.scale, view.begin, view.low, view.high)
    )
    centre = (scale * place + begin).maximum(low).minimum(high) - 0.5
    one = centre.floor()
    last = shape[:, axis, None] - 1
    return one.long(), (one.long() + 1).minimum(last), centre - one
