"""Is there one dataset folder for all splits?

Where this finds an error, the photos are not checked.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config

from flower_mm.annotations import require_dataset
from flower_mm.checks.finding import Finding
from flower_mm.commands import command
from flower_mm.config import LOADERS, walk
from flower_mm.layout import DatasetDir

STOCK_ROOT = 'data/imagenet'  # in the base configs of MMPretrain
# Keys by which a dataset says where its photos are.
PLACES = ('data_root', 'data_prefix', 'ann_file')
ABOVE = 4  # folders above the config in which a dataset is looked for


def check(cfg: Config, args: argparse.Namespace) -> Iterator[Finding]:
    """Check a config as it was read, without the command line."""
    roots: dict[str, list[str]] = {}
    for loader in LOADERS:
        if args.no_validate and loader == 'val_dataloader':
            continue
        for dataset in walk((cfg.get(loader) or {}).get('dataset')):
            if 'type' not in dataset or dataset.keys().isdisjoint(PLACES):
                continue
            root = dataset.get('data_root')
            if 'data_root' in dataset and args.data_root:
                root = args.data_root
            if root:
                roots.setdefault(str(root), []).append(loader)
            elif loader != 'test_dataloader':
                yield Finding(
                    'DATA001',
                    f'{loader}.dataset.data_root',
                    'not set: expected the folder that holds classes.txt',
                    "data_root='FOLDER', with ann_file and data_prefix "
                    'relative to it',
                )
                return
    if len(roots) > 1:
        yield _several(roots)
    elif roots:
        (root,) = roots
        yield from _missing(args, root)


def _several(roots: dict[str, list[str]]) -> Finding:
    used = [
        f'{" and ".join(dict.fromkeys(loaders))} from {root}'
        + (" (MMPretrain's default)" if root == STOCK_ROOT else '')
        for root, loaders in roots.items()
    ]
    whole = [
        root for root in roots if (Path(root) / DatasetDir.CLASSES).is_file()
    ]
    # The data loader that has to follow the others.
    other = next(root for root in reversed(roots) if root not in whole[:1])
    return Finding(
        'DATA002',
        f'{roots[other][0]}.dataset.data_root',
        f'the splits come from different folders: {"; ".join(used)}',
        f'--data {(whole or ["FOLDER"])[0]}',
    )


def _missing(args: argparse.Namespace, root: str) -> Iterator[Finding]:
    path = Path(root)
    where = 'train_dataloader.dataset.data_root'
    if args.data_root:
        where = '--data'
    if (path / DatasetDir.CLASSES).is_file():
        return
    for base in list(Path(args.config).resolve().parents)[: ABOVE + 1]:
        other = base / root
        if not path.is_absolute() and (other / DatasetDir.CLASSES).is_file():
            message = f'{root} does not exist in {Path.cwd()}'
            yield Finding('DATA001', where, message, f'--data {other}')
            return
    if root == STOCK_ROOT and not path.exists():
        yield Finding(
            'DATA001',
            where,
            f"{root}, MMPretrain's default, does not exist",
            '--data FOLDER, made by: '
            + command('prepare', 'PHOTOS', '--out', 'FOLDER'),
        )
    else:
        require_dataset(path)
