"""How unlike the training photos a photo is, to answer "none of these".

best.pth keeps the features of up to MOST_PHOTOS training photos. A photo is
unlike them if its features are far from the NEAREST of them, or if the model
has no evidence for any class (the energy, minus log-sum-exp of the logits).
Both are in standard deviations of the validation photos, and the larger one
counts: the first finds what is no flower at all, the second flowers of other
classes. `benchmarks.unknown` compares this with other measures.
"""

import base64
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from flower_mm.errors import UserError, printable
from flower_mm.inference.calibration import MALFORMED

KEY = 'known_photos'  # in the metadata of best.pth
MOST_PHOTOS = 1000
MOST_BYTES = 1_200_000  # 1.6 MB as text
NEAREST = 5
PASS = 0.95  # of the validation photos are not unknown
FEWEST = 19  # validation photos, for the share above
LARGEST = 1e9  # number in a file; beyond, infinity minus itself is NaN


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation over the validation photos."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, values: np.ndarray) -> 'Spread':
        return cls(float(values.mean()), max(float(values.std()), 1e-6))

    def apply(self, values: np.ndarray) -> np.ndarray:
        return (values - self.mean) / self.deviation


@dataclass(frozen=True)
class KnownPhotos:
    """The training photos in best.pth.

    Attributes:
        table: Their features (photos, features) as int8, of any length.
        distance: Of the features to the nearest vectors.
        energy: Of the logits.
        threshold: A photo that is more unlike is unknown.
        validated: The validation photos that it comes from.
    """

    table: np.ndarray
    distance: Spread
    energy: Spread
    threshold: float
    validated: int

    @cached_property
    def vectors(self) -> np.ndarray:
        """The features at length 1."""
        return _unit(self.table)

    def unlikeness(
        self, features: np.ndarray, logits: np.ndarray
    ) -> np.ndarray:
        """How unlike the training photos each photo is."""
        return np.maximum(
            self.distance.apply(_distance(self.vectors, features)),
            self.energy.apply(energy_of(logits)),
        ).astype(np.float32)


def most_photos(features: int) -> int:
    """The number of training photos that best.pth has space for."""
    return max(1, min(MOST_PHOTOS, MOST_BYTES // features))


def remember(
    known: np.ndarray, features: np.ndarray, logits: np.ndarray
) -> dict:
    """The values for best.pth.

    Args:
        known: Features of training photos, at most `most_photos`.
        features: Of validation photos, at least FEWEST.
        logits: Of the validation photos.
    """
    table = _quantised(known)
    distance, energy = _distance(_unit(table), features), energy_of(logits)
    found = KnownPhotos(table, Spread.of(distance), Spread.of(energy), 0.0, 0)
    scores = np.sort(found.unlikeness(features, logits))
    # So that a further photo of the same kind passes with this probability.
    place = math.ceil((len(scores) + 1) * PASS - 1e-9)
    return {
        'vectors': base64.b64encode(table.tobytes()).decode(),
        'features': table.shape[1],
        'distance': [found.distance.mean, found.distance.deviation],
        'energy': [found.energy.mean, found.energy.deviation],
        'threshold': float(scores[place - 1]),
        'photos': len(scores),
    }


def known_photos_of(
    meta: dict, features: int, file: object
) -> KnownPhotos | None:
    """Read the values of a best.pth, which may come from anyone.

    Args:
        meta: Its metadata.
        features: The number of inputs of the model's last layer.
        file: Its name, for errors.
    """
    values = meta.get(KEY)
    if values is None:
        return None
    try:
        content = base64.b64decode(values['vectors'], validate=True)
        width = values['features']
        is_width = type(width) is int and width == features
        if not 0 < len(content) <= MOST_BYTES or not is_width:
            raise ValueError(
                f'expected {features} features of each photo, got {width}'
            )
        table = np.frombuffer(content, np.int8).reshape(-1, features)
        distance, energy = (
            Spread(*map(float, values[key])) for key in ('distance', 'energy')
        )
        threshold = float(values['threshold'])
        validated = int(values['photos'])
        numbers = [distance.mean, energy.mean, threshold]
        positive = [distance.deviation, energy.deviation]
        if not np.less(np.abs(numbers + positive), LARGEST).all():
            raise ValueError(f'expected numbers below {LARGEST:g}')
        if min(positive) < 1 / LARGEST or validated <= 0:
            raise ValueError('expected positive deviations and photos')
    except MALFORMED as error:
        raise UserError(
            printable(f'invalid {KEY} in {file}: {error!r}', 300)
        ) from error
    return KnownPhotos(table, distance, energy, threshold, validated)


def _quantised(features: np.ndarray) -> np.ndarray:
    """Round to whole numbers up to 127, the largest one of each photo."""
    largest = np.abs(features).max(axis=1, keepdims=True)
    return np.round(127 * features / np.maximum(largest, 1e-12)).astype(
        np.int8
    )


def _unit(features: np.ndarray) -> np.ndarray:
    features = features.astype(np.float32)
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.maximum(lengths, 1e-12)


def _distance(vectors: np.ndarray, features: np.ndarray) -> np.ndarray:
    """One minus the mean cosine similarity of the nearest vectors."""
    similar = _unit(features) @ vectors.T
    count = min(NEAREST, similar.shape[1])
    nearest = np.partition(similar, -count, axis=1)[:, -count:]
    return 1 - nearest.mean(axis=1)


def energy_of(logits: np.ndarray) -> np.ndarray:
    largest = logits.max(axis=1, keepdims=True)
    sums = np.exp(logits - largest).sum(axis=1)
    return -(largest[:, 0] + np.log(sums))
