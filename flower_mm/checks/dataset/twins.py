"""Equal photos, and nearly equal ones, on two sides."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from flower_mm.checks.case import Split
from flower_mm.prepare.class_folders import Photo
from flower_mm.prepare.near_duplicates import group
from flower_mm.prepare.scan_photos import scan

# Bytes read in search of equal photos at the start of a training; the
# doctor himself reads all.
AT_ONCE = 200_000_000


def equal(
    one: Iterable[str],
    other: Iterable[str],
    known: dict[str, bytes],
    thorough: bool,
) -> list[tuple[str, str]]:
    """Pairs of one photo on two sides: the same file, or the same bytes.

    `known` has what was hashed before, and gets what is hashed here.
    """
    one, other = set(one), set(other)
    same = [(path, path) for path in sorted(one & other)]
    left, right = sorted(one - other), sorted(other - one)
    if not all(path in known for path in (*left, *right)):
        left, right = _of_one_size(left, right)
        new = [path for path in (*left, *right) if path not in known]
        if not thorough and sum(map(_size, new)) > AT_ONCE:
            return same
        known.update((path, _digest(path)) for path in new)
    by_content = {known[path]: path for path in left}
    return same + [
        (by_content[known[path]], path)
        for path in right
        if known[path] in by_content
    ]


def _of_one_size(
    left: list[str], right: list[str]
) -> tuple[list[str], list[str]]:
    """Those for which the other side has a file of as many bytes."""
    sizes = [{path: _size(path) for path in side} for side in (left, right)]
    both = set(sizes[0].values()) & set(sizes[1].values()) - {-1}
    return tuple(
        [path for path, size in side.items() if size in both] for side in sizes
    )


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116, 3000 of them
    except OSError:
        return -1  # said elsewhere


def _digest(path: str) -> bytes:
    try:
        with Path(path).open('rb') as file:
            return hashlib.file_digest(file, 'sha256').digest()
    except OSError:
        return path.encode()  # equal to no other


def look(
    splits: list[Split],
) -> tuple[list[Photo], list[str], list[list[int]]]:
    """Read all photos; return them, their loaders, and groups of twins."""
    photos, loaders = [], []
    for split in splits:
        for path, label in zip(split.photos, split.labels, strict=True):
            photos.append(Photo(path, path, int(label)))
            loaders.append(split.loader)
    scan(photos, 'looking for equal photos')
    sound = [i for i, photo in enumerate(photos) if not photo.bad]
    groups = defaultdict(list)
    for i, number in zip(
        sound, group([photos[i] for i in sound]), strict=True
    ):
        groups[number].append(i)
    return photos, loaders, [g for g in groups.values() if len(g) > 1]
