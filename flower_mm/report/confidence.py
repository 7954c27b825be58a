"""Calibration and selective prediction: does the confidence mean anything?

Confidences, accuracies and errors are in percent; temperatures and losses are
plain numbers.
"""

import math

import numpy as np

from flower_mm.report.metrics import FEW, too_few, wilson

BINS = 15  # of equal numbers of photos; fewer for small datasets
PHOTOS_PER_BIN = 20  # at least
SHARES = (5, 10, 20)  # percent of the photos left to a person
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
FEW_PHOTOS = 50  # too few for an estimate of selective prediction


def calibration(labels: np.ndarray, scores: np.ndarray, seed: int) -> dict:
    """Calibration error, and the temperature that reduces it.

    The error after scaling uses two-fold cross-fitting: each half of the
    photos is scaled with the temperature that was fitted on the other half.
    """
    correct = scores.argmax(axis=1) == labels
    confidence = scores.max(axis=1).astype(float)
    chance = _ece_by_chance(confidence, seed)
    found = {
        'bins': reliability(correct, confidence),
        'bins_are': 'equal numbers of photos',
        'mean_confidence': float(100 * confidence.mean()),
        'ece': ece(correct, confidence),
        'ece_by_chance': float(chance.mean()),
        'ece_by_chance_95': float(np.quantile(chance, 0.95)),
        'nll': nll(labels, scores, 1.0),
        'temperature': None,
    }
    at = temperature(labels, scores)
    if why := too_few(int((~correct).sum()), 'wrong') or _beyond(at):
        return found | {'why_no_temperature': why}
    scaled = np.empty_like(scores, dtype=float)
    halves = _halves(correct, seed)
    for fitted, other in (halves, halves[::-1]):
        theirs = temperature(labels[fitted], scores[fitted])
        scaled[other] = rescaled(scores[other], theirs)
    return found | {
        'temperature': at,
        'ece_after': ece(scaled.argmax(axis=1) == labels, scaled.max(axis=1)),
        'nll_after': nll(labels, scaled, 1.0),
        'after_by': 'two-fold cross-fitting',
    }


def _beyond(temperature: float) -> str | None:
    """Why there is no temperature: the search ended at a bound."""
    if MIN_TEMPERATURE * 1.01 < temperature < MAX_TEMPERATURE / 1.01:
        return None
    end = (
        f'{MIN_TEMPERATURE:g} or less'
        if temperature < 1
        else f'{MAX_TEMPERATURE:g} or more'
    )
    return f'the best one is {end}, where the search ends'


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
    correct = mean_of_equals(correct, confidence)
    return [
        {
            'photos': len(part),
            'confidence': float(100 * confidence[part].mean()),
            'accuracy': float(100 * correct[part].mean()),
            'interval': wilson(float(correct[part].sum()), len(part)),
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


def _ece_by_chance(
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
        right = rng.random(len(confidence)) < confidence
        if len(sizes) < len(confidence):  # as `mean_of_equals` does
            shares = np.add.reduceat(right.astype(float), starts) / sizes
            right = np.repeat(shares, sizes)
        gaps[i] = sum(
            abs(right[part].sum() - confidence[part].sum()) for part in parts
        )
    return 100 * gaps / len(confidence)


def _halves(correct: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two halves of the photos with equally many errors."""
    order = np.random.default_rng(seed).permutation(len(correct))
    order = order[np.argsort(correct[order], kind='stable')]
    return order[::2], order[1::2]


def _logs(scores: np.ndarray) -> np.ndarray:
    # A float32 probability may be 0, whose logarithm is infinite.
    return np.log(np.maximum(scores.astype(float), 1e-12))


def rescaled(scores: np.ndarray, at: float) -> np.ndarray:
    """The scores at another temperature: softmax of log p / T."""
    return _softmax(_logs(scores) / at)


def _softmax(logs: np.ndarray) -> np.ndarray:
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def nll(labels: np.ndarray, scores: np.ndarray, at: float) -> float:
    """Mean negative log-likelihood of the labels at a temperature."""
    own = rescaled(scores, at)[np.arange(len(labels)), labels]
    return float(-_logs(own).mean())


def temperature(labels: np.ndarray, scores: np.ndarray) -> float:
    """The temperature with the lowest negative log-likelihood.

    The loss is convex in 1/T, so that bisection of its slope finds it.
    """
    logs = _logs(scores)
    own = logs[np.arange(len(labels)), labels].mean()
    low, high = math.log(MIN_TEMPERATURE), math.log(MAX_TEMPERATURE)
    while high - low > 1e-3:
        middle = (low + high) / 2
        powers = _softmax(logs / math.exp(middle))
        if np.vdot(powers, logs) / len(logs) > own:  # overconfident
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)


def selective_prediction(labels: np.ndarray, scores: np.ndarray) -> dict:
    """Accuracy on the rest if a person classifies the least confident."""
    correct = scores.argmax(axis=1) == labels
    confidence = scores.max(axis=1).astype(float)
    order = np.argsort(confidence, kind='stable')
    photos = len(order)
    even = mean_of_equals(correct, confidence)[order]
    # [k]: accuracy on the rest without the first k photos
    rest = even[::-1].cumsum()[::-1] / np.arange(photos, 0, -1)
    table = []
    for share in SHARES:
        count = min(round(photos * share / 100), photos - 1)
        if not count:
            continue
        table.append(
            {
                'share': share,
                'photos': count,
                'wrong_among_them': _short(count - even[:count].sum()),
                'below_confidence': float(100 * confidence[order[count]]),
                'top1_of_the_rest': float(100 * rest[count]),
            }
        )
    shown = np.unique(np.linspace(0, photos - 1, 101).astype(int))
    return {
        'says_little': photos < FEW_PHOTOS or int((~correct).sum()) < FEW,
        'table': table,
        'curve': [
            [float(100 * k / photos), float(100 * rest[k])] for k in shown
        ],
    }


def _short(count: float) -> float:
    """An int, unless equal confidences lead to a fraction."""
    count = round(float(count), 1)
    return int(count) if count.is_integer() else count


def most_wrong(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The errors, those with the highest confidence first."""
    predicted = scores.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    return wrong[np.argsort(-scores[wrong].max(axis=1), kind='stable')]
