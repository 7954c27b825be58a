"""Accuracy, F1 and their intervals, as plain values for report.json.

Accuracies and shares are in percent, as in run.json and test.json.
"""

import math
from typing import NamedTuple

import numpy as np

RESAMPLES = 10_000
RESAMPLED_CELLS = 4_000_000  # in memory at a time
MIN_COUNT = 5  # correct photos and errors that an estimate needs
Z = 1.959964  # the normal distribution's 97.5 %


def confusion_matrix(
    labels: np.ndarray, predicted: np.ndarray, count: int
) -> np.ndarray:
    """The confusion matrix: rows are labels, columns are predictions."""
    cells = np.bincount(labels * count + predicted, minlength=count**2)
    return cells.reshape(count, count)


def top_k(labels: np.ndarray, scores: np.ndarray, k: int) -> float:
    """The share of photos whose label is among the k highest scores.

    Of equal scores the earlier class comes first, as in argmax.
    """
    own = scores[np.arange(len(labels)), labels, None]
    earlier = np.arange(scores.shape[1]) < labels[:, None]
    before = (scores > own) | ((scores == own) & earlier)
    return float((before.sum(axis=1) < k).mean())


class PhotoGroups(NamedTuple):
    """Groups of near-duplicates; groups with equal cells are counted."""

    cells: np.ndarray  # (kinds, non-zero cells of the matrix) photos
    counts: np.ndarray  # (kinds,) number of such groups

    @property
    def sizes(self) -> np.ndarray:
        return self.cells.sum(axis=1)


def group_photos(
    labels: np.ndarray, predicted: np.ndarray, numbers: np.ndarray, count: int
) -> PhotoGroups:
    """Group the photos that have the same number."""
    groups = np.unique(numbers, return_inverse=True)[1]
    cells, columns = np.unique(labels * count + predicted, return_inverse=True)
    table = np.zeros((groups.max() + 1, len(cells)), int)
    np.add.at(table, (groups, columns), 1)
    return PhotoGroups(*np.unique(table, axis=0, return_counts=True))


def overall(
    matrix: np.ndarray,
    classes: list[str],
    seed: int,
    groups: PhotoGroups | None = None,
) -> dict:
    """Top-1, macro F1 and balanced accuracy, with 95 % intervals.

    The averages are over the classes that have photos. Top-1 has Wilson's
    interval: with one error, a bootstrap reaches 100 %, because more than a
    third of the resamples lack that photo. The averages have a bootstrap
    interval if it stays away from 0 and 100 %: with MIN_COUNT errors exp(-5)
    = 0.7 % of the resamples have none, less than the 2.5 % that are cut off.

    With near-duplicates, groups are resampled, and Wilson's interval is for
    the effective number of photos n^2 / sum(m^2) of groups of m photos
    (Kish), for a model that is correct on all photos of a group or on none.
    """
    photos, correct = int(matrix.sum()), int(matrix.trace())
    rows, columns = np.nonzero(matrix)
    if groups is None:
        unique = photos
        effective: float = photos
        counts = [correct, photos - correct]
        interval = wilson(correct, photos)
    else:
        unique = int(groups.counts.sum())
        effective = photos**2 / float(groups.counts @ groups.sizes**2)
        counts = [
            int(groups.counts[groups.cells[:, cells].any(axis=1)].sum())
            for cells in (rows == columns, rows != columns)
        ]
        interval = wilson(correct / photos * effective, effective)
    balanced_interval = macro_interval = None
    if min(counts) >= MIN_COUNT:
        balanced_interval, macro_interval = _bootstrap(matrix, groups, seed)
    balanced, macro = _averages(
        matrix[None, rows, columns], rows, columns, len(classes)
    )
    largest = int(matrix.sum(axis=1).argmax())
    return {
        'photos': photos,
        'unique_photos': unique,
        'correct': correct,
        'top1': 100 * correct / photos,
        'top1_interval': interval,
        'effective_photos': effective,
        'balanced_accuracy': float(100 * balanced[0]),
        'balanced_accuracy_interval': balanced_interval,
        'macro_f1': float(100 * macro[0]),
        'macro_f1_interval': macro_interval,
        'majority_class': {
            'class': classes[largest],
            'top1': 100 * int(matrix[largest].sum()) / photos,
        },
    }


def _bootstrap(
    matrix: np.ndarray, groups: PhotoGroups | None, seed: int
) -> list[list[float]]:
    """Intervals of balanced accuracy and macro F1, in percent.

    A photo counts by its cell of the confusion matrix, so that resampling
    photos is one multinomial draw of the cells; a group counts by its cells.
    """
    rng = np.random.default_rng(seed)
    rows, columns = np.nonzero(matrix)
    counts = matrix[rows, columns] if groups is None else groups.counts
    total = int(counts.sum())
    step = max(1, RESAMPLED_CELLS // max(len(rows), len(counts)))
    parts = []
    for start in range(0, RESAMPLES, step):
        size = min(step, RESAMPLES - start)
        drawn = rng.multinomial(total, counts / total, size)
        if groups is not None:
            drawn = drawn @ groups.cells.astype(float)
        parts.append(_averages(drawn, rows, columns, len(matrix)))
    return [
        np.quantile(100 * np.concatenate(part), (0.025, 0.975)).tolist()
        for part in zip(*parts, strict=True)
    ]


def _averages(
    cells: np.ndarray, rows: np.ndarray, columns: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean recall and mean F1 over the classes that have photos.

    Args:
        cells: (samples, cells) photos in the non-zero cells of the matrix.
        rows: The row of each cell.
        columns: The column of each cell.
        count: The number of classes.
    """
    correct = _summed(cells, np.where(rows == columns, rows, -1), count)
    support = _summed(cells, rows, count)
    predicted = _summed(cells, columns, count)
    with np.errstate(invalid='ignore'):
        recall = np.where(support, correct / support, np.nan)
        f1 = np.where(support, 2 * correct / (support + predicted), np.nan)
    return np.nanmean(recall, axis=1), np.nanmean(f1, axis=1)


def _summed(cells: np.ndarray, classes: np.ndarray, count: int) -> np.ndarray:
    """The sum over the cells of each class; class -1 is omitted."""
    sums = np.zeros((len(cells), count))
    for number in np.unique(classes[classes >= 0]):
        sums[:, number] = cells[:, classes == number].sum(axis=1)
    return sums


def wilson(correct: float, photos: float) -> list[float] | None:
    """Wilson's 95 % interval of a share, in percent."""
    if not photos:
        return None
    share, z2 = correct / photos, Z * Z / photos
    middle = (share + z2 / 2) / (1 + z2)
    half = (
        Z
        / (1 + z2)
        * math.sqrt(share * (1 - share) / photos + z2 / photos / 4)
    )
    # Exactly 0 and 100 in spite of rounding.
    return [
        100 * (middle - half) if correct else 0.0,
        100 * (middle + half) if correct < photos else 100.0,
    ]


def per_class(matrix: np.ndarray, classes: list[str]) -> list[dict]:
    """Precision, recall and F1 of each class; None without photos."""
    rows = []
    for i, name in enumerate(classes):
        correct = int(matrix[i, i])
        photos, predicted = int(matrix[i].sum()), int(matrix[:, i].sum())
        rows.append(
            {
                'class': name,
                'photos': photos,
                'correct': correct,
                'predicted': predicted,
                'recall': 100 * correct / photos if photos else None,
                'recall_interval': wilson(correct, photos),
                'precision': 100 * correct / predicted if predicted else None,
                'precision_interval': wilson(correct, predicted),
                'f1': 200 * correct / (photos + predicted) if photos else None,
            }
        )
    return rows


def confused_pairs(matrix: np.ndarray, classes: list[str]) -> list[dict]:
    """Pairs of classes, the most confused first."""
    both = np.triu(matrix + matrix.T, k=1)
    first, second = np.nonzero(both)
    order = np.argsort(-both[first, second], kind='stable')
    pairs = []
    for a, b in zip(first[order], second[order], strict=True):
        if matrix[b, a] > matrix[a, b]:
            a, b = b, a
        pairs.append(
            {
                'label': classes[a],
                'predicted': classes[b],
                'count': int(matrix[a, b]),
                'photos': int(matrix[a].sum()),
                'reverse_count': int(matrix[b, a]),
                'reverse_photos': int(matrix[b].sum()),
            }
        )
    return pairs
