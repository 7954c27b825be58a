"""Possible label errors, by confident learning.

Northcutt, Jiang and Chuang, 2021: a photo confidently belongs to a class if
its probability reaches the mean over the photos with that label. A photo that
confidently belongs to another class than its label is a possible label error.
These thresholds per class make up for classes with higher confidence.

The model must not have been trained on these photos: val, test or out-of-fold
predictions.
"""

from dataclasses import dataclass

import numpy as np

from flower_mm.report.predictions import Predictions


@dataclass(frozen=True)
class LabelError:
    """A photo whose label is possibly wrong."""

    index: int  # of the photo in the predictions
    given: int  # the class of the label
    suggested: int
    margin: float  # p(suggested) - p(given), from 0 to 1


def find_label_errors(predictions: Predictions) -> list[LabelError]:
    """The possible label errors, the most likely first."""
    labels, scores = predictions.labels, predictions.scores
    rows = np.arange(len(labels))
    own = scores[rows, labels]
    counts = np.bincount(labels, minlength=scores.shape[1])
    sums = np.bincount(labels, weights=own, minlength=scores.shape[1])
    # A class without photos is never suggested.
    thresholds = np.where(counts, sums / np.maximum(counts, 1), np.inf)
    confident = np.where(scores >= thresholds, scores, -1.0)
    suggested = confident.argmax(axis=1)
    margins = scores[rows, suggested] - own
    # The label itself may have the highest probability below its threshold.
    is_error = (confident[rows, suggested] >= 0) & (margins > 0)
    errors = np.flatnonzero(is_error)
    return [
        LabelError(
            int(i), int(labels[i]), int(suggested[i]), float(margins[i])
        )
        for i in errors[np.argsort(-margins[errors], kind='stable')]
    ]
