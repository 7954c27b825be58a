"""Steps of a pipeline that choose what is seen of a photo.

Each is given MMPretrain's or MMCV's own step, and that step's number in the
pipeline, which its draws belong to.
"""

import math

import torch
from mmcv.transforms import CenterCrop, RandomFlip, Resize
from mmpretrain.datasets.transforms import RandomResizedCrop, ResizeEdge
from torch import Tensor

from flower_mm.datasets.batched.draws import Draws
from flower_mm.datasets.batched.view import View
from flower_mm.datasets.transforms import GrowingCrop


def crop(
    step: RandomResizedCrop,
    number: int,
    view: View,
    draws: Draws,
    progress: float,
) -> View:
    """RandomResizedCrop and GrowingCrop, drawn as GrowingCrop draws."""
    drawn = draws.uniform(number, step.max_attempts, 4)
    first, size = boxes(
        view.size, drawn, step.crop_ratio_range, step.aspect_ratio_range
    )
    height, width = step.scale
    if isinstance(step, GrowingCrop):
        height = width = step.scales[int(progress * len(step.scales))]
    return view.cropped(first, size).resized(_sizes(view, height, width))


def boxes(
    size: Tensor,
    drawn: Tensor,
    areas: tuple[float, float],
    aspects: tuple[float, float],
) -> tuple[Tensor, Tensor]:
    """The first of the attempts that fits, or else the middle."""
    area = areas[0] + drawn[..., 0] * (areas[1] - areas[0])
    area = area * size.prod(1, keepdim=True)
    low, high = map(math.log, aspects)
    aspect = torch.exp(low + drawn[..., 1] * (high - low))
    wanted = torch.stack([area / aspect, area * aspect], -1).sqrt()
    fits = (wanted <= size[:, None]).all(-1)
    wanted = wanted.round().clamp_(min=1)
    first = (drawn[..., 2:] * (size[:, None] - wanted)).round()
    height, width = size.unbind(1)
    middle = torch.stack(
        [
            height.minimum((width / aspects[0]).round()),
            width.minimum((height * aspects[1]).round()),
        ],
        1,
    )
    wanted = torch.cat([wanted, middle[:, None]], 1)
    first = torch.cat([first, ((size - middle) / 2).floor()[:, None]], 1)
    fits = torch.cat([fits, torch.ones_like(fits[:, :1])], 1)
    chosen = fits.int().argmax(1)  # the first of them
    photo = torch.arange(len(size), device=size.device)
    return first[photo, chosen], wanted[photo, chosen]


def edge(step: ResizeEdge, number: int, view: View, *_) -> View:
    height, width = view.size.long().unbind(1)
    if step.edge == 'short':
        to_width = width < height
    elif step.edge == 'long':
        to_width = width > height
    else:
        to_width = torch.full_like(width, step.edge == 'width').bool()
    side = torch.full_like(width, step.scale)
    height, width = (
        torch.where(to_width, step.scale * height // width, side),
        torch.where(to_width, side, step.scale * width // height),
    )
    return view.resized(torch.stack([height, width], 1).float())


def resize(step: Resize, number: int, view: View, *_) -> View:
    width, height = step.scale
    return view.resized(_sizes(view, height, width))


def centre(step: CenterCrop, number: int, view: View, *_) -> View:
    width, height = step.crop_size
    size = view.size.minimum(_sizes(view, height, width))
    return view.cropped(((view.size - size) / 2).round(), size)


def _sizes(view: View, height: int, width: int) -> Tensor:
    """One size for all, made on the device."""
    sizes = torch.empty_like(view.size)
    sizes[:, 0], sizes[:, 1] = height, width
    return sizes


def flip(
    step: RandomFlip, number: int, view: View, draws: Draws, progress: float
) -> View:
    names, chances = step.direction, step.prob
    names = [names] if isinstance(names, str) else names
    if not isinstance(chances, list):
        chances = [chances / len(names)] * len(names)
    drawn = draws.uniform(number)
    which = torch.zeros_like(view.size, dtype=torch.bool)
    begin = 0.0
    for name, chance in zip(names, chances, strict=True):
        hit = (drawn >= begin) & (drawn < begin + chance)
        if name != 'horizontal':
            which[:, 0] |= hit
        if name != 'vertical':
            which[:, 1] |= hit
        begin += chance
    return view.mirrored(which)
