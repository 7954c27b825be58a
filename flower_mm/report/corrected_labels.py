"""Compare two runs when one dataset is a corrected version of the other.

A relabelled photo has another path, so that photos are matched by the sha256
in dataset.json. Both runs are judged by the corrected labels of the photos
that both were evaluated on.
"""

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from flower_mm.annotations import photos_folder
from flower_mm.errors import UserError
from flower_mm.prepare import dataset_json
from flower_mm.prepare.apply_corrections import (
    CORRECTIONS,
    PARENT,
    ancestors,
)
from flower_mm.prepare.corrections import EXCLUDE, RELABEL
from flower_mm.report.predictions import Predictions


class Common(NamedTuple):
    """The photos of two runs that are in both, with corrected labels."""

    first: Predictions
    second: Predictions
    corrections: dict  # as in comparison.json


def common_photos(
    first: Predictions,
    second: Predictions,
    roots: tuple[Path | None, Path | None],
) -> Common | None:
    """Match photos by content; None unless one dataset corrects the other."""
    records = [_read(root) for root in roots]
    newer = _newer(records)
    if newer is None or first.classes != second.classes:
        return None
    hashes = [
        _hashes(root, record, predictions.photos)
        for root, record, predictions in zip(
            roots, records, (first, second), strict=True
        )
    ]
    place = {sha256: i for i, sha256 in enumerate(hashes[1]) if sha256}
    pairs = [
        (i, place[sha256])
        for i, sha256 in enumerate(hashes[0])
        if sha256 in place
    ]
    if not pairs:
        return None
    of_first, of_second = map(np.array, zip(*pairs, strict=True))
    one, two = _part(first, of_first), _part(second, of_second)
    before, labels = one.labels, two.labels
    old_run = one
    if newer == 0:
        before, labels, old_run = two.labels, one.labels, two
    counts = _counts(records[newer])
    return Common(
        Predictions(one.photos, labels, one.scores, one.classes),
        # By the paths of the first, so that they match.
        Predictions(one.photos, labels, two.scores, two.classes),
        {
            'corrected': ('first', 'second')[newer],
            'relabelled': counts.get(RELABEL),
            'excluded': counts.get(EXCLUDE),
            'only_first': len(first.photos) - len(pairs),
            'only_second': len(second.photos) - len(pairs),
            'relabelled_here': int((before != labels).sum()),
            'uncorrected_top1': _top1(old_run, before),
            'corrected_top1': _top1(old_run, labels),
        },
    )


def _read(root: Path | None) -> dict:
    """Return dataset.json, empty if it is missing or invalid."""
    with suppress(UserError, OSError):
        return dataset_json.load(root) if root else {}
    return {}


def _newer(records: list[dict]) -> int | None:
    """Return the index of the dataset that corrects the other."""
    for i, record in enumerate(records):
        older = records[1 - i].get('sha256')
        if older and older in ancestors(record):
            return i
    return None


def _hashes(
    root: Path | None, record: dict, photos: list[str]
) -> list[str | None]:
    """Return the sha256 of photos as dataset.json lists them."""
    known = {}
    for split, hashes in record.get('files', {}).items():
        with suppress(UserError, OSError):
            assert root is not None  # it has a record
            folder = photos_folder(root, split).absolute()
            known.update({str(folder / p): sha for p, sha in hashes.items()})
    return [known.get(photo) for photo in photos]


def _part(predictions: Predictions, places: np.ndarray) -> Predictions:
    return Predictions(
        [predictions.photos[i] for i in places],
        predictions.labels[places],
        predictions.scores[places],
        predictions.classes,
    )


def _counts(record: dict) -> dict[str, int]:
    """Return how many photos of the dataset each action has changed."""
    total = {RELABEL: 0, EXCLUDE: 0}
    with suppress(AttributeError, KeyError, TypeError):
        assert record[PARENT]
        for counts in record[CORRECTIONS]['counts'].values():
            for action in total:
                total[action] += int(counts.get(action, 0))
        return total
    return {}


def _top1(predictions: Predictions, labels: np.ndarray) -> float:
    return 100 * float((predictions.predicted == labels).mean())
