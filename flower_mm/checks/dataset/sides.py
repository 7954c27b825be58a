"""Is any photo on two sides, or nearly?"""

from collections.abc import Iterator
from itertools import combinations, permutations
from pathlib import Path

from flower_mm.checks.case import Case, Split
from flower_mm.checks.dataset import twins
from flower_mm.checks.dataset.broken import loading
from flower_mm.checks.dataset.origin import Origin, origin
from flower_mm.checks.finding import Finding, note, warn
from flower_mm.prepare.class_folders import Photo

MOST = 20_000  # photos that are decoded in search of near duplicates


def check(case: Case) -> Iterator[Finding]:
    sides = _sides(case)
    made = origin(case.root)
    known = dict(made.sha256)
    for one, other in combinations(sides, 2):
        pairs = twins.equal(one.photos, other.photos, known, case.thorough)
        if pairs:
            yield _shared(case, one, other, pairs)
    if not _kept_apart(sides, made):
        yield from _near(case, sides, made)


def _sides(case: Case) -> list[Split]:
    """The splits that are different ones: test may read val."""
    found: list[Split] = []
    for split in case.splits.values():
        is_val = split.loader == 'test_dataloader' and any(
            other.loader == 'val_dataloader'
            and set(other.photos) == set(split.photos)
            for other in found
        )
        if not is_val:
            found.append(split)
    return found


def _kept_apart(sides: list[Split], made: Origin) -> bool:
    """Whether prepare_dataset.py put the photos where they are."""
    train, *held = (side.photos for side in sides)
    return set(train) <= made.side.keys() and all(
        made.keeps_apart(train, photos) for photos in held
    )


def _shared(
    case: Case, one: Split, other: Split, pairs: list[tuple[str, str]]
) -> Finding:
    if set(one.photos) == set(other.photos):
        where, mend = case.list_of(other.loader), case.prepare
        split = f'{other.loader}.dataset.split'
        wrong = case.settled[other.loader].dataset.get('split') != other.name
        if case.is_flower(other.loader) and wrong:
            where, mend = split, f'--cfg-options {split}={other.name}'
        return warn(
            f'{other.name} is {one.name}, the same {len(other.photos)} '
            'photos: what it measures is memory.',
            where,
            mend,
        )
    here, there = pairs[0]
    example = here if here == there else f'{there}, which is {here}'
    return warn(
        f'{len(pairs)} of the {len(other.photos)} photos of {other.name} '
        f'are in {one.name} as well, such as {example}.',
        case.list_of(other.loader),
        f'equal photos come to one side with: {case.prepare}',
    )


def _near(case: Case, sides: list[Split], made: Origin) -> Iterator[Finding]:
    why = (
        'The lists are not those that were prepared'
        if made.side
        else 'This dataset was made by hand'
    )
    where = str(case.root / 'dataset.json')
    count = sum(len(side.photos) for side in sides)
    if not case.thorough or count > MOST:
        yield note(
            f'{why}: nobody has looked for nearly equal ones among {count} '
            'photos.',
            where,
            case.prepare,
        )
        return
    found = list(_seen(case, *twins.look(sides)))
    yield from found
    if not found:
        yield note(
            f'{why}; no photo of {count} is nearly that of another side or '
            'class.',
            where,
            f'when photos are added: {case.prepare}',
        )


def _seen(
    case: Case,
    photos: list[Photo],
    loaders: list[str],
    groups: list[list[int]],
) -> Iterator[Finding]:
    """What is found by looking at each photo."""
    # Photos that are not there or cannot be loaded are told of elsewhere.
    why_not = {loader: loading(case, loader) for loader in set(loaders)}
    bad = [
        i
        for i, photo in enumerate(photos)
        if photo.bad and Path(photo.file).is_file()
        if not (tell := why_not[loaders[i]]) or not tell(photo.file)
    ]
    if bad:
        photo = photos[bad[0]]
        yield warn(
            f'{len(bad)} photo(s) are of no use, such as {photo.file}: '
            f'{photo.bad}.',
            case.list_of(loaders[bad[0]]),
            f'they are left out by --on-bad skip in: {case.prepare}',
        )
    across = [
        (photos[i].file, photos[j].file)
        for members in groups
        for i, j in permutations(members, 2)
        if loaders[i] == 'train_dataloader' != loaders[j]
        and photos[i].sha256 != photos[j].sha256  # told already
    ]
    if across:
        here, there = across[0]
        yield warn(
            f'{len({path for _, path in across})} held-out photo(s) are '
            f'nearly those of train, such as {there} and {here}.',
            case.list_of('val_dataloader'),
            f'such photos come to one side with: {case.prepare}',
        )
    both = [g for g in groups if len({photos[i].label for i in g}) > 1]
    if both:
        # One of each class.
        pair = {photos[i].label: i for i in both[0]}
        names = ' and '.join(
            f'{photos[i].file} ({_class(case, loaders[i], label)})'
            for label, i in list(pair.items())[:2]
        )
        yield warn(
            f'{len(both)} group(s) of near-duplicates are in two classes, '
            f'such as {names}.',
            case.list_of('train_dataloader'),
            'correct the labels; identical photos are left out by: '
            f'{case.prepare}',
        )


def _class(case: Case, loader: str, label: int) -> str:
    """What a loader's own list means by a label."""
    names = case.splits[loader].classes or case.classes
    return names[label] if 0 <= label < len(names) else f'label {label}'
