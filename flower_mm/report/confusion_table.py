"""The confusion matrix of the page: which classes, and photos of each cell."""

from collections.abc import Iterator
from math import sqrt

import numpy as np

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


def photos_of_cells(found: Predictions) -> dict[tuple[int, int], list[int]]:
    """Places of photos to show for (label, predicted class).

    Errors with the highest confidence and correct photos with the lowest
    come first. Within MAX_PHOTOS each cell gets one before any gets a second.
    """
    count = len(found.classes)
    matrix = np.zeros((count, count), int)
    np.add.at(matrix, (found.labels, found.predicted), 1)
    chosen = set(shown_classes(matrix).tolist())
    confidence = found.scores.max(axis=1)
    order = np.argsort(np.where(found.correct, confidence, -confidence))
    order = order[np.argsort(found.correct[order], kind='stable')]
    waiting: dict[tuple[int, int], list[int]] = {}
    for i in order.tolist():
        cell = int(found.labels[i]), int(found.predicted[i])
        if chosen.issuperset(cell):
            waiting.setdefault(cell, []).append(i)
    cells: dict[tuple[int, int], list[int]] = {}
    for cell, i in _turns(waiting):
        if sum(map(len, cells.values())) == MAX_PHOTOS:
            break
        cells.setdefault(cell, []).append(i)
    return cells


def _turns(
    waiting: dict[tuple[int, int], list[int]],
) -> Iterator[tuple[tuple[int, int], int]]:
    for turn in range(max(PHOTOS_PER_ERROR, PHOTOS_PER_CORRECT)):
        for cell, photos in waiting.items():
            is_correct = cell[0] == cell[1]
            limit = PHOTOS_PER_CORRECT if is_correct else PHOTOS_PER_ERROR
            if turn < min(len(photos), limit):
                yield cell, photos[turn]


def rows_of_cells(found: Predictions) -> dict[tuple[int, int], list[dict]]:
    """The photos of each cell with their names and confidences."""
    names = short_names(found.photos)
    return {
        cell: [
            {
                'photo': found.photos[i],
                'name': names[i],
                'confidence': float(100 * found.scores[i].max()),
            }
            for i in places
        ]
        for cell, places in photos_of_cells(found).items()
    }


def confusion_table(counts: list[list[int]], classes: list[str]) -> dict:
    """The matrix as rows of cells with counts, colours and descriptions."""
    matrix = np.array(counts)
    chosen = shown_classes(matrix).tolist()
    return {
        'classes': [classes[i] for i in chosen],
        'is_sorted': len(classes) > MANY_CLASSES,
        'left_out': len(classes) - len(chosen),
        'rows': [
            {
                'class': classes[i],
                'cells': [_cell(matrix[i], i, j, classes) for j in chosen],
            }
            for i in chosen
        ],
    }


def _cell(row: np.ndarray, i: int, j: int, classes: list[str]) -> dict:
    count, photos = int(row[j]), int(row.sum())
    share = count / max(1, photos)
    # The square root makes few errors visible; text stays readable on it.
    strength = 0.15 + 0.4 * share if i == j else 0.15 + 0.55 * sqrt(share)
    what = 'correct' if i == j else f'predicted as {classes[j]}'
    return {
        'id': f'cell-{i}-{j}',
        'count': count,
        'kind': 'right' if i == j else 'wrong',
        'strength': f'{strength:.2f}',
        'text': f'{classes[i]}, {what}: {count} of {photos}',
    }
