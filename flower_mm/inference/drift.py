"""Whether many photos differ from those of the validation beyond chance."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from flower_mm.errors import printable
from flower_mm.inference.calibration import Calibration
from flower_mm.inference.known_photos import PASS

FEWEST = 200  # photos, for a sentence
# Three tests: one sentence too many in 300 folders of the same kind.
RISK = 0.001


@dataclass
class Seen:
    """What is counted while photos are classified."""

    confidence: list[float] = field(default_factory=list)
    predicted: list[int] = field(default_factory=list)
    unknown: int = 0


def difference(
    seen: Seen,
    validation: Calibration,
    validated: int | None,
    classes: Sequence[str],
) -> str:
    """Say how the photos differ, or return ''.

    Args:
        seen: The photos.
        validation: The figures in best.pth.
        validated: The validation photos behind the threshold for unknown
            photos, if best.pth has one.
        classes: Their names.
    """
    count = len(seen.confidence)
    if count < FEWEST or not len(validation.confidence):
        return ''
    found = []
    confidence = np.array(seen.confidence)
    if _same_values(confidence, validation.confidence) < RISK:
        found.append(
            f'the median confidence is {100 * np.median(confidence):.0f} % '
            f'({100 * np.median(validation.confidence):.0f} % there)'
        )
    if validated and _unknown_share(seen.unknown, count, validated) < RISK:
        found.append(
            f'{100 * seen.unknown / count:.0f} % are unknown '
            f'({100 * (1 - PASS):.0f} % there)'
        )
    if len(validation.predicted):
        ours, theirs = (
            np.bincount(labels, minlength=len(classes))
            for labels in (seen.predicted, validation.predicted)
        )
        if _same_shares(ours, theirs) < RISK:
            shares = ours / ours.sum(), theirs / theirs.sum()
            most = int(np.abs(shares[0] - shares[1]).argmax())
            found.append(
                f'{100 * shares[0][most]:.0f} % are predicted as '
                f'{printable(classes[most], 40)} '
                f'({100 * shares[1][most]:.0f} % there)'
            )
    if not found:
        return ''
    return (
        f'these photos differ from those of the validation: '
        f'{"; ".join(found)}. The accuracy and the calibration measured '
        'there may not hold for them'
    )


def _same_values(one: np.ndarray, other: np.ndarray) -> float:
    """The p-value of Kolmogorov and Smirnov's test, for many values."""
    points = np.concatenate([one, other])
    distance = np.abs(
        np.searchsorted(np.sort(one), points, 'right') / len(one)
        - np.searchsorted(np.sort(other), points, 'right') / len(other)
    ).max()
    scale = math.sqrt(len(one) * len(other) / (len(one) + len(other)))
    terms = np.arange(1, 101)
    powers = np.exp(-2 * (terms * scale * distance) ** 2)
    return float(min(1.0, 2 * abs((powers * (-1.0) ** (terms - 1)).sum())))


def _unknown_share(unknown: int, count: int, validated: int) -> float:
    """The p-value of so many unknown photos.

    The threshold, too, comes from a sample.
    """
    deviation = math.sqrt(PASS * (1 - PASS) * (1 / count + 1 / validated))
    return math.erfc(
        abs(unknown / count - (1 - PASS)) / deviation / math.sqrt(2)
    )


def _same_shares(one: np.ndarray, other: np.ndarray) -> float:
    """The p-value of Pearson's test of two rows of counts."""
    import torch

    table = np.stack([one, other])[:, one + other > 0].astype(float)
    if table.shape[1] < 2:
        return 1.0
    sums = table.sum(1, keepdims=True), table.sum(0, keepdims=True)
    expected = sums[0] * sums[1] / table.sum()
    statistic = ((table - expected) ** 2 / expected).sum()
    half = torch.tensor([(table.shape[1] - 1) / 2], dtype=torch.float64)
    return float(
        torch.special.gammaincc(half, torch.tensor([statistic / 2]).double())
    )
