"""Has each class its folder, where the folders are what is numbered?

MMPretrain's datasets without ann_file count the folders that they find, in
alphabetical order. Names that a config gives them do not change the labels:
where a folder is missing, each label behind it means the class before.
"""

import shlex
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import ConfigDict

from flower_mm.checks.case import Case
from flower_mm.checks.dataset.labels import listed_order
from flower_mm.checks.finding import Finding, stop
from flower_mm.config import LOADERS
from flower_mm.datasets.annotations import read_classes

SHOWN = 5  # classes of a list
# Folders of a split, the likeliest first.
USUAL = {
    'train': ('train', 'training'),
    'val': ('val', 'valid', 'validation'),
    'test': ('test', 'testing', 'val', 'valid', 'validation'),
}


def check(case: Case, root: Path) -> Iterator[Finding]:
    classes = read_classes(root)
    told = set()
    in_order = True
    for loader in LOADERS:
        if not case.cfg.get(loader):
            continue
        for place, dataset in case.parts(loader):
            folder = _numbered(root, dataset)
            there = _folders(folder) if folder else set()
            if not there:
                continue
            missing = [name for name in classes if name not in there]
            if there.isdisjoint(classes):
                yield from _above(root, set(classes), folder, place)
            # With folders of other names another one is meant.
            elif missing and there < set(classes) and folder not in told:
                yield _lacking(loader, folder, missing)
            elif there == set(classes) and sorted(there) != classes:
                if in_order:
                    mend = _mend(case, loader, root, classes)
                    yield _order(dataset.type, root, classes, mend)
                in_order = False
            told.add(folder)


def _folders(folder: Path) -> set[str]:
    if not folder.is_dir():
        return set()
    return {path.name for path in folder.iterdir() if path.is_dir()}


def _numbered(root: Path, dataset: ConfigDict) -> Path | None:
    """The folder whose class folders become labels."""
    kind = str(dataset.get('type')).rpartition('.')[2]
    named = dataset.get('classes') or (dataset.get('metainfo') or {}).get(
        'classes'
    )
    # ImageNet has its own thousand names where none are given.
    numbers = kind == 'CustomDataset' or (kind == 'ImageNet' and named)
    if not numbers or dataset.get('with_label') is False:
        return None
    # ImageNet takes this one unasked.
    usual = root / 'meta' / f'{dataset.get("split")}.txt'
    if dataset.get('ann_file') or (kind == 'ImageNet' and usual.is_file()):
        return None
    prefix = dataset.get('data_prefix') or dataset.get('split') or ''
    if isinstance(prefix, dict):
        prefix = prefix.get('img_path') or ''
    return root / prefix


def _lacking(loader: str, folder: Path, missing: list[str]) -> Finding:
    more = len(missing) - SHOWN
    names = ', '.join(missing[:SHOWN]) + (f' and {more} more' * (more > 0))
    paths = ' '.join(shlex.quote(str(folder / name)) for name in missing)
    return stop(
        f'{loader} numbers the class folders of {folder}, where there is none '
        f'of {names}: the labels behind it would be of other classes.',
        str(folder),
        f'an empty folder keeps the number: mkdir {paths}',
    )


def _order(kind: str, root: Path, classes: list[str], mend: str) -> Finding:
    """Names in another order than the alphabet's."""
    order = sorted(classes)
    label = next(i for i, name in enumerate(classes) if order[i] != name)
    return stop(
        f'{kind} numbers the class folders by the alphabet, whatever names '
        f'it is given: label {label} is {order[label]}, and {classes[label]} '
        'in classes.txt.',
        str(root / 'classes.txt'),
        mend,
    )


def _mend(case: Case, loader: str, root: Path, classes: list[str]) -> str:
    if listed_order(root / 'train.txt', classes) == classes:
        return case.as_prepared(loader)  # which goes by the list
    order = sorted(classes)
    shown = ', '.join(order[:SHOWN]) + ', …' * (len(order) > SHOWN)
    path = shlex.quote(str(root / 'classes.txt'))
    return (
        f'one name a line in this order: {shown}. '
        f'LC_ALL=C sort -o {path} {path} does it'
    )


def _above(
    root: Path, classes: set[str], folder: Path, place: str
) -> Iterator[Finding]:
    """The folder of the splits where that of one was meant."""
    loader = place.partition('.')[0]
    split = loader.removesuffix('_dataloader')
    meant = next(
        (
            folder / name
            for name in USUAL[split]
            if _folders(folder / name) & classes
        ),
        None,
    )
    if meant is None:
        return
    there = sorted(_folders(folder))
    more = len(there) - SHOWN
    names = ', '.join(there[:SHOWN]) + f' and {more} more' * (more > 0)
    where = f'{place}.data_prefix'
    # Another folder is named from the root of the disk.
    inside = meant.relative_to(root) if meant.is_relative_to(root) else meant
    yield stop(
        f'{loader} takes the folders of {folder} for its classes: {names}. '
        f'Those of the classes are in {meant}.',
        where,
        f'--cfg-options {where}={inside.as_posix()}',
    )
