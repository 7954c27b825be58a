"""Photos whose label is probably wrong, from what a model says of them.

Confident learning (Northcutt, Jiang and Chuang, 2021): a photo is confidently
of a class where its probability reaches the mean that the photos labelled so
have. One that is confidently of another class than its label says is a
suspect. The thresholds make up for a model that is surer of some classes.

The predictions have to be of a model that did not learn from these labels:
of val photos, or out-of-fold.
"""

from dataclasses import dataclass

import numpy as np

from flower_mm.report.predictions import Predictions


@dataclass(frozen=True)
class Suspect:
    index: int  # of the photo in the predictions
    given: int  # the class that its label says
    suggested: int
    sureness: float  # p(suggested) - p(given), from 0 to 1


def suspects(predictions: Predictions) -> list[Suspect]:
    """The suspects, the most probable first."""
    labels, scores = predictions.labels, predictions.scores
    rows = np.arange(len(labels))
    own = scores[rows, labels]
    counts = np.bincount(labels, minlength=scores.shape[1])
    sums = np.bincount(labels, weights=own, minlength=scores.shape[1])
    # A class that no photo is labelled with is suggested for none.
    typical = np.where(counts, sums / np.maximum(counts, 1), np.inf)
    confident = np.where(scores >= typical, scores, -1.0)
    suggested = confident.argmax(axis=1)
    margins = scores[rows, suggested] - own
    # Below its threshold a label may still have the highest probability.
    wrong = (confident[rows, suggested] >= 0) & (margins > 0)
    found = np.flatnonzero(wrong)
    return [
        Suspect(int(i), int(labels[i]), int(suggested[i]), float(margins[i]))
        for i in found[np.argsort(-margins[found], kind='stable')]
    ]
