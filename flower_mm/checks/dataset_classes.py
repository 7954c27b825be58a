"""Do config, labels and photos agree with classes.txt?"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from mmpretrain.datasets import CustomDataset

from flower_mm.checks.codes import Severity
from flower_mm.checks.config_values import first_of, parts_of
from flower_mm.checks.context import CheckContext, Split
from flower_mm.checks.finding import Finding
from flower_mm.config import walk
from flower_mm.layout import DatasetDir
from flower_mm.prepare.file_tree import is_clutter, is_photo_name

# Where numbers of classes are.
PARTS = ('model', 'data_preprocessor', 'val_evaluator', 'test_evaluator')
IMAGENET = 1000
FEW = 5  # photos of a class
UNEVEN = 10  # times as many photos of one class as of another


def check(ctx: CheckContext) -> Iterator[Finding]:
    yield from _numbers(ctx)
    for split in ctx.splits.values():
        yield from _names(ctx, split)
        yield from _labels(ctx, split)
    yield from _counts(ctx)


# --- the config --------------------------------------------------------------


def _numbers(ctx: CheckContext) -> Iterator[Finding]:
    """Numbers in the config that the number of classes overrides."""
    count, ignored, topk = len(ctx.classes), {}, {}
    for name in PARTS:
        # --no-validate leaves a part out.
        parts = parts_of(ctx.cfg.get(name) and ctx.as_read.get(name), name)
        for place, part in parts:
            stated = part.get('num_classes')
            # Every model of MMPretrain has ImageNet's number.
            usual: tuple[int | None, ...] = (None, -1, count)
            if name != 'data_preprocessor':
                usual += (IMAGENET,)
            if stated not in usual:
                ignored[f'{place}.num_classes'] = stated
            k = part.get('topk') or ()
            k = k if isinstance(k, int) else max(k, default=0)
            if k >= count:
                topk[f'{place}.topk'] = k
    for place, stated in list(ignored.items())[:1]:
        yield Finding(
            'CFG013',
            place,
            f'{stated} classes are ignored: classes.txt of {ctx.root} names '
            f'{count}',
            'remove it; or, if it is right, --data of that dataset',
            Severity.NOTE,
        )
    for place, k in list(topk.items())[:1]:
        yield Finding(
            'CFG015',
            place,
            f'top-{k} of {count} classes is always 100 % and is not measured',
            'topk=(1,), or more classes',
        )


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
        named = number.get(folder or '')
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
    absent, held_out = train == 0, sum(counts.values()) - train
    # A run on the first photos of a list is a trial.
    trial = any(
        part.get('indices') is not None
        for part in walk(ctx.cfg.train_dataloader.dataset)
    )
    severity = None
    if not trial and np.any(absent & (held_out > 0)):
        absent, severity = absent & (held_out > 0), Severity.ERROR
    lacking = [('DATA010', 'train_dataloader', absent, severity)]
    if 'val_dataloader' in counts:
        missing = (counts['val_dataloader'] == 0) & (train > 0)
        lacking.append(('DATA011', 'val_dataloader', missing, None))
    for code, loader, mask, severity in lacking:
        if np.any(mask):
            yield _without_photos(ctx, code, loader, mask, severity)
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
        listed = ctx.list_of('train_dataloader')
        yield Finding('DATA012', listed, message, fix)
    most = train.argmax()
    least = np.where(train > 0, train, train[most]).argmin()
    balanced = any(part.get('class_weight') for part in walk(ctx.cfg.model))
    if train[most] and train[most] >= UNEVEN * train[least] and not balanced:
        yield Finding(
            'DATA013',
            'train_dataloader.dataset',
            f'{train[most]} photos of {ctx.classes[most]} and {train[least]} '
            f'of {ctx.classes[least]}: accuracy says little about the small '
            'classes',
            '--balance',
        )


def _without_photos(
    ctx: CheckContext,
    code: str,
    loader: str,
    mask: np.ndarray,
    severity: Severity | None,
) -> Finding:
    names = [ctx.classes[i] for i in np.flatnonzero(mask)]
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
