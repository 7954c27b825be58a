"""Do config, labels and photos agree with classes.txt?"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from mmpretrain.datasets import CustomDataset

from flower_mm.checks.codes import Severity
from flower_mm.checks.config_values import (
    first_of,
    parts_of,
)
from flower_mm.checks.context import CheckContext, Split
from flower_mm.checks.finding import Finding
from flower_mm.config import walk
from flower_mm.layout import DatasetDir
from flower_mm.prepare.class_folders import is_clutter, is_photo_name

# Where numbers of classes are.
PARTS = ('model', 'data_preprocessor', 'val_evaluator', 'test_evaluator')
IMAGENET = 1000
FEW = 5  # photos of a class
UNEVEN = 10  # times as many photos of one class as of another


def check(ctx: CheckContext) -> Iterator[Finding]:
    yield from _numbers(ctx)
    yield from _top_k(ctx)
    for split in ctx.splits.values():
        yield from _names(ctx, split)
        yield from _labels(ctx, split)
    yield from _counts(ctx)


# --- the config --------------------------------------------------------------


def _numbers(ctx: CheckContext) -> Iterator[Finding]:
    """Numbers of classes in the config, which classes.txt overrides."""
    count = len(ctx.classes)
    stated = {
        f'{place}.num_classes': part['num_classes']
        for name in PARTS
        for place, part in parts_of(ctx.as_read.get(name), name)
        if part.get('num_classes') not in (None, -1, count)
    }
    # Every model of MMPretrain has ImageNet's number.
    meant = [
        place
        for place, number in stated.items()
        if number != IMAGENET or place.startswith('data_preprocessor')
    ]
    if meant:
        yield Finding(
            'CFG013',
            meant[0],
            f'{stated[meant[0]]} classes are ignored: classes.txt of '
            f'{ctx.root} names {count}',
            'remove it; or, if it is right, --data-root of that dataset',
            Severity.NOTE,
        )


def _top_k(ctx: CheckContext) -> Iterator[Finding]:
    """Top-5 of five classes is always right, and is left out."""
    count = len(ctx.classes)
    for name in PARTS:
        for place, part in parts_of(ctx.as_read.get(name), name):
            topk = part.get('topk') or ()
            topk = (topk,) if isinstance(topk, int) else topk
            if max(topk, default=0) >= count:
                yield Finding(
                    'CFG015',
                    f'{place}.topk',
                    f'top-{max(topk)} of {count} classes is always 100 % and '
                    'is not measured',
                    'topk=(1,), or more classes',
                )
                return


def _names(ctx: CheckContext, split: Split) -> Iterator[Finding]:
    """Names that the config or the type of a dataset gives the labels."""
    place, classes, names = f'{split.loader}.dataset', ctx.classes, None
    where = f'{place}.metainfo'
    fix = (
        f'--cfg-options {place}.metainfo=None {place}.classes='
        f'{ctx.root / DatasetDir.CLASSES}'
    )
    if not ctx.is_flower(split.loader):
        names = split.classes
    for _, part in ctx.flowers(split.loader):
        if part.get('classes'):
            where, names = f'{place}.classes', list(part.classes)
            fix = 'remove it: classes.txt counts'
    if names is None or names == classes:
        return
    code, severity = 'CFG013', None
    message = f'{first_of(names)}; classes.txt names {first_of(classes)}'
    if not names:
        message = 'the dataset has no class names, which best.pth needs'
        if split.loader == 'test_dataloader':
            return
        if ctx.is_flower_run:
            severity = Severity.ERROR
    elif sorted(names) == sorted(classes) and where.endswith('metainfo'):
        code = 'DATA003'
        label = next(i for i, name in enumerate(classes) if names[i] != name)
        message = (
            f'label {label} is {names[label]!r} for {split.loader} and '
            f'{classes[label]!r} in classes.txt'
        )
    yield Finding(code, where, message, fix, severity)


# --- labels ------------------------------------------------------------------


def _labels(ctx: CheckContext, split: Split) -> Iterator[Finding]:
    """Compare labels with class folders, as FlowerDataset does itself."""
    if ctx.is_flower(split.loader):
        return
    number = {name: i for i, name in enumerate(ctx.classes)}
    root, wrong = str(ctx.root), []
    for photo, label in zip(split.photos, split.labels.tolist(), strict=True):
        below = photo.removeprefix(root).replace('\\', '/').split('/')
        folder = next((part for part in below[:-1] if part in number), None)
        named = number.get(folder)
        if not 0 <= label < len(number) or named not in (None, label):
            wrong.append((photo, label, folder))
    if not wrong:
        return
    # Rather one whose folder says what the label should be.
    photo, label, folder = min(wrong, key=lambda row: row[2] is None)
    meaning = f'and classes.txt ends at {len(number) - 1}'
    if 0 <= label < len(number):
        meaning = f'which is {ctx.classes[label]!r} in classes.txt'
    where = f'{split.loader}.dataset'
    message = (
        f'{len(wrong)} of {len(split.photos)} labels of {split.name} differ '
        f'from the folders: {photo} has {label}, {meaning}'
    )
    fix = (
        'labels are line numbers in classes.txt, from 0; '
        f'{ctx.as_prepared(split.loader)}'
    )
    yield Finding('DATA023', where, message, fix)


# --- numbers of photos -------------------------------------------------------


def _counts(ctx: CheckContext) -> Iterator[Finding]:
    count = len(ctx.classes)
    counts = {}
    for loader, split in ctx.splits.items():
        known = split.labels[(split.labels >= 0) & (split.labels < count)]
        counts[loader] = np.bincount(known, minlength=count)
    train = counts['train_dataloader']
    listed = ctx.list_of('train_dataloader')
    yield from _absent(ctx, counts)
    for loader, split in ctx.splits.items():
        names = [ctx.classes[i] for i in np.flatnonzero(counts[loader])]
        unread = _unread_files(ctx, split, names)
        if unread:
            yield unread
    few = np.flatnonzero((train > 0) & (train < FEW))
    if len(few):
        numbers = [f'{ctx.classes[i]} ({train[i]})' for i in few]
        message = f'few training photos: {first_of(numbers)}'
        fix = 'add photos of them, or remove these classes'
        yield Finding('DATA012', listed, message, fix)
    present = np.flatnonzero(train)
    if len(present):
        most = present[train[present].argmax()]
        least = present[train[present].argmin()]
        if train[most] >= UNEVEN * train[least]:
            yield Finding(
                'DATA013',
                'train_dataloader.dataset',
                f'{train[most]} photos of {ctx.classes[most]} and '
                f'{train[least]} of {ctx.classes[least]}: accuracy says '
                'little about the small classes',
                "dict(type='ClassBalancedDataset', oversample_thr="
                f'{1 / count:.2g}, dataset=dict(…))',
            )


def _absent(ctx: CheckContext, counts: dict) -> Iterator[Finding]:
    train = counts['train_dataloader']
    held_out = [c for name, c in counts.items() if name != 'train_dataloader']
    absent = np.flatnonzero(train == 0)
    tested = [i for i in absent if any(held[i] for held in held_out)]
    # A run on the first photos of a list is a trial.
    trial = any(
        part.get('indices') is not None
        for part in walk(ctx.cfg.train_dataloader.dataset)
    )
    if len(absent):
        yield _without_photos(
            ctx,
            'DATA010',
            'train_dataloader',
            tested if tested and not trial else absent,
            Severity.ERROR if tested and not trial else None,
        )
    if 'val_dataloader' in counts:
        missing = np.flatnonzero((counts['val_dataloader'] == 0) & (train > 0))
        if len(missing):
            yield _without_photos(ctx, 'DATA011', 'val_dataloader', missing)


def _without_photos(
    ctx: CheckContext,
    code: str,
    loader: str,
    labels: list[int],
    severity: Severity | None = None,
) -> Finding:
    names = [ctx.classes[i] for i in labels]
    split = ctx.splits[loader]
    message = f'no photo of {first_of(names)} in {split.name}'
    where, fix = ctx.list_of(loader), f'add photos: {ctx.prepare}'
    unread = _unread_files(ctx, split, names, any_kind=True)
    if unread:
        where, fix = unread.where, unread.fix
        message += f', but {unread.message}'
    return Finding(code, where, message, fix, severity)


def _unread_files(
    ctx: CheckContext, split: Split, names: list[str], any_kind: bool = False
) -> Finding | None:
    """Files that MMPretrain's CustomDataset leaves out for their endings."""
    dataset = split.dataset
    while hasattr(dataset, 'dataset'):
        dataset = dataset.dataset
    if not isinstance(dataset, CustomDataset) or dataset.ann_file:
        return None
    files = [
        file
        for name in names
        for file in sorted((Path(dataset.img_prefix) / name).rglob('*'))
        if not dataset.is_valid_file(file.name)
        and not is_clutter(file.name)
        and (any_kind or is_photo_name(file.name))
        and file.is_file()
    ]
    if not files:
        return None
    *_, (place, _) = ctx.parts(split.loader)
    where = f'{place}.extensions'
    fix = f'save them as JPEG, with the ending .jpg; or add them to {where}'
    endings = {file.suffix.lower() or 'none' for file in files}
    message = (
        f'{len(files)} file(s) in the class folders of {split.name} have '
        f'endings that are not read ({first_of(sorted(endings))}), such as '
        f'{files[0]}'
    )
    return Finding('DATA014', where, message, fix)
