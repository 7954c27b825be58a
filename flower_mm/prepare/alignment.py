"""Align pairs of photos, and measure how well they agree.

Photos are square arrays; positions run from -1 to 1. An alignment (scale and
shift in y, scale and shift in x) maps a position of the first photo to the
second, which covers crops. All functions take a batch of pairs.
"""

from typing import NamedTuple

import numpy as np

IDENTITY = np.array([1, 0, 1, 0], np.float32)
# A crop of 10 % on both sides of both photos, and a little more.
LOWEST = np.array([0.8, -0.25, 0.8, -0.25], np.float32)
HIGHEST = np.array([1.25, 0.25, 1.25, 0.25], np.float32)
MAX_STEP = 0.1  # of an iteration: the linear model is local

WINDOW = 9  # pixels of 64
NOISE = 9.0  # grey levels squared: contrast that recompression changes
TEXTURED = 6.0  # standard deviation in a window
DIFFERENT = 0.4  # correlation in a window
GREY = np.array([0.299, 0.587, 0.114], np.float32)
CHROMA = np.array([[-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]], np.float32).T


class Agreement(NamedTuple):
    """How well aligned pairs agree, an array for each measure."""

    structure: np.ndarray  # mean correlation of windows, by their contrast
    different: np.ndarray  # share of textured windows that do not correlate
    colour: np.ndarray  # mean difference in chroma, grey levels
    worst_colour: np.ndarray  # 95th percentile of that
    textured: np.ndarray  # share of the windows that are textured


def align(
    first: np.ndarray, second: np.ndarray, start: np.ndarray, steps: int
) -> np.ndarray:
    """Return alignments (n, 4) of grey photos (n, side, side).

    By Gauss-Newton iterations with a little damping.
    """
    side = first.shape[1]
    at = _positions(side)
    alignment = start
    for _ in range(steps):
        moved, inside = warp(second, alignment)
        down = np.gradient(moved, axis=1) * (side / 2)
        down /= alignment[:, 0, None, None]
        right = np.gradient(moved, axis=2) * (side / 2)
        right /= alignment[:, 2, None, None]
        # The last two columns fit contrast and brightness.
        columns = (down * at[:, None], down, right * at, right, moved)
        slopes = np.stack([*columns, np.ones_like(moved)], -1)
        slopes = (slopes * inside[..., None]).reshape(len(first), -1, 6)
        rest = ((first - moved) * inside).reshape(len(first), -1, 1)
        normal = (slopes.transpose(0, 2, 1) @ slopes).astype(np.float64)
        diagonal = np.diagonal(normal, axis1=1, axis2=2)
        damping = 1e-4 * diagonal + 1e-6 * diagonal.sum(1, keepdims=True)
        normal += np.eye(6) * (damping + 1e-9)[:, None]
        step = np.linalg.solve(normal, slopes.transpose(0, 2, 1) @ rest)
        step = np.clip(step[:, :4, 0], -MAX_STEP, MAX_STEP)
        alignment = np.clip(alignment + step, LOWEST, HIGHEST)
        alignment = alignment.astype(np.float32)
    return alignment


def warp(
    photos: np.ndarray, alignment: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the aligned photos, and a mask of the pixels that they fill."""
    at = _positions(photos.shape[1])
    y = alignment[:, 0:1] * at + alignment[:, 1:2]
    x = alignment[:, 2:3] * at + alignment[:, 3:4]
    inside = (abs(y) <= 1)[:, :, None] & (abs(x) <= 1)[:, None, :]
    return _interpolate(_interpolate(photos, y, 1), x, 2), inside


def _positions(side: int) -> np.ndarray:
    return ((np.arange(side, dtype=np.float32) + 0.5) / side) * 2 - 1


def _interpolate(photos: np.ndarray, at: np.ndarray, axis: int) -> np.ndarray:
    side = photos.shape[axis]
    pixel = (at + 1) * (side / 2) - 0.5
    low = np.clip(np.floor(pixel), 0, side - 2).astype(np.intp)
    part = np.clip(pixel - low, 0, 1).astype(np.float32)
    shape = [len(photos)] + [1] * (photos.ndim - 1)
    shape[axis] = side
    low, part = low.reshape(shape), part.reshape(shape)
    return (
        np.take_along_axis(photos, low, axis) * (1 - part)
        + np.take_along_axis(photos, low + 1, axis) * part
    )


def blur(photos: np.ndarray) -> np.ndarray:
    wide = np.pad(photos, ((0, 0), (1, 1), (1, 1)), 'edge')
    wide = (wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]) / 4
    return (wide[..., :-2] + 2 * wide[..., 1:-1] + wide[..., 2:]) / 4


def halve(photos: np.ndarray) -> np.ndarray:
    """Return grey photos (n, side, side) at half the side."""
    count, side, _ = photos.shape
    return photos.reshape(count, side // 2, 2, side // 2, 2).mean((2, 4))


def correlation(
    first: np.ndarray, second: np.ndarray, inside: np.ndarray
) -> np.ndarray:
    """Return the correlation (n,) of grey photos over the mask `inside`."""
    count = inside.sum((1, 2))[:, None, None]
    first, second = (
        (photos - (photos * inside).sum((1, 2))[:, None, None] / count)
        * inside
        for photos in (first, second)
    )
    norm = (first**2).sum((1, 2)) * (second**2).sum((1, 2))
    return (first * second).sum((1, 2)) / np.sqrt(np.maximum(norm, 1e-6))


def agreement(
    first: np.ndarray, second: np.ndarray, alignment: np.ndarray
) -> Agreement:
    """Compare colour photos (n, 64, 64, 3), window by window."""
    moved, inside = warp(second, alignment)
    grey, moved_grey = first @ GREY, moved @ GREY
    area = WINDOW**2
    whole = _window_sums(inside) > area - 0.5
    mean, moved_mean, variance, moved_variance, both = (
        _window_sums(np.where(inside, values, 0)) / area
        for values in (
            grey,
            moved_grey,
            grey**2,
            moved_grey**2,
            grey * moved_grey,
        )
    )
    variance = np.maximum(variance - mean**2, 0)
    moved_variance = np.maximum(moved_variance - moved_mean**2, 0)
    both -= mean * moved_mean
    # One change of contrast for the whole photo is allowed, up to a factor.
    gain = (variance * whole).sum((1, 2)) / np.maximum(
        (moved_variance * whole).sum((1, 2)), 1e-6
    )
    gain = np.clip(np.sqrt(gain), 0.7, 1.4)[:, None, None]
    moved_variance *= gain**2
    match = (2 * both * gain + NOISE) / (variance + moved_variance + NOISE)
    contrast = np.sqrt(np.maximum(variance, moved_variance)) * whole
    textured = contrast > TEXTURED
    windows = np.maximum(textured.sum((1, 2)), 1)
    difference = _chroma_difference(first, moved, grey, moved_grey, inside)
    return Agreement(
        (match * contrast).sum((1, 2))
        / np.maximum(contrast.sum((1, 2)), 1e-6),
        ((match < DIFFERENT) & textured).sum((1, 2)) / windows,
        np.nanmean(difference, (1, 2)),
        np.nanquantile(difference, 0.95, (1, 2)),
        windows / np.maximum(whole.sum((1, 2)), 1),
    )


def _window_sums(values: np.ndarray) -> np.ndarray:
    # In float64, since these are differences of sums over a whole photo.
    sums = np.pad(values.astype(np.float64), ((0, 0), (1, 0), (1, 0)))
    sums = sums.cumsum(1).cumsum(2)
    low, high = slice(None, -WINDOW), slice(WINDOW, None)
    return (
        sums[:, high, high]
        - sums[:, low, high]
        - sums[:, high, low]
        + sums[:, low, low]
    )


def _chroma_difference(
    first: np.ndarray,
    second: np.ndarray,
    grey: np.ndarray,
    other_grey: np.ndarray,
    inside: np.ndarray,
) -> np.ndarray:
    """Return the distance of the colours at equal brightness; NaN outside."""
    brighter = (grey * inside).sum((1, 2)) / np.maximum(
        (other_grey * inside).sum((1, 2)), 1
    )
    brighter = brighter[:, None, None]
    # Where white is clipped, other pixels change by another factor.
    ratio = grey / np.maximum(other_grey, 1)
    brighter = np.clip(ratio, brighter / 1.2, brighter * 1.2)
    apart = first @ CHROMA - (second @ CHROMA) * brighter[..., None]
    return np.where(inside, np.sqrt((apart**2).sum(-1)), np.nan)
