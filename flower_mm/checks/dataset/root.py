"""Is there a dataset folder, and is it the one that was meant?"""

from collections.abc import Iterator
from pathlib import Path

from mmengine.config import ConfigDict

from flower_mm.checks.case import Case
from flower_mm.checks.dataset import folders
from flower_mm.checks.dataset.labels import listed_order
from flower_mm.checks.finding import Finding, stop
from flower_mm.commands import command
from flower_mm.config import LOADERS, datasets, walk
from flower_mm.datasets.annotations import read_classes, require_dataset

THEIRS = 'data/imagenet'  # in the base configs of MMPretrain
# Keys by which a dataset says where its photos are.
PLACES = ('data_root', 'data_prefix', 'ann_file')
ABOVE = 4  # folders above the config in which a dataset is looked for


def check(case: Case) -> Iterator[Finding]:
    """Where this stops, nothing of the photos can be looked at."""
    named: dict[str, list[str]] = {}
    for loader in LOADERS:
        for dataset in _described(case, loader):
            if dataset.get('data_root'):
                named.setdefault(str(dataset.data_root), []).append(loader)
            elif loader != 'test_dataloader':
                yield _rootless(loader, dataset)
                return
    if len(named) > 1:
        yield _several(named)
    elif named:
        (root,) = named
        found = list(_one(case, root))
        yield from found
        if not found:
            yield from _order(case, Path(root))
            yield from folders.check(case, Path(root))


def _described(case: Case, loader: str) -> list[ConfigDict]:
    """The datasets of a loader that name a place, inside wrappers too."""
    found = case.cfg.get(loader)
    if not found:
        return []
    return [
        part
        for part in walk(found.dataset)
        if 'type' in part and any(key in part for key in PLACES)
    ]


def _rootless(loader: str, dataset: ConfigDict) -> Finding:
    names = {key: dataset[key] for key in PLACES if dataset.get(key)}
    return stop(
        f'{loader} has no data_root, the folder that classes.txt is read '
        f'from; it names {names or "no place at all"}.',
        f'{loader}.dataset',
        "data_root='FOLDER', with ann_file and data_prefix relative to it",
    )


def _several(named: dict[str, list[str]]) -> Finding:
    said = [
        f'{" and ".join(dict.fromkeys(loaders))} from {root}'
        + (" (MMPretrain's base, unchanged)" if root == THEIRS else '')
        for root, loaders in named.items()
    ]
    whole = [root for root in named if (Path(root) / 'classes.txt').is_file()]
    # The loader that is to follow the others.
    other = next(root for root in reversed(named) if root not in whole[:1])
    return stop(
        f'The splits come from different folders: {"; ".join(said)}.',
        f'{named[other][0]}.dataset.data_root',
        f'--data-root {(whole or ["FOLDER"])[0]} puts all under one',
    )


def _one(case: Case, root: str) -> Iterator[Finding]:
    path = Path(root)
    where = 'train_dataloader.dataset.data_root'
    if case.args.data_root:
        where = '--data-root'
    if (path / 'classes.txt').is_file():
        return
    elsewhere = _elsewhere(path, Path(case.args.config))
    if elsewhere:
        yield stop(
            f'There is no dataset {root} below {Path.cwd()}, but there is '
            f'{elsewhere}.',
            where,
            f'--data-root {elsewhere}',
        )
    elif root == THEIRS and not path.exists():
        yield stop(
            f"{root} of MMPretrain's base config is still in force, and there "
            'is no such folder.',
            where,
            '--data-root FOLDER, made by: '
            + command('prepare', 'PHOTOS', '--out', 'FOLDER'),
        )
    elif classes := _class_folders(path / 'train'):
        shown = ', '.join(classes[:8]) + ', …' * (len(classes) > 8)
        yield stop(
            f'{root} has no classes.txt, which says what the labels mean; '
            f'its train/ holds {len(classes)} class folders.',
            f'{path / "classes.txt"}',
            f'write it, one name a line in this order: {shown}',
        )
    else:
        require_dataset(path)


def _order(case: Case, root: Path) -> Iterator[Finding]:
    """One line, where otherwise each photo has a wrong label."""
    lists = [
        part.get('ann_file') or f'{part.get("split", "train")}.txt'
        for part in datasets(case.cfg, ('train_dataloader',))
        if part.get('ann_file') or case.is_flower('train_dataloader')
    ]
    if not lists:
        return
    path = root / lists[0]
    classes = read_classes(root)
    order = listed_order(path, classes)
    if order is None or order == classes:
        return
    label = next(i for i, name in enumerate(classes) if order[i] != name)
    shown = ', '.join(order[:8]) + ', …' * (len(order) > 8)
    yield stop(
        f'classes.txt has the classes of {path.name} in another order: label '
        f'{label} is {order[label]} there, and {classes[label]} in '
        'classes.txt.',
        f'{root / "classes.txt"}',
        f'one name a line in the order of the labels: {shown}',
    )


def _elsewhere(root: Path, config: Path) -> Path | None:
    """A relative folder, seen from the config or from a folder above it."""
    if root.is_absolute():
        return None
    for base in list(config.resolve().parents)[: ABOVE + 1]:
        if (base / root / 'classes.txt').is_file():
            return base / root
    return None


def _class_folders(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(
        path.name
        for path in folder.iterdir()
        if path.is_dir() and not path.name.startswith('.')
    )
