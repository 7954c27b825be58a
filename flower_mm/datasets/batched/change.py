"""Steps of a pipeline that change the picture, a batch at a time.

Photos are N x height x width x 3, blue first, in whole numbers as floats.
"""

import math

import torch
from mmpretrain.datasets.transforms import ColorJitter, RandomErasing
from torch import Tensor

from flower_mm.datasets.batched.draws import Draws

KINDS = 'brightness', 'contrast', 'saturation', 'hue'
MOST_STEPS = 1000  # of a pipeline


def jitter(
    step: ColorJitter, number: int, photos: Tensor, draws: Draws
) -> Tensor:
    """As Pillow computes it, in an order drawn for each photo."""
    ranges = {name: getattr(step, name) for name in KINDS}
    ranges = {name: limits for name, limits in ranges.items() if limits}
    if not ranges:
        return photos
    drawn = draws.uniform(number, 2, len(ranges))
    order = drawn[:, 0].argsort(stable=True)
    factors = [
        low + drawn[:, 1, i] * (high - low)
        for i, (low, high) in enumerate(ranges.values())
    ]
    factors = torch.stack(factors, 1).gather(1, order)
    for turn, factor in zip(order.unbind(1), factors.unbind(1), strict=True):
        is_kind = {
            name: (turn == i)[:, None, None, None]
            for i, name in enumerate(ranges)
        }
        photos = _adjusted(photos, is_kind, factor[:, None, None, None])
    return photos


def _adjusted(
    photos: Tensor, is_kind: dict[str, Tensor], factor: Tensor
) -> Tensor:
    """Each photo in the one kind that is its own."""
    # All but hue blend with another picture: black, one grey, or greys.
    other = torch.zeros_like(photos[..., :1])
    if 'contrast' in is_kind or 'saturation' in is_kind:
        grey = _grey(photos)
    if 'contrast' in is_kind:
        mean = (grey.mean((1, 2), keepdim=True) + 0.5).floor()
        other = torch.where(is_kind['contrast'], mean, other)
    if 'saturation' in is_kind:
        other = torch.where(is_kind['saturation'], grey, other)
    blended = other + factor * (photos - other)
    blended = blended.clamp_(0, 255).floor_()
    if 'hue' not in is_kind:
        return blended
    return torch.where(is_kind['hue'], _hue_shifted(photos, factor), blended)


def _grey(photos: Tensor) -> Tensor:
    """Pillow's, exactly: the sum stays below 2**24."""
    blue, green, red = photos.split(1, -1)
    total = 19595 * red + 38470 * green + 7471 * blue + 32768
    return (total / 65536).floor()


def _hue_shifted(photos: Tensor, factor: Tensor) -> Tensor:
    """Through HSV of whole numbers, as Pillow has it."""
    blue, green, red = photos.split(1, -1)
    high = photos.amax(-1, keepdim=True)
    span = high - photos.amin(-1, keepdim=True)
    part = span.clamp(min=1)
    hue = torch.where(
        red == high,
        (green - blue) / part,
        torch.where(
            green == high,
            2 + (blue - red) / part,
            4 + (red - green) / part,
        ),
    )
    hue = ((hue / 6 + 1) % 1 * 255).floor()
    hue = (hue + (factor * 255).trunc()) % 256
    full = (span / high.clamp(min=1) * 255).floor() / 255
    sixth = hue * 6 / 255
    which = sixth.floor()
    rest = sixth - which

    def channel(at: int) -> Tensor:
        """The colour wheel, begun `at` sixths later."""
        step = (which + at) % 6
        fall = high * (1 - full * rest)
        rise = high * (1 - full * (1 - rest))
        found = torch.where(step == 1, fall, high * (1 - full))
        found = torch.where(step == 4, rise, found)
        return torch.where((step == 0) | (step == 5), high, found)

    found = torch.cat([channel(2), channel(4), channel(0)], -1)
    return (found + 0.5).floor()


def erase(
    step: RandomErasing, number: int, photos: Tensor, draws: Draws
) -> Tensor:
    height, width = photos.shape[1:3]
    erased, area, aspect, top, left = draws.uniform(number, 5).unbind(1)
    low, high = map(math.log, step.aspect_range)
    aspect = torch.exp(low + aspect * (high - low))
    low, high = step.min_area_ratio, step.max_area_ratio
    area = (low + area * (high - low)) * height * width
    rows = _between(top, (area * aspect).sqrt(), height)
    rows &= (erased < step.erase_prob)[:, None]
    columns = _between(left, (area / aspect).sqrt(), width)
    inside = (rows[:, :, None] & columns[:, None])[..., None]
    return torch.where(inside, _fill(step, number, photos, draws), photos)


def _fill(
    step: RandomErasing, number: int, photos: Tensor, draws: Draws
) -> Tensor:
    if step.mode == 'const':
        return _coloured(photos, [int(part) for part in step.fill_color])
    # Other draws than those of the place.
    drawn = draws.uniform(number + MOST_STEPS, *photos.shape[1:])
    if step.fill_std is None:
        return (drawn * 256).floor()
    turn = draws.uniform(number + 2 * MOST_STEPS, *photos.shape[1:])
    normal = (-2 * (1 - drawn).log()).sqrt() * (2 * math.pi * turn).cos()
    fill = _coloured(photos, step.fill_color)
    fill = fill + _coloured(photos, step.fill_std) * normal
    return fill.trunc().clamp_(0, 255)


def _coloured(photos: Tensor, colour: list[float]) -> Tensor:
    """One pixel, filled where it is: a tensor of a list would be copied."""
    pixel = photos[:1, :1, :1, :1]
    return torch.cat([torch.full_like(pixel, part) for part in colour], -1)


def _between(at: Tensor, length: Tensor, whole: int) -> Tensor:
    """Which of the `whole` pixels lie in a stretch that begins at random."""
    length = length.round().clamp(max=whole)
    begin = (at * (whole - length)).floor()[:, None]
    place = torch.arange(whole, device=at.device)
    return (place >= begin) & (place < begin + length[:, None])
