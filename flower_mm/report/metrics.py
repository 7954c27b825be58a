"""Accuracy, F1 and their intervals, as plain values for report.json.

Accuracies and shares are in percent, as in run.json and test.json.
"""

import math
from typing import NamedTuple

import numpy as np

RESAMPLES = 10_000
AT_A_TIME = 4_000_000  # resampled cells in memory
FEW = 5  # correct photos or errors; fewer give no interval
Z = 1.959964  # the normal distribution's 97.5 %


def confusion(
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


class Units(NamedTuple):
    """Groups of near-duplicates; groups with equal cells are counted."""

    cells: np.ndarray  # (kinds, non-zero cells of the matrix) photos
    times: np.ndarray  # (kinds,) number of such groups

    @property
    def sizes(self) -> np.ndarray:
        return self.cells.sum(axis=1)


def units_of(
    labels: np.ndarray, predicted: np.ndarray, same: np.ndarray, count: int
) -> Units:
    groups = np.unique(same, return_inverse=True)[1]
    cells, columns = np.unique(labels * count + predicted, return_inverse=True)
    found = np.zeros((groups.max() + 1, len(cells)), int)
    np.add.at(found, (groups, columns), 1)
    return Units(*np.unique(found, axis=0, return_counts=True))


def result(
    matrix: np.ndarray,
    classes: list[str],
    seed: int,
    units: Units | None = None,
) -> dict:
    """Top-1, macro F1 and balanced accuracy, with 95 % intervals.

    The averages are over the classes that have photos. Top-1 has Wilson's
    interval: with one error, a bootstrap reaches 100 %, because more than a
    third of the resamples lack that photo. The averages have a bootstrap
    interval if it stays away from 0 and 100 %: with FEW errors exp(-5) =
    0.7 % of the resamples have none, less than the 2.5 % that are cut off.

    With near-duplicates, groups are resampled, and Wilson's interval is for
    the effective number of photos n^2 / sum(m^2) of groups of m photos
    (Kish), for a model that is correct on all photos of a group or on none.
    """
    photos, correct = int(matrix.sum()), int(matrix.trace())
    rows, columns = np.nonzero(matrix)
    if units is None:
        different = worth = photos
        right, wrong = correct, photos - correct
    else:
        different = int(units.times.sum())
        worth = photos**2 / float(units.times @ units.sizes**2)
        right, wrong = (
            int(units.times[units.cells[:, kind].any(axis=1)].sum())
            for kind in (rows == columns, rows != columns)
        )
    top1, balanced, macro = _resampled(matrix, units, seed)
    largest = int(matrix.sum(axis=1).argmax())
    kind = '' if different == photos else 'different '
    why = too_few(wrong, 'wrong', kind) or too_few(right, 'right', kind)
    return {
        'photos': photos,
        'different': different,
        'correct': correct,
        'top1': 100 * correct / photos,
        'top1_interval': wilson(correct / photos * worth, worth)
        if units
        else wilson(correct, photos),
        'top1_interval_by': 'Wilson',
        'top1_interval_photos': worth,
        'top1_bootstrap': _middle(top1),
        'averages_interval_by': 'bootstrap over photos'
        if different == photos
        else 'bootstrap over groups of equal photos',
        'resamples': RESAMPLES,
        'balanced_accuracy': _balanced(matrix),
        'balanced_accuracy_interval': None if why else _middle(balanced),
        'macro_f1': _macro_f1(matrix),
        'macro_f1_interval': None if why else _middle(macro),
        'why_no_averages_interval': why,
        'always_largest': {
            'class': classes[largest],
            'top1': 100 * int(matrix[largest].sum()) / photos,
        },
    }


def too_few(count: int, what: str, kind: str = '') -> str | None:
    """Why an estimate is impossible with so few photos, if it is."""
    if count >= FEW:
        return None
    if not count:
        return f'no photo is {what}'
    be = ' is' if count == 1 else 's are'
    return f'only {count} {kind}photo{be} {what}'


def _resampled(
    matrix: np.ndarray, units: Units | None, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Top-1, balanced accuracy and macro F1 of resampled photos, in percent.

    A photo counts by its cell of the confusion matrix, so that resampling
    photos is one multinomial draw of the cells; a group counts by its cells.
    """
    rng = np.random.default_rng(seed)
    rows, columns = np.nonzero(matrix)
    count = len(matrix)
    times = matrix[rows, columns] if units is None else units.times
    total = int(times.sum())
    step = max(1, AT_A_TIME // max(len(rows), len(times)))
    parts = []
    for start in range(0, RESAMPLES, step):
        now = min(step, RESAMPLES - start)
        drawn = rng.multinomial(total, times / total, now)
        if units is not None:
            drawn = drawn @ units.cells.astype(float)
        right = _summed(drawn, np.where(rows == columns, rows, -1), count)
        support = _summed(drawn, rows, count)
        taken = _summed(drawn, columns, count)
        with np.errstate(invalid='ignore'):
            # The averages of a resample skip classes without photos.
            recall = np.where(support, right / support, np.nan)
            f1 = np.where(support, 2 * right / (support + taken), np.nan)
        parts.append(
            (
                right.sum(axis=1) / drawn.sum(axis=1),
                np.nanmean(recall, axis=1),
                np.nanmean(f1, axis=1),
            )
        )
    top1, balanced, macro = zip(*parts, strict=True)
    return tuple(
        100 * np.concatenate(part) for part in (top1, balanced, macro)
    )


def _summed(drawn: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """Add up the columns of each group; group -1 is omitted."""
    sums = np.zeros((len(drawn), count))
    for group in np.unique(groups[groups >= 0]):
        sums[:, group] = drawn[:, groups == group].sum(axis=1)
    return sums


def _middle(values: np.ndarray) -> list[float]:
    return [float(v) for v in np.quantile(values, (0.025, 0.975))]


def _balanced(matrix: np.ndarray) -> float:
    support = matrix.sum(axis=1)
    here = support > 0
    return float(100 * (matrix.diagonal()[here] / support[here]).mean())


def _macro_f1(matrix: np.ndarray) -> float:
    support, taken = matrix.sum(axis=1), matrix.sum(axis=0)
    here = support > 0
    f1 = 2 * matrix.diagonal()[here] / (support + taken)[here]
    return float(100 * f1.mean())


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
        right = int(matrix[i, i])
        photos, taken = int(matrix[i].sum()), int(matrix[:, i].sum())
        rows.append(
            {
                'class': name,
                'photos': photos,
                'correct': right,
                'predicted': taken,
                'recall': 100 * right / photos if photos else None,
                'recall_interval': wilson(right, photos),
                'precision': 100 * right / taken if taken else None,
                'precision_interval': wilson(right, taken),
                'f1': 200 * right / (photos + taken) if photos else None,
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
                'class': classes[a],
                'taken_for': classes[b],
                'times': int(matrix[a, b]),
                'of': int(matrix[a].sum()),
                'the_other_way': int(matrix[b, a]),
                'of_the_other': int(matrix[b].sum()),
            }
        )
    return pairs
