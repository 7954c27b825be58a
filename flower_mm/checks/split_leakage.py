"""Is a photo, or nearly the same photo, in two splits?"""

import os
from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations, permutations
from pathlib import Path

from flower_mm import photo_bytes
from flower_mm.checks.context import CheckContext, Split
from flower_mm.checks.finding import Finding
from flower_mm.errors import UserError
from flower_mm.layout import DatasetDir
from flower_mm.prepare import dataset_json
from flower_mm.prepare.near_duplicates import group
from flower_mm.prepare.photo import Photo
from flower_mm.prepare.scan_photos import scan

MOST = 20_000  # photos that are decoded in search of near-duplicates
# Bytes read in search of equal photos before a training; a thorough check
# reads all.
AT_ONCE = 200_000_000


def check(ctx: CheckContext) -> Iterator[Finding]:
    splits = ctx.distinct_splits
    known, prepared_split = _prepared_photos(ctx.root)
    for one, other in combinations(splits, 2):
        pairs = _equal_photos(ctx, one.photos, other.photos, known)
        if pairs:
            yield _shared(ctx, one, other, pairs)
    # prepare_dataset.py keeps near-duplicates in one split.
    of_split = [
        {prepared_split.get(photo) for photo in split.photos}
        for split in splits
    ]
    train, *held_out = of_split
    if None in set.union(*of_split) or any(train & held for held in held_out):
        yield from _near_duplicates(ctx, splits, bool(prepared_split))


def _prepared_photos(root: Path) -> tuple[dict[str, bytes], dict[str, str]]:
    """Return sha256 and split by path; both empty for other datasets."""
    sha256: dict[str, bytes] = {}
    split_of: dict[str, str] = {}
    try:
        record = dataset_json.load(root)
    except UserError:
        return sha256, split_of  # of another version, or not prepared
    for split, photos in record['files'].items():
        folder = Path(record['photos'] or root / split).absolute()
        for name, digest in photos.items():
            path = f'{folder}{os.sep}{name.replace("/", os.sep)}'
            sha256[path] = bytes.fromhex(digest)
            split_of[path] = split
    return sha256, split_of


# --- equal photos ------------------------------------------------------------


def _equal_photos(
    ctx: CheckContext,
    photos: list[str],
    others: list[str],
    known: dict[str, bytes],
) -> list[tuple[str, str]]:
    """Return pairs of one file, or of files with the same bytes.

    `known` has the hashes so far, and gets those that are computed here.
    """
    one, other = set(photos), set(others)
    same = [(path, path) for path in sorted(one & other)]
    left, right = sorted(one - other), sorted(other - one)
    if not all(path in known for path in (*left, *right)):
        # Equal files have equal sizes.
        sizes = [{p: _size(p) for p in side} for side in (left, right)]
        both = set(sizes[0].values()) & set(sizes[1].values()) - {-1}
        left, right = (
            [path for path, size in side.items() if size in both]
            for side in sizes
        )
        new = [path for path in (*left, *right) if path not in known]
        if not ctx.thorough and sum(map(_size, new)) > AT_ONCE:
            return same
        known.update((path, _digest(path)) for path in new)
    by_content = {known[path]: path for path in left}
    return same + [
        (by_content[known[path]], path)
        for path in right
        if known[path] in by_content
    ]


def _size(path: str) -> int:
    try:
        return photo_bytes.stat(path).size
    except OSError:
        return -1


def _digest(path: str) -> bytes:
    try:
        return bytes.fromhex(photo_bytes.sha256_of(path))
    except OSError:
        return path.encode()  # equal to no other


def _shared(
    ctx: CheckContext, one: Split, other: Split, pairs: list[tuple[str, str]]
) -> Finding:
    if set(one.photos) == set(other.photos):
        message = (
            f'{other.name} and {one.name} are the same {len(other.photos)} '
            'photos'
        )
    else:
        here, path = pairs[0]
        example = here if here == path else f'{path} and {here}'
        message = (
            f'{len(pairs)} of {len(other.photos)} photos of {other.name} are '
            f'in {one.name} as well, such as {example}'
        )
    where = ctx.list_of(other.loader)
    return Finding('DATA006', where, message, ctx.prepare)


# --- near-duplicates ---------------------------------------------------------


def _near_duplicates(
    ctx: CheckContext, splits: list[Split], is_prepared: bool
) -> Iterator[Finding]:
    count = sum(len(split.photos) for split in splits)
    result = f'{count} photos were not searched for near-duplicates'
    if ctx.thorough and count <= MOST:
        findings = list(_search(ctx, splits))
        yield from findings
        if findings:
            return
        result = f'no near-duplicates among {count} photos'
    state = 'the lists were changed since' if is_prepared else 'not prepared'
    yield Finding(
        'DATA009',
        str(ctx.root / DatasetDir.RECORD),
        f'{state} by prepare_dataset.py: {result}',
        ctx.prepare,
    )


def _search(ctx: CheckContext, splits: list[Split]) -> Iterator[Finding]:
    """Find near-duplicates in two splits, and of two labels."""
    photos, loaders = [], {}
    for split in splits:
        for path, label in zip(split.photos, split.labels, strict=True):
            photos.append(Photo(path, path, int(label)))
            loaders[id(photos[-1])] = split.loader
    scan(photos, 'looking for near-duplicates')
    sound = [photo for photo in photos if not photo.error]
    groups = defaultdict(list)
    for photo, number in zip(sound, group(sound), strict=True):
        groups[number].append(photo)
    across = [
        (one.file, other.file)
        for members in groups.values()
        for one, other in permutations(members, 2)
        if loaders[id(one)] == 'train_dataloader' != loaders[id(other)]
        and one.sha256 != other.sha256  # else DATA006
    ]
    if across:
        here, other = across[0]
        yield Finding(
            'DATA007',
            ctx.list_of('val_dataloader'),
            f'{len({path for _, path in across})} held-out photo(s) are '
            f'near-duplicates of training photos, such as {other} and {here}',
            ctx.prepare,
        )
    for members in groups.values():
        of_label = {photo.label: photo for photo in members}
        if len(of_label) > 1:
            names = ' and '.join(
                f'{photo.file} '
                f'({_class_name(ctx, loaders[id(photo)], photo.label)})'
                for photo in list(of_label.values())[:2]
            )
            yield Finding(
                'DATA008',
                ctx.list_of('train_dataloader'),
                f'near-duplicates have different labels, such as {names}',
                'correct the labels; identical photos are left out by: '
                f'{ctx.prepare}',
            )
            return


def _class_name(ctx: CheckContext, loader: str, label: int) -> str:
    names = ctx.splits[loader].classes or ctx.classes
    return names[label] if 0 <= label < len(names) else f'label {label}'
