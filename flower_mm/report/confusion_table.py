"""The confusion matrix of the page: which classes, and photos of each cell."""

from collections import Counter
from math import sqrt

import numpy as np

from flower_mm.report.metrics import confusion_matrix
from flower_mm.report.paired_tests import short_names
from flower_mm.report.predictions import Predictions

MANY_CLASSES = 40  # from more on, the classes with most errors come first
MAX_CLASSES = 60  # in the matrix
PHOTOS_PER_ERROR, PHOTOS_PER_CORRECT = 8, 3  # per cell
MAX_PHOTOS = 240  # of all cells


def shown_classes(matrix: np.ndarray) -> np.ndarray:
    """The classes in the matrix; of many those with most errors first."""
    count = len(matrix)
    if count <= MANY_CLASSES:
        return np.arange(count)
    errors = matrix.sum(0) + matrix.sum(1) - 2 * matrix.diagonal()
    return np.argsort(-errors, kind='stable')[:MAX_CLASSES]


def photos_of_cells(
    predictions: Predictions,
) -> dict[tuple[int, int], list[int]]:
    """Indices of photos to show for (label, predicted class).

    Errors with the highest confidence and correct photos with the lowest
    come first. Within MAX_PHOTOS each cell gets one before any gets a second.
    """
    labels, predicted = predictions.labels, predictions.predicted
    matrix = confusion_matrix(labels, predicted, len(predictions.classes))
    chosen = set(shown_classes(matrix).tolist())
    confidence = predictions.scores.max(axis=1)
    correct = predictions.correct
    order = np.argsort(np.where(correct, confidence, -confidence))
    order = order[np.argsort(correct[order], kind='stable')]
    counts: Counter[tuple[int, int]] = Counter()
    candidates = []
    for i in order.tolist():
        cell = int(labels[i]), int(predicted[i])
        limit = PHOTOS_PER_CORRECT if correct[i] else PHOTOS_PER_ERROR
        if chosen.issuperset(cell) and counts[cell] < limit:
            candidates.append((counts[cell], cell, i))
            counts[cell] += 1
    candidates.sort(key=lambda candidate: candidate[0])
    cells: dict[tuple[int, int], list[int]] = {}
    for _, cell, i in candidates[:MAX_PHOTOS]:
        cells.setdefault(cell, []).append(i)
    return cells


def rows_of_cells(
    predictions: Predictions,
) -> dict[tuple[int, int], list[dict]]:
    """The photos of each cell with their names and confidences."""
    names = short_names(predictions.photos)
    return {
        cell: [
            {
                'photo': predictions.photos[i],
                'name': names[i],
                'confidence': float(100 * predictions.scores[i].max()),
            }
            for i in photos
        ]
        for cell, photos in photos_of_cells(predictions).items()
    }


def confusion_table(counts: list[list[int]], classes: list[str]) -> dict:
    """The matrix as rows of cells with their counts and colours."""
    matrix = np.array(counts)
    chosen = shown_classes(matrix).tolist()
    return {
        'classes': [classes[i] for i in chosen],
        'is_sorted': len(classes) > MANY_CLASSES,
        'hidden_classes': len(classes) - len(chosen),
        'rows': [
            {
                'class': classes[i],
                'photos': int(matrix[i].sum()),
                'cells': [_cell(matrix[i], i, j, classes) for j in chosen],
            }
            for i in chosen
        ],
    }


def _cell(row: np.ndarray, i: int, j: int, classes: list[str]) -> dict:
    share = row[j] / max(1, row.sum())
    # The square root makes few errors visible; text stays readable on it.
    strength = 0.15 + 0.4 * share if i == j else 0.15 + 0.55 * sqrt(share)
    return {
        'id': f'cell-{i}-{j}',
        'count': int(row[j]),
        'predicted': classes[j],
        'is_correct': i == j,
        'strength': f'{strength:.2f}',
    }
