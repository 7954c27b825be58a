"""Calibration and selective prediction: does the confidence mean anything?

Confidences, accuracies and errors are in percent; temperatures and losses are
plain numbers.
"""

from contextlib import suppress

import numpy as np

from flower_mm.errors import UserError
from flower_mm.inference.calibration import Calibration, measure
from flower_mm.inference.temperature import (
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    best_temperature,
    nll,
    rescaled,
)
from flower_mm.report.metrics import MIN_COUNT, wilson

BINS = 15  # of equal numbers of photos; fewer for small datasets
PHOTOS_PER_BIN = 20  # at least
ABSTENTIONS = (5, 10, 20)  # percent of the photos that are not classified
PRECISIONS = (90, 95, 99)  # percent, of the working points
MIN_PHOTOS = 50  # for a reliable estimate of selective prediction


def calibration(labels: np.ndarray, scores: np.ndarray, seed: int) -> dict:
    """Calibration error, and the temperature that reduces it.

    The error after scaling uses two-fold cross-fitting: each half of the
    photos is scaled with the temperature that was fitted on the other half.
    """
    correct = scores.argmax(axis=1) == labels
    confidence = scores.max(axis=1).astype(float)
    calibrated = _ece_of_calibrated_model(confidence, seed)
    figures = {
        'bins': reliability(correct, confidence),
        'mean_confidence': float(100 * confidence.mean()),
        'ece': ece(correct, confidence),
        'ece_if_calibrated': float(calibrated.mean()),
        'ece_if_calibrated_95': float(np.quantile(calibrated, 0.95)),
        'nll': nll(labels, scores, 1.0),
        'temperature': None,
        'ece_scaled': None,
        'nll_scaled': None,
    }
    best = best_temperature(labels, scores)
    # Close to a bound the best temperature lies beyond it.
    is_inside = MIN_TEMPERATURE * 1.01 < best < MAX_TEMPERATURE / 1.01
    if (~correct).sum() < MIN_COUNT or not is_inside:
        return figures
    scaled = np.empty_like(scores, dtype=float)
    halves = _halves(correct, seed)
    for fitted, other in (halves, halves[::-1]):
        theirs = best_temperature(labels[fitted], scores[fitted])
        scaled[other] = rescaled(scores[other], theirs)
    return figures | {
        'temperature': best,
        'ece_scaled': ece(scaled.argmax(axis=1) == labels, scaled.max(axis=1)),
        'nll_scaled': nll(labels, scaled, 1.0),
    }


def mean_of_equals(correct: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """The accuracy among the photos of equal confidence, for each photo.

    If a limit falls between equal confidences, it is chance which photos are
    on which side; with their mean accuracy the order is irrelevant.
    """
    place, size = np.unique(
        confidence, return_inverse=True, return_counts=True
    )[1:]
    return (np.bincount(place, weights=correct) / size)[place]


def _bins(confidence: np.ndarray) -> list[np.ndarray]:
    """Photos in order of confidence, in bins of equal size."""
    count = min(BINS, max(1, len(confidence) // PHOTOS_PER_BIN))
    return np.array_split(np.argsort(confidence, kind='stable'), count)


def reliability(correct: np.ndarray, confidence: np.ndarray) -> list[dict]:
    """The bins of the reliability diagram."""
    correct = mean_of_equals(correct, confidence)
    return [
        {
            'photos': len(part),
            'confidence': float(100 * confidence[part].mean()),
            'accuracy': float(100 * correct[part].mean()),
            'accuracy_interval': wilson(float(correct[part].sum()), len(part)),
        }
        for part in _bins(confidence)
    ]


def ece(correct: np.ndarray, confidence: np.ndarray) -> float:
    """Expected calibration error, in percent."""
    correct = mean_of_equals(correct, confidence)
    gaps = [
        abs(float(correct[part].sum() - confidence[part].sum()))
        for part in _bins(confidence)
    ]
    return 100 * sum(gaps) / len(correct)


def _ece_of_calibrated_model(
    confidence: np.ndarray, seed: int, times: int = 1000
) -> np.ndarray:
    """The error of a perfectly calibrated model, for simulated labels."""
    rng = np.random.default_rng(seed)
    confidence = np.sort(confidence)
    starts = np.flatnonzero(np.diff(confidence, prepend=-1.0))
    sizes = np.diff(starts, append=len(confidence))
    parts = _bins(confidence)
    gaps = np.zeros(times)
    for i in range(times):
        correct = rng.random(len(confidence)) < confidence
        if len(sizes) < len(confidence):  # as `mean_of_equals` does
            shares = np.add.reduceat(correct.astype(float), starts) / sizes
            correct = np.repeat(shares, sizes)
        gaps[i] = sum(
            abs(correct[part].sum() - confidence[part].sum()) for part in parts
        )
    return 100 * gaps / len(confidence)


def _halves(correct: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two halves of the photos with equally many errors."""
    order = np.random.default_rng(seed).permutation(len(correct))
    order = order[np.argsort(correct[order], kind='stable')]
    return order[::2], order[1::2]


def selective_prediction(labels: np.ndarray, scores: np.ndarray) -> dict:
    """Accuracy on the rest if the model abstains on the least confident."""
    correct = scores.argmax(axis=1) == labels
    confidence = scores.max(axis=1).astype(float)
    order = np.argsort(confidence, kind='stable')
    photos = len(order)
    even = mean_of_equals(correct, confidence)[order]
    # [k]: accuracy on the rest without the first k photos
    rest = even[::-1].cumsum()[::-1] / np.arange(photos, 0, -1)
    counts = {
        percent: min(round(photos * percent / 100), photos - 1)
        for percent in ABSTENTIONS
    }
    shown = np.unique(np.linspace(0, photos - 1, 101).astype(int))
    errors = int((~correct).sum())
    return {
        'is_reliable': photos >= MIN_PHOTOS and errors >= MIN_COUNT,
        'table': [
            {
                'abstention': percent,
                'photos': count,
                # A fraction where equal confidences are divided.
                'errors': round(float(count - even[:count].sum()), 1),
                'confidence_threshold': float(100 * confidence[order[count]]),
                'selective_accuracy': float(100 * rest[count]),
            }
            for percent, count in counts.items()
            if count
        ],
        'curve': [
            [float(100 * k / photos), float(100 * rest[k])] for k in shown
        ],
        'working_points': _working_points(labels, scores),
    }


def _working_points(labels: np.ndarray, scores: np.ndarray) -> list[dict]:
    """For each of PRECISIONS that a threshold reaches on these photos."""
    own = Calibration.of(measure(labels, scores))
    rows = []
    for precision in PRECISIONS:
        with suppress(UserError):  # no threshold reaches it
            point = own.working_point(precision / 100)
            rows.append(
                {
                    'precision': precision,
                    'confidence_threshold': 100 * point.threshold,
                    'photos': point.photos,
                    'correct': point.right,
                    'at_least': 100 * point.at_least,
                }
            )
    return rows


def most_confident_errors(
    labels: np.ndarray, scores: np.ndarray
) -> np.ndarray:
    """The errors, those with the highest confidence first."""
    predicted = scores.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    return wrong[np.argsort(-scores[wrong].max(axis=1), kind='stable')]
