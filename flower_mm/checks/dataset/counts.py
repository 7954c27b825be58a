"""Are there photos of each class, and enough of them?"""

from collections.abc import Iterator

import numpy as np

from flower_mm.checks.case import Case, Split
from flower_mm.checks.dataset.unread import unread
from flower_mm.checks.finding import Finding, note, stop, warn
from flower_mm.config import walk

FEW = 5  # photos to learn a class from
UNEVEN = 10  # times as many of one class as of another
SHOWN = 5  # classes of a list


def check(case: Case) -> Iterator[Finding]:
    splits = case.splits
    train = _counts(case, splits['train_dataloader'])
    val = splits.get('val_dataloader')
    held = {
        loader: _counts(case, split)
        for loader, split in splits.items()
        if loader != 'train_dataloader'
    }
    yield from _absent(case, train, held)
    if val:
        missing = np.flatnonzero((held[val.loader] == 0) & (train > 0))
        if len(missing):
            yield _with_files(
                case,
                val,
                missing,
                warn(
                    f'No photo of {_named(case, missing)} is in val: nobody '
                    'will see how well it is told.',
                    case.list_of('val_dataloader'),
                    'prepare more photos of it; one of two or more goes to '
                    'val',
                ),
            )
    for loader, split in splits.items():
        yield from _passed_over(case, split, held.get(loader, train))
    few = np.flatnonzero((train > 0) & (train < FEW))
    if len(few):
        numbers = [f'{case.classes[i]} ({train[i]})' for i in few]
        yield warn(
            f'There are few photos to learn from: {_list(numbers)}.',
            case.list_of('train_dataloader'),
            'prepare more photos of them, or leave these classes out',
        )
    there = np.flatnonzero(train)
    if not len(there):
        return  # no label is of a class, which is told of
    most, least = there[train[there].argmax()], there[train[there].argmin()]
    if train[most] >= UNEVEN * train[least]:
        yield note(
            f'{train[most]} photos of {case.classes[most]}, {train[least]} of '
            f'{case.classes[least]}: top-1 says little about the small '
            'classes; look at each one.',
            'train_dataloader.dataset',
            "dict(type='ClassBalancedDataset', oversample_thr="
            f'{1 / len(case.classes):.2g}, dataset=dict(...)) shows small '
            'classes more often',
        )


def _counts(case: Case, split: Split) -> np.ndarray:
    # Labels of no class are told of elsewhere.
    count = len(case.classes)
    known = split.labels[(split.labels >= 0) & (split.labels < count)]
    return np.bincount(known, minlength=count)


def _absent(
    case: Case, train: np.ndarray, held: dict[str, np.ndarray]
) -> Iterator[Finding]:
    absent = np.flatnonzero(train == 0)
    tested = [i for i in absent if any(counts[i] for counts in held.values())]
    # A run on the first photos of a list is a try.
    tried = any(
        part.get('indices') is not None
        for part in walk(case.cfg.train_dataloader.dataset)
    )
    split = case.splits['train_dataloader']
    if tested and not tried:
        found = stop(
            f'No photo of {_named(case, tested)} is in train, and some are '
            'in val or test: it cannot be learned.',
            case.list_of('train_dataloader'),
            f'make the dataset anew: {case.prepare}',
        )
        yield _with_files(case, split, tested, found)
    elif len(absent):
        found = warn(
            f'No photo of {_named(case, absent)} is in train.',
            case.list_of('train_dataloader'),
            f'take it out of classes.txt, or add photos: {case.prepare}',
        )
        yield _with_files(case, split, absent, found)


def _with_files(
    case: Case, split: Split, absent: list[int], found: Finding
) -> Finding:
    """Why classes have no photos, where files lie in their folders."""
    files = unread(case, split, [case.classes[i] for i in absent], True)
    if not files:
        return found
    what = f'{found.what} Its folder has {files}.'
    return Finding(found.level, what, files.where, files.mend)


def _passed_over(
    case: Case, split: Split, counts: np.ndarray
) -> Iterator[Finding]:
    """Photos of classes that have others."""
    names = [case.classes[i] for i in np.flatnonzero(counts)]
    files = unread(case, split, names)
    if files:
        what = f'The class folders of {split.name} have {files}.'
        yield warn(what, files.where, files.mend)


def _named(case: Case, indices: list[int]) -> str:
    return _list([case.classes[i] for i in indices])


def _list(names: list[str]) -> str:
    more = f' and {len(names) - SHOWN} more' if len(names) > SHOWN else ''
    return ', '.join(names[:SHOWN]) + more
