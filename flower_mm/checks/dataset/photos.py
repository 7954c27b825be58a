"""Are the photos where the config says, and some held out?"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import ConfigDict

from flower_mm.checks.case import Case, Split
from flower_mm.checks.finding import Finding, note, stop, warn
from flower_mm.config import datasets, walk
from flower_mm.errors import UserError

# Folders that are not a split's; testing reads val where it has to.
OTHERS = {
    'train': {'val', 'test'},
    'val': {'train', 'test'},
    'test': {'train'},
}
REPEATING = ('RepeatDataset', 'ClassBalancedDataset')


def check(case: Case) -> Iterator[Finding]:
    for split in case.splits.values():
        # FlowerDataset checks its list; MMPretrain's datasets take any.
        if not case.is_flower(split.loader):
            yield from _missing(case, split)
            yield from _twice(case, split)
    yield from _held_out(case)


def _missing(case: Case, split: Split) -> Iterator[Finding]:
    lost = [photo for photo in split.photos if not Path(photo).is_file()]
    if not lost:
        return
    dataset = next(datasets(case.cfg, (split.loader,)))
    # A prefix is wrong for all photos or for none.
    prefix = None
    if len(lost) == len(split.photos):
        prefix = _prefix_for(lost[0], dataset, split.name)
    text = (
        f'{len(lost)} of {len(split.photos)} photos of {split.name} are not '
        f'there, such as {lost[0]}'
    )
    if prefix is None:
        yield stop(
            f'{text}.',
            case.list_of(split.loader),
            'mend the list, or data_root and data_prefix of '
            f'{split.loader}.dataset',
        )
    else:
        where = f'{split.loader}.dataset.data_prefix'
        yield stop(
            text + (f'; in {prefix} they are.' if prefix else '.'),
            where,
            f'--cfg-options {where}={prefix or repr("")}',
        )


def _prefix_for(photo: str, dataset: ConfigDict, split: str) -> str | None:
    """A folder under data_root from which the lines lead somewhere.

    Not that of another split: its photos may have the same names.
    """
    root = Path(dataset.data_root)
    prefix = dataset.get('data_prefix') or dataset.get('split') or ''
    if isinstance(prefix, dict):
        prefix = prefix.get('img_path', '')
    try:
        line = Path(photo).relative_to(root / prefix)
    except ValueError:
        return None
    folders = {path.name for path in root.iterdir() if path.is_dir()}
    folders = sorted(
        folders - OTHERS[split], key=lambda name: (name != split, name)
    )
    for folder in ('', *folders):
        if (root / folder / line).is_file():
            return folder
    return None


def _twice(case: Case, split: Split) -> Iterator[Finding]:
    kinds = [p.get('type') for p in walk(case.cfg[split.loader].dataset)]
    if any(kind in REPEATING for kind in kinds):
        return
    twice = [p for p, n in Counter(split.photos).items() if n > 1]
    if twice:
        # In train it may be meant: it then weighs twice.
        level = note if split.loader == 'train_dataloader' else warn
        yield level(
            f'{len(twice)} photo(s) are listed more than once in '
            f'{split.name}, such as {twice[0]}.',
            case.list_of(split.loader),
            'one line a photo',
        )


def _held_out(case: Case) -> Iterator[Finding]:
    if case.args.no_validate:
        return
    if 'val_dataloader' not in case.splits:
        yield note(
            'Nothing is validated, so that no best.pth is kept.',
            'val_dataloader',
            'as in configs/_base_/flower.py, with val_cfg and val_evaluator',
        )
        return
    try:
        test = case.splits.get('test_dataloader') or (
            case.settled.get('test_dataloader')
            and case.read_split('test_dataloader')
        )
    except UserError as error:
        # Training does not ask for it.
        yield note(f'There will be no test: {error}', '', '')
        return
    if test and set(test.photos) != set(case.splits['val_dataloader'].photos):
        return
    yield note(
        'There are no photos for a test: the epoch is chosen on those of val, '
        'so that the figure of the best one is a little too good.',
        f'{case.root / "test.txt"}',
        f'with --test 0.1: {case.prepare}',
    )
