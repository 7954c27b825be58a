"""The training photos that are nearest to misclassified ones.

The report may not become slow: of large datasets a part of the training
photos is compared. `flower-mm similar` compares all.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from flower_mm.errors import UserError, is_out_of_memory
from flower_mm.report.evaluate import Evaluation
from flower_mm.report.evaluated_photos import LabelledPhotos, photos_of_split

SECONDS = 4.0  # to compute features that are not cached
FEWEST, MOST = 200, 2000  # training photos
COUNT = 4  # of each photo
BATCH_SIZE = 16  # after each batch, the time is checked
SEED = 0


class Neighbour(NamedTuple):
    """A training photo and its cosine similarity."""

    photo: str
    label: str
    similarity: float


@dataclass(frozen=True)
class NearestPhotos:
    """The neighbours of photos, and among how many they were searched."""

    of_photo: dict[str, list[Neighbour]] = field(default_factory=dict)
    searched: int = 0
    trained: int = 0  # all training photos


def nearest_photos(
    evaluation: Evaluation, root: Path | None, rows: list[dict]
) -> NearestPhotos:
    """Search the nearest training photos of the classes in these rows.

    Args:
        evaluation: Predictions with the model that made them.
        root: The dataset.
        rows: Of `errors` in report.json.
    """
    origin = evaluation.origin
    if not rows or not origin or len(evaluation.predictors) != 1:
        return NearestPhotos()
    # Photos of the folds have been trained on by other models.
    if origin['folds'] or origin['dataset_changed']:
        return NearestPhotos()
    try:
        return _search(evaluation, photos_of_split(root, 'train'), rows)
    except Exception as error:
        # The rest of the report is worth more.
        if isinstance(error, UserError | OSError) or is_out_of_memory(error):
            return NearestPhotos()
        raise


def _search(
    evaluation: Evaluation, trained: LabelledPhotos, rows: list[dict]
) -> NearestPhotos:
    from flower_mm.inference.classifier import Unread
    from flower_mm.inference.features import (
        FeatureModel,
        features_of,
        nearest,
    )

    deadline = time.monotonic() + SECONDS
    ((load, _),) = evaluation.predictors
    model = FeatureModel.of_trained(load(), BATCH_SIZE)
    names = {row[key] for row in rows for key in ('label', 'predicted')}
    candidates = _drawn(trained, names)
    photos = [trained.photos[i] for i in candidates]
    known = features_of(
        model,
        photos,
        'nearest training photos',
        lambda: time.monotonic() > deadline,
    )
    computed = list(model.features(row['photo'] for row in rows))
    readable = [i for i, x in enumerate(computed) if not isinstance(x, Unread)]
    # On a slow machine: among so few, the nearest ones are not near.
    fewest = max(1, min(FEWEST, len(photos)))
    if len(known.indices) < fewest or not readable:
        return NearestPhotos()
    queries = np.array([computed[i] for i in readable])
    found, similarities = nearest(known.vectors, queries, COUNT)
    of_photo = {
        rows[query]['photo']: [
            Neighbour(
                photos[known.indices[k]],
                trained.classes[trained.labels[candidates[known.indices[k]]]],
                float(similarity),
            )
            for k, similarity in zip(indices, values, strict=True)
        ]
        for query, indices, values in zip(
            readable, found, similarities, strict=True
        )
    }
    return NearestPhotos(of_photo, len(known.indices), len(trained.photos))


def _drawn(trained: LabelledPhotos, names: set[str]) -> list[int]:
    """Return indices of photos of these classes, in a random order."""
    order = np.random.default_rng(SEED).permutation(len(trained.photos))
    own = [
        i
        for i in order.tolist()
        if trained.classes[trained.labels[i]] in names
    ]
    return own[:MOST]
