"""Findings of the prepare command about the photos of a dataset."""

from pathlib import Path

from flower_mm.annotations import describe
from flower_mm.errors import UserError
from flower_mm.layout import DatasetDir
from flower_mm.prepare import dataset_json
from flower_mm.report.predictions import Predictions
from flower_mm.report.run_folder import checked


def read_dataset_findings(root: Path) -> dict:
    """The findings in dataset.json, or why they are missing."""
    if not root.is_dir():
        error = f'The dataset folder {root} is missing.'
        return {'prepared': False, 'error': error}
    if not (root / DatasetDir.RECORD).is_file():
        return {'prepared': False}
    try:
        record = dataset_json.load(root)
    except UserError as error:
        return {'prepared': False, 'error': str(error)}
    unused = record.get('left_out')
    groups = _near_duplicate_groups(record)
    spans = [len({p.partition('/')[0] for p in group}) for group in groups]
    return {
        'prepared': True,
        'sha256': record['sha256'],
        'counts': {
            split: _only(counts, 'integer')
            for split, counts in record['counts'].items()
        },
        'unused_photos': _only(unused, 'string'),
        'near_duplicates': [
            group
            for group, classes in zip(groups, spans, strict=True)
            if classes == 1
        ],
        'possible_label_errors': [
            group
            for group, classes in zip(groups, spans, strict=True)
            if classes > 1
        ],
    }


def _near_duplicate_groups(record: dict) -> list[list[str]]:
    """Groups of photos, as `class/name`, in the content of dataset.json."""
    groups = record.get('equal')
    return [
        [path for path in group if isinstance(path, str)]
        for group in (groups if isinstance(groups, list) else [])
        if isinstance(group, list)
    ]


def _only(values: object, name: str) -> dict:
    """The valid items of a dictionary; an empty one for other values."""
    items = values.items() if isinstance(values, dict) else ()
    return {
        key: value for key, value in items if checked(value, name) is not None
    }


def near_duplicates(
    root: Path, predictions: Predictions
) -> list[list[int]] | None:
    """Groups of near-duplicates, as indices of the predictions.

    None where the prepare command did not search for them.
    """
    try:
        record = describe(root)
    except (UserError, OSError):
        return None
    if not isinstance(record.get('equal'), list):
        return None
    index = {}
    for i, photo in enumerate(predictions.photos):
        label = predictions.classes[predictions.labels[i]]
        inside = photo.replace('\\', '/').rpartition(f'/{label}/')[2]
        index[f'{label}/{inside}'] = i
    groups = [
        [index[path] for path in group if path in index]
        for group in _near_duplicate_groups(record)
    ]
    return disjoint_groups(
        [group for group in groups if len(group) > 1], len(index)
    )


def disjoint_groups(
    groups: list[list[int]] | None, photos: int
) -> list[list[int]] | None:
    """The groups, if each photo is in at most one of them."""
    members = [i for group in groups or [] for i in group]
    are_valid = all(0 <= i < photos for i in members)
    return groups if are_valid and len(set(members)) == len(members) else None
