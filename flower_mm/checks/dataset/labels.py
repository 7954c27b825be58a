"""Does each photo have the label of the folder that it lies in?

FlowerDataset looks itself; MMPretrain's datasets take any number.
"""

from collections.abc import Iterator
from pathlib import Path

from flower_mm.checks.case import Case, Split
from flower_mm.checks.finding import Finding, stop


def labels(case: Case, split: Split) -> Iterator[Finding]:
    if case.is_flower(split.loader):
        return
    number = {name: i for i, name in enumerate(case.classes)}
    root = str(case.root)
    wrong = []
    for photo, label in zip(split.photos, split.labels.tolist(), strict=True):
        below = photo.removeprefix(root).replace('\\', '/').split('/')
        folder = next((part for part in below[:-1] if part in number), None)
        named = number.get(folder)
        if not 0 <= label < len(number) or named not in (None, label):
            wrong.append((photo, label, folder))
    if not wrong:
        return
    # Best one whose folder says what it should be.
    photo, label, folder = min(wrong, key=lambda one: one[2] is None)
    if 0 <= label < len(number):
        meaning = f'which classes.txt calls {case.classes[label]!r}'
    else:
        meaning = f'and classes.txt ends at {len(number) - 1}'
    text = (
        f'{len(wrong)} of {len(split.photos)} photos of {split.name} have '
        f'a label that is not of their folder: {photo} has {label}, {meaning}'
    )
    strangers = _strangers(photo, folder, number) if folder else []
    if strangers:
        mend = f'rm -r {strangers[0]}'
        if not strangers[0].name.startswith('.'):
            mend = 'move it elsewhere, or give it its line in classes.txt'
        yield stop(
            f'{text}; the folder {strangers[0].name} beside them counts as a '
            'class.',
            str(strangers[0]),
            mend,
        )
        return
    yield stop(
        f'{text}.',
        f'{split.loader}.dataset',
        'labels are line numbers in classes.txt, from 0. '
        f'{case.as_prepared(split.loader)}',
    )


def listed_order(path: Path, classes: list[str]) -> list[str] | None:
    """The classes in the order of the labels that a list gives them.

    None where that is not clear, or they are not the ones of classes.txt.
    """
    if not path.is_file():
        return None
    known = set(classes)
    named: dict[int, str] = {}
    for line in path.read_text('utf-8', errors='replace').splitlines():
        photo, _, label = line.rpartition(' ')
        *above, _ = photo.split('/')
        folder = next((part for part in above if part in known), None)
        if not folder or not label.isdecimal():
            continue
        # One folder for each label, or there is more amiss.
        if named.setdefault(int(label), folder) != folder:
            return None
    order = [named[label] for label in sorted(named)]
    whole = sorted(named) == list(range(len(classes)))
    return order if whole and sorted(order) == sorted(classes) else None


def _strangers(photo: str, folder: str, number: dict[str, int]) -> list[Path]:
    """Folders beside the class folders that are no classes."""
    above = next(p for p in Path(photo).parents if p.name == folder).parent
    if not above.is_dir():
        return []
    return sorted(
        path
        for path in above.iterdir()
        if path.is_dir() and path.name not in number
    )
