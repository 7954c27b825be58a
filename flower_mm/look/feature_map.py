"""A map of photos by their features, and the photos out of place.

Distances on the map are those of the two directions with the largest variance
(PCA). Outliers are found by the similarity of all features.
"""

from dataclasses import dataclass

import numpy as np

NEIGHBOURS = 5  # whose mean similarity is that of a photo and a class
FEWEST = 8  # photos of a class, to say what is usual in it


@dataclass(frozen=True)
class FeatureMap:
    """Positions of photos, and their share of the variance."""

    positions: np.ndarray  # (photos, 2), from 0 to 1
    explained: float  # percent


@dataclass(frozen=True)
class Outlier:
    """A photo and the class that it is most similar to."""

    index: int
    nearest: int
    own: float  # similarity to the other photos of its class
    other: float  # to photos of the class `nearest`


def draw_map(vectors: np.ndarray) -> FeatureMap:
    """Project features on their two principal components."""
    centred = (vectors - vectors.mean(0)).astype(np.float64)
    # The smaller one of the two matrices has the same eigenvalues.
    is_tall = len(centred) > centred.shape[1]
    product = centred.T @ centred if is_tall else centred @ centred.T
    values, axes = np.linalg.eigh(product)
    if is_tall:
        points = centred @ axes[:, :-3:-1]
    else:
        points = axes[:, :-3:-1] * np.sqrt(np.maximum(values[:-3:-1], 0))
    points = np.pad(points, ((0, 0), (0, max(0, 2 - points.shape[1]))))
    # The sign of an axis is arbitrary: the farthest point is at its end.
    farthest = np.abs(points).argmax(0)
    points = points * np.where(points[farthest, [0, 1]] < 0, -1, 1)
    low = points.min(0)
    span = np.maximum(points.max(0) - low, 1e-12)
    total = max(values.sum(), 1e-12)
    share = 100 * float(values[-2:].sum() / total)
    return FeatureMap((points - low) / span, min(100.0, max(0.0, share)))


def similarity_to_classes(
    vectors: np.ndarray, labels: np.ndarray, classes: int
) -> np.ndarray:
    """Return the similarity (photos, classes), NaN where a class is empty.

    It is the mean over the most similar photos of the class, without the
    photo itself.
    """
    similar = vectors @ vectors.T
    np.fill_diagonal(similar, -2)
    table = np.full((len(vectors), classes), np.nan, np.float32)
    for label in range(classes):
        members = np.flatnonzero(labels == label)
        if not len(members):
            continue
        best = -np.sort(-similar[:, members], axis=1)[:, :NEIGHBOURS]
        table[:, label] = best.mean(1)
        # The photo itself is the last one in its row.
        rest = best[members, : len(members) - 1]
        table[members, label] = rest.mean(1) if rest.shape[1] else np.nan
    return table


def find_outliers(
    vectors: np.ndarray, labels: np.ndarray, classes: int
) -> tuple[list[Outlier], list[Outlier]]:
    """Return photos closer to another class, and photos unlike their class.

    The most conspicuous ones come first.
    """
    table = similarity_to_classes(vectors, labels, classes)
    rows = np.arange(len(labels))
    own = table[rows, labels]
    others = table.copy()
    others[rows, labels] = np.nan
    others = np.where(np.isnan(others), -2, others)
    nearest, other = others.argmax(1), others.max(1)
    known = ~np.isnan(own)
    closer = np.flatnonzero(known & (other > own))
    closer = closer[np.argsort((own - other)[closer], kind='stable')]
    gaps = np.zeros(len(labels))
    for label in range(classes):
        members = np.flatnonzero(known & (labels == label))
        if len(members) >= FEWEST:
            usual = np.median(own[members])
            spread = np.median(np.abs(own[members] - usual))
            gaps[members] = (own[members] - usual) / max(spread, 1e-6)
    # Four times the median deviation.
    unlike = np.flatnonzero((gaps < -4) & ~np.isin(rows, closer))
    unlike = unlike[np.argsort(gaps[unlike], kind='stable')]
    return tuple(  # type: ignore[return-value]  # of two
        [
            Outlier(int(i), int(nearest[i]), float(own[i]), float(other[i]))
            for i in indices
        ]
        for indices in (closer, unlike)
    )
