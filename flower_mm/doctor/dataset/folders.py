"""Has each class its folder, where the folders are what is numbered?

MMPretrain's datasets without ann_file count the class folders that they find.
Where one is missing, each label behind it means the class before.
"""

import shlex
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import ConfigDict

from flower_mm.datasets.annotations import read_classes
from flower_mm.doctor.case import Case
from flower_mm.doctor.finding import Finding, stop
from flower_mm.settings import LOADERS, datasets

SHOWN = 5  # classes of a list


def check(case: Case, root: Path) -> Iterator[Finding]:
    classes = read_classes(root)
    told = set()
    for loader in LOADERS:
        for dataset in datasets(case.cfg, (loader,)):
            folder = _numbered(root, dataset)
            if folder is None or folder in told or not folder.is_dir():
                continue
            told.add(folder)
            there = {path.name for path in folder.iterdir() if path.is_dir()}
            missing = [name for name in classes if name not in there]
            # With folders of other names another one is meant.
            if there and missing and there <= set(classes):
                yield _lacking(loader, folder, missing)


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
