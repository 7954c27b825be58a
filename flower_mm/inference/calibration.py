"""What best.pth knows about its probabilities, from validation photos.

A temperature that calibrates them, and, for up to MOST_PHOTOS validation
photos, the label, the confidence, and the probability of the classes that
rank before the label. From these follow sets of classes that contain the true
one for a given share of photos (split conformal prediction), and the
confidence above which a given share of predictions is right.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flower_mm.errors import UserError, printable
from flower_mm.inference.temperature import (
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    rescaled,
)

KEY = 'calibration'  # in the metadata of best.pth
MOST_PHOTOS = 5_000
STEPS = 20  # thresholds that are tried
DIGITS = 7  # of the stored probabilities
# What reading values of another form raises.
MALFORMED = (
    TypeError,
    ValueError,
    KeyError,
    AttributeError,
    OverflowError,
)
TRAIN_AGAIN = 'Train again with this version: best.pth then has what is needed'


@dataclass(frozen=True)
class WorkingPoint:
    """The confidence above which predictions are used without a person."""

    threshold: float
    photos: int  # of the validation, with at least this confidence
    right: int  # of them
    total: int  # validation photos
    at_least: float  # share of further photos, with 95 % confidence


@dataclass(frozen=True)
class Calibration:
    """The figures in best.pth; empty for files without them."""

    temperature: float | None = None
    labels: np.ndarray = field(default_factory=lambda: np.empty(0, int))
    confidence: np.ndarray = field(default_factory=lambda: np.empty(0))
    outranking: np.ndarray = field(default_factory=lambda: np.empty(0))
    # Empty for files of earlier versions.
    predicted: np.ndarray = field(default_factory=lambda: np.empty(0, int))
    precision: float | None = None  # chosen by `flower-mm set`

    @classmethod
    def of(cls, values: dict) -> 'Calibration':
        """From the values of `measure`, and a temperature if any."""
        return cls(
            _number(values.get('temperature')),
            np.array(values['labels'], dtype=int),
            np.array(values['confidence'], dtype=float),
            np.array(values['outranking'], dtype=float),
            np.array(values.get('predicted', []), dtype=int),
            _number(values.get('precision')),
        )

    def calibrated(self, scores: np.ndarray) -> np.ndarray:
        """Return the probabilities (photos, classes) at the temperature."""
        if self.temperature is None:
            return scores
        return rescaled(scores, self.temperature).astype(np.float32)

    def mass_limit(self, coverage: float, label: int | None = None) -> float:
        """The limit of `outranking` for a class to belong to the set.

        The ceil((n + 1) x coverage)-th smallest value of n validation photos:
        a further photo of the same kind is at most there with probability
        `coverage` or more.

        Args:
            coverage: The share of photos whose set contains the true class.
            label: Only photos of this class, so that the share holds for it.
        """
        chosen = slice(None) if label is None else self.labels == label
        values = np.sort(self.outranking[chosen])
        # Rounding must not turn 19.0 into 19.000000000000004.
        place = math.ceil((len(values) + 1) * coverage - 1e-9)
        if place > len(values):
            needed = math.ceil(coverage / (1 - coverage) - 1e-9)
            of_class = '' if label is None else f' of class {label}'
            raise UserError(
                f'too few validation photos{of_class} for a coverage of '
                f'{coverage:g}: expected at least {needed}, got {len(values)}'
                + (f'.\n{TRAIN_AGAIN}' if not len(self.labels) else '')
            )
        return float(values[place - 1])

    def working_point(self, precision: float) -> WorkingPoint:
        """The lowest confidence above which `precision` of photos is right.

        One of STEPS thresholds, each of which leaves another twentieth of the
        photos above it. The lower bound holds for all of them at once, so
        that choosing one by the same photos does not break it.
        """
        if not len(self.confidence):
            raise UserError(
                'best.pth has no confidences of validation photos.\n'
                f'{TRAIN_AGAIN}'
            )
        order = np.argsort(-self.confidence, kind='stable')
        confidence = self.confidence[order]
        right = (self.outranking[order] == 0).cumsum()
        photos = np.arange(1, len(order) + 1)
        steps = np.ceil(np.arange(1, STEPS + 1) * len(order) / STEPS) - 1
        # Photos of equal confidence are on the same side.
        places = np.flatnonzero(np.diff(confidence, append=-1.0))
        ends = places[np.searchsorted(places, steps.astype(int))]
        enough = ends[right[ends] >= precision * photos[ends] - 1e-9]
        if not len(enough):
            best = (right[ends] / photos[ends]).max()
            raise UserError(
                f'no confidence gives a precision of {precision:g} on the '
                f'{len(order)} validation photos: the best is {best:.4f}'
            )
        last = int(enough[-1])
        return WorkingPoint(
            float(confidence[last]),
            last + 1,
            int(right[last]),
            len(order),
            lower_bound(int(right[last]), last + 1, 0.05 / STEPS),
        )


def measure(labels: np.ndarray, scores: np.ndarray) -> dict[str, list]:
    """The values of validation photos that `Calibration` keeps, for best.pth.

    Of more than MOST_PHOTOS photos, a part at equal distances.
    """
    step = math.ceil(len(labels) / MOST_PHOTOS)
    labels, scores = labels[::step], scores[::step].astype(float)
    order, before = _ranked(scores)
    mass = before[order == labels[:, None]]
    unit = 10.0**DIGITS
    return {
        'labels': labels.tolist(),
        'confidence': (np.floor(scores.max(axis=1) * unit) / unit).tolist(),
        # A limit never excludes the photo that it comes from.
        'outranking': (np.ceil(mass * unit) / unit).tolist(),
        'predicted': order[:, 0].tolist(),
    }


def set_of_classes(scores: np.ndarray, limits: np.ndarray) -> list[int]:
    """The classes of a photo whose `outranking` is within their limits.

    The most probable class always belongs to it; the most probable ones come
    first.
    """
    (order,), (before,) = _ranked(scores[None].astype(float))
    return order[before <= limits[order]].tolist()


def _ranked(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The classes from the most probable one on, and the sums before them."""
    order = np.argsort(-scores, axis=1, kind='stable')
    sums = np.take_along_axis(scores, order, axis=1).cumsum(axis=1)
    return order, np.hstack([np.zeros((len(scores), 1)), sums[:, :-1]])


def calibration_of(meta: dict, classes: int, file: object) -> Calibration:
    """Read the figures of a best.pth, which may come from anyone.

    Args:
        meta: Its metadata.
        classes: Their number.
        file: Its name, for errors.
    """
    values = meta.get(KEY)
    if values is None:
        return Calibration()
    try:
        found = Calibration.of(values)
        labels, temperature = found.labels, found.temperature
        shares = np.concatenate([found.confidence, found.outranking])
        is_valid = (
            labels.shape == found.confidence.shape == found.outranking.shape
            and labels.ndim == 1
            and len(labels) <= MOST_PHOTOS
            and found.predicted.shape in (labels.shape, (0,))
            and all(
                bool(((indices >= 0) & (indices < classes)).all())
                for indices in (labels, found.predicted)
            )
            # Sums of rounded probabilities.
            and bool(((shares >= 0) & (shares <= 1.001)).all())
            and (found.precision is None or 0 < found.precision < 1)
            and (
                temperature is None
                or MIN_TEMPERATURE <= temperature <= MAX_TEMPERATURE
            )
        )
    except MALFORMED as error:
        raise UserError(
            printable(f'invalid {KEY} in {file}: {error!r}')
        ) from error
    if not is_valid:
        raise UserError(
            f'invalid {KEY} in {file}: expected values of up to {MOST_PHOTOS} '
            'photos, between 0 and 1'
        )
    return found


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def lower_bound(right: int, photos: int, risk: float = 0.05) -> float:
    """The share that is exceeded but for this risk (Clopper-Pearson)."""
    if right == 0:
        return 0.0
    count = np.arange(right, photos + 1)
    logs = np.array(
        [
            math.lgamma(photos + 1)
            - math.lgamma(k + 1)
            - math.lgamma(photos - k + 1)
            for k in count
        ]
    )
    low, high = 0.0, right / photos
    while high - low > 1e-6:
        share = (low + high) / 2
        powers = count * math.log(share) + (photos - count) * math.log1p(
            -share
        )
        if np.exp(logs + powers).sum() < risk:
            low = share
        else:
            high = share
    return low
