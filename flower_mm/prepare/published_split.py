"""Keep the split that a source has published.

Near-duplicates in two of its splits are reported, and moved to the training
split on request. A missing validation split is taken from the training
photos.
"""

from collections import Counter

import numpy as np

from flower_mm.layout import DatasetDir
from flower_mm.prepare.groups import members_of
from flower_mm.prepare.split import assign_splits
from flower_mm.prepare.stored_photos import StoredPhotos
from flower_mm.prepare.summary import Report


def keep_published_split(
    photos: StoredPhotos,
    groups: np.ndarray,
    val: float,
    seed: int,
    earlier: dict[bytes, str] | None,
    fixes_leaks: bool,
    report: Report,
) -> list[str]:
    """Return the split of each photo, '' where it has to be left out."""
    splits = [photo.split for photo in photos]
    leaks = _groups_in_two_splits(groups, splits)
    _report_leaks(photos, splits, leaks, fixes_leaks, report)
    if fixes_leaks:
        for i in (i for members in leaks for i in members):
            splits[i] = 'train'
    if 'val' in splits:
        return splits
    report.remarks.append('Without a published val, it is taken from train')
    pool = [i for i, split in enumerate(splits) if split == 'train']
    own = assign_splits(
        groups[pool],
        photos.labels()[pool],
        photos.shas()[pool],
        val,
        0.0,
        seed,
        # The test split is the published one.
        {s: of for s, of in (earlier or {}).items() if of != 'test'},
    )
    for i, split in zip(pool, own, strict=True):
        splits[i] = split
    return splits


def _groups_in_two_splits(
    groups: np.ndarray, splits: list[str]
) -> list[list[int]]:
    return [
        same
        for same in members_of(groups)
        if len({splits[i] for i in same}) > 1
    ]


def _report_leaks(
    photos: StoredPhotos,
    splits: list[str],
    leaks: list[list[int]],
    fixes_leaks: bool,
    report: Report,
) -> None:
    """List the groups, and count the held-out photos in each split."""
    order = DatasetDir.SPLITS.index
    counts: Counter[str] = Counter()
    for members in leaks:
        first = min((splits[i] for i in members), key=order)
        counts.update(splits[i] for i in members if splits[i] != first)
        report.leaks.append([photos[i].path for i in members])
    report.leak_counts = dict(counts)
    report.fixes_leaks = fixes_leaks
    leaking = {path for paths in report.leaks for path in paths}
    report.duplicates = [
        paths for paths in report.duplicates if not leaking.intersection(paths)
    ]
