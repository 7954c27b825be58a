"""Which photos to review, the most probable label errors first.

A photo is in the queue once, with all reasons. Its place follows from the
probability that its label is wrong: one minus the probability of the label,
and the share of its nearest photos with another label.
"""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from flower_mm.inference.features import nearest
from flower_mm.report.label_errors import find_label_errors
from flower_mm.report.predictions import Predictions
from flower_mm.review.dataset_photos import ReviewedDataset
from flower_mm.review.evidence import Evidence

LABEL_ERROR = 'label-error'  # by confident learning
MISTAKE = 'mistake'  # the model predicts another class
CONFLICT = 'conflict'  # a near-duplicate has another label
ACROSS_SPLITS = 'across-splits'  # a near-duplicate is in another split
OUTLIER = 'outlier'  # unlike all classes
DECIDED = 'decided'  # in corrections.csv for another reason
REASONS = (LABEL_ERROR, MISTAKE, CONFLICT, ACROSS_SPLITS, OUTLIER, DECIDED)

MOST = 2000  # photos in the queue
NEIGHBOURS = 20  # whose labels count
# The weight of the neighbours beside the probability of the label.
# benchmarks/review.py measures the order.
NEIGHBOUR_WEIGHT = 0.5
SHOWN = 4  # nearest photos of a class on the page
# One of two near-duplicates with different labels is wrong.
CONFLICT_PRIORITY = 0.5
SPLIT_PRIORITY = 0.2
OUTLIER_PRIORITY = 0.1
# Standard deviations below the mean similarity, and the most photos.
OUTLIER_DEVIATIONS, OUTLIER_SHARE = 3.0, 0.01


@dataclass
class Item:
    """A photo to review."""

    photo: int  # index in the dataset
    reasons: list[str]
    priority: float  # from 0 to 1
    predicted: int | None = None
    confidence: float | None = None  # of `predicted`
    label_probability: float | None = None
    duplicates: list[int] = field(default_factory=list)
    # The most similar photos with the label, and with the predicted class.
    of_label: list[int] = field(default_factory=list)
    of_predicted: list[int] = field(default_factory=list)


def build_queue(
    dataset: ReviewedDataset,
    evidence: Evidence,
    decided: list[int],
) -> tuple[list[Item], int]:
    """Return the items, and how many more there are than MOST.

    `decided` are the photos with a decision, which stay in the queue.
    """
    priorities = _doubts(dataset, evidence)
    reasons = _reasons(dataset, evidence)
    floors = {
        CONFLICT: CONFLICT_PRIORITY,
        ACROSS_SPLITS: SPLIT_PRIORITY,
        OUTLIER: OUTLIER_PRIORITY,
    }
    items = []
    for i, of_photo in reasons.items():
        if dataset.photos[i].sha256 in dataset.reviewed:
            continue
        floor = max(floors.get(reason, 0.0) for reason in of_photo)
        items.append(Item(i, of_photo, max(floor, float(priorities[i]))))
    items.sort(key=lambda item: (-item.priority, item.photo))
    more = max(0, len(items) - MOST)
    del items[MOST:]
    listed = {item.photo for item in items}
    items += [
        Item(i, reasons.get(i, [DECIDED]), 0.0)
        for i in decided
        if i not in listed
    ]
    _describe(items, dataset, evidence)
    return items, more


def _doubts(dataset: ReviewedDataset, evidence: Evidence) -> np.ndarray:
    """Return how doubtful each label is, 0 where nothing is known."""
    labels = _labels(dataset)
    rows = np.arange(len(labels))
    own = np.nan_to_num(evidence.scores[rows, labels], nan=1.0)
    doubts = 1 - own
    if evidence.vectors is None:
        return doubts
    # Comparing all photos would take long: the neighbours of photos that the
    # model does not doubt cannot bring them to the front.
    doubtful = np.flatnonzero(own < 1 - NEIGHBOUR_WEIGHT / 2)
    doubtful = doubtful[np.argsort(own[doubtful], kind='stable')][: 2 * MOST]
    others = np.zeros(len(labels))
    vectors = evidence.vectors
    indices, _ = nearest(vectors, vectors[doubtful], NEIGHBOURS + 1)
    for i, near in zip(doubtful, indices, strict=True):
        near = near[near != i][:NEIGHBOURS]
        others[i] = (labels[near] != labels[i]).mean()
    return (doubts + NEIGHBOUR_WEIGHT * others) / (1 + NEIGHBOUR_WEIGHT)


def _reasons(
    dataset: ReviewedDataset, evidence: Evidence
) -> dict[int, list[str]]:
    labels, scores = _labels(dataset), evidence.scores
    reasons: dict[int, list[str]] = defaultdict(list)
    known = np.flatnonzero(np.isfinite(scores).all(1))
    if len(known):
        predictions = Predictions(
            [''] * len(known), labels[known], scores[known], dataset.classes
        )
        for error in find_label_errors(predictions):
            reasons[int(known[error.index])].append(LABEL_ERROR)
        for i in known[~predictions.correct].tolist():
            if not reasons[i]:
                reasons[i].append(MISTAKE)
    for group in dataset.near_duplicates:
        photos = [dataset.photos[i] for i in group]
        if len({photo.label for photo in photos}) > 1:
            for i in group:
                reasons[i].append(CONFLICT)
        if len({photo.split for photo in photos}) > 1:
            for i, photo in zip(group, photos, strict=True):
                if photo.split != 'train':
                    reasons[i].append(ACROSS_SPLITS)
    for i in _outliers(labels, evidence):
        reasons[i].append(OUTLIER)
    return dict(reasons)


def _outliers(labels: np.ndarray, evidence: Evidence) -> list[int]:
    """Return photos whose features are far from the mean of each class."""
    vectors = evidence.vectors
    if vectors is None:
        return []
    known = np.flatnonzero(vectors.any(1))
    if len(known) < 2:
        return []
    means = np.stack(
        [
            vectors[known[labels[known] == label]].mean(0)
            for label in np.unique(labels[known])
        ]
    )
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    similar = (vectors[known] @ (means / lengths).T).max(1)
    limit = similar.mean() - OUTLIER_DEVIATIONS * similar.std()
    order = np.argsort(similar, kind='stable')
    most = max(1, int(OUTLIER_SHARE * len(known)))
    return [int(known[i]) for i in order[:most].tolist() if similar[i] < limit]


def _describe(
    items: list[Item], dataset: ReviewedDataset, evidence: Evidence
) -> None:
    """Add what the model predicts, and the photos to compare with."""
    labels, scores = _labels(dataset), evidence.scores
    groups = {i: group for group in dataset.near_duplicates for i in group}
    for item in items:
        i = item.photo
        item.duplicates = [k for k in groups.get(i, []) if k != i]
        if np.isfinite(scores[i]).all():
            item.predicted = int(scores[i].argmax())
            item.confidence = float(scores[i].max())
            item.label_probability = float(scores[i, labels[i]])
    if evidence.vectors is None:
        return
    for label in range(len(dataset.classes)):
        members = np.flatnonzero(labels == label)
        of_label = [x for x in items if labels[x.photo] == label]
        of_predicted = [
            x
            for x in items
            if x.predicted == label and labels[x.photo] != label
        ]
        near = _nearest_members(of_label + of_predicted, members, evidence)
        for item, own in zip(of_label, near, strict=False):
            item.of_label = own
        for item, own in zip(of_predicted, near[len(of_label) :], strict=True):
            item.of_predicted = own


def _nearest_members(
    items: list[Item], members: np.ndarray, evidence: Evidence
) -> list[list[int]]:
    """Return the most similar photos of a class for each item."""
    vectors = evidence.vectors
    if vectors is None or not items or not len(members):
        return [[] for _ in items]
    queries = vectors[[item.photo for item in items]]
    indices, _ = nearest(vectors[members], queries, SHOWN + 1)
    return [
        [int(k) for k in members[near] if k != item.photo][:SHOWN]
        for item, near in zip(items, indices, strict=True)
    ]


def _labels(dataset: ReviewedDataset) -> np.ndarray:
    return np.array([photo.label for photo in dataset.photos])
