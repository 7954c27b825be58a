"""Do all parts of a config agree with classes.txt?"""

import re
from collections.abc import Iterator

from mmengine.config import Config, ConfigDict

from flower_mm.checks.case import Case, Split
from flower_mm.checks.dataset.labels import labels
from flower_mm.checks.finding import Finding, note, stop, warn
from flower_mm.checks.machine.disk import is_theirs
from flower_mm.config import walk
from flower_mm.weights.best_checkpoint import TOP1

# Where numbers of classes stand.
PARTS = ('model', 'data_preprocessor', 'val_evaluator', 'test_evaluator')
WEIGHTS = ('class_weight', 'pos_weight')
IMAGENETS = 1000
SHOWN = 4  # names of a list


def check(case: Case) -> Iterator[Finding]:
    yield from _numbers(case)
    yield from _loss_weights(case)
    yield from _topk(case)
    yield from _monitored(case)
    for split in case.splits.values():
        yield from _names(case, split)
        yield from labels(case, split)


def _numbers(case: Case) -> Iterator[Finding]:
    """What classes.txt puts right is worth a note, if anything."""
    count = len(case.classes)
    left = _stated(case.settled, 'num_classes')
    for place, number in left.items():
        if number != count:
            level = stop if number < count else warn
            yield level(
                f'{number} classes are reckoned with here, and classes.txt '
                f'names {count}.',
                place,
                f'--cfg-options {place}={count}',
            )
    mended = {
        place: number
        for place, number in _stated(case.cfg, 'num_classes').items()
        if number != count and left.get(place) == count
    }
    # Every model of MMPretrain comes with ImageNet's number.
    meant = [
        place
        for place, number in mended.items()
        if number != IMAGENETS
        or not place.startswith('model.')
        or 'data_preprocessor' in place
    ]
    if meant:
        numbers = ' and '.join(map(str, sorted(set(mended.values()))))
        yield note(
            f'The config speaks of {numbers} classes in {", ".join(mended)}; '
            f'classes.txt of {case.root} names {count}, and they count.',
            meant[0],
            'leave it out; or, if it was right, name the other dataset: '
            '--data-root FOLDER',
        )


def _stated(cfg: Config, key: str) -> dict[str, object]:
    """Every value of a key in the parts that know of classes, by its place."""
    return {
        f'{place}.{key}': part[key]
        for name in PARTS
        for place, part in places(cfg.get(name), name)
        if part.get(key) is not None
    }


def places(part: object, name: str) -> Iterator[tuple[str, ConfigDict]]:
    """Every dictionary in a piece of config, with the key that leads there."""
    if isinstance(part, dict):
        yield name, part
        for key, value in part.items():
            yield from places(value, f'{name}.{key}')
    elif isinstance(part, (list, tuple)):
        for index, value in enumerate(part):
            yield from places(value, f'{name}.{index}')


def _loss_weights(case: Case) -> Iterator[Finding]:
    count = len(case.classes)
    for place, part in places(case.settled.model, 'model'):
        for key in WEIGHTS:
            given = part.get(key)
            if isinstance(given, (list, tuple)) and len(given) != count:
                yield stop(
                    f'The loss has weights for {len(given)} classes, and '
                    f'classes.txt names {count}.',
                    f'{place}.{key}',
                    f'{count} numbers, in the order of classes.txt',
                )


def _topk(case: Case) -> Iterator[Finding]:
    """Top-5 of five classes is always right."""
    count = len(case.classes)
    asked = _stated(case.cfg, 'topk')
    left = _stated(case.settled, 'topk')
    dropped = {k for value in asked.values() for k in _each(value)} - {
        k for value in left.values() for k in _each(value)
    }
    if dropped:
        k = min(dropped)
        yield note(
            f'Top-{k} of {count} classes is always 100 %: it is not measured.',
            next(place for place, v in asked.items() if k in _each(v)),
            'topk=(1,), or more classes',
        )
    for place, value in left.items():
        if place.startswith('model.'):
            continue  # the head's, and it is mended
        k = max(_each(value))
        if k >= count:
            level, result = (
                (stop, 'cannot be computed')
                if k > count
                else (warn, 'is always 100 %')
            )
            yield level(
                f'Top-{k} of {count} classes {result}.',
                place,
                f'--cfg-options "{place}=(1,)"',
            )


def _each(topk: int | tuple) -> tuple:
    return (topk,) if isinstance(topk, int) else tuple(topk)


def _monitored(case: Case) -> Iterator[Finding]:
    """What decides about best.pth or the rate has to be measured."""
    evaluator = case.settled.get('val_evaluator')
    if not evaluator:
        return
    measured = {
        k
        for part in walk(evaluator)
        if str(part.get('type')).endswith('Accuracy')
        for k in _each(part.get('topk', (1,)))
    }
    for place, metric in _decisive(case):
        found = re.search(r'accuracy/top(\d+)$', str(metric))
        if found and int(found[1]) not in measured:
            mend = f'--cfg-options {place}=accuracy/top1'
            if 1 not in measured:
                mend = "dict(type='Accuracy', topk=(1,)) in val_evaluator"
            yield stop(
                f'{metric} is waited for, and val_evaluator does not measure '
                f'it with {len(case.classes)} classes.',
                place,
                mend,
            )


def _decisive(case: Case) -> Iterator[tuple[str, object]]:
    """Metrics that hooks and schedules name, and where they do."""
    for name in ('default_hooks', 'custom_hooks', 'param_scheduler'):
        for place, part in places(case.settled.get(name), name):
            for key, value in part.items():
                yield f'{place}.{key}', value
    hook = (case.settled.get('default_hooks') or {}).get('checkpoint')
    if hook and 'save_best' not in hook and not is_theirs(case, hook):
        yield 'default_hooks.checkpoint.save_best', TOP1


def _names(case: Case, split: Split) -> Iterator[Finding]:
    """Names that a config or a dataset's type gives the labels."""
    if case.is_flower(split.loader):
        for part in walk(case.cfg[split.loader].dataset):
            named = part.get('classes')
            if named and list(named) != case.classes:
                yield warn(
                    f'The classes {_some(named)} are not heeded: the labels '
                    f'mean what classes.txt says, {_some(case.classes)}.',
                    f'{split.loader}.dataset.classes',
                    'leave it out',
                )
        return
    where = f'{split.loader}.dataset.metainfo'
    mend = (
        f'--cfg-options {where}=None {split.loader}.dataset.classes='
        f'{case.root / "classes.txt"}'
    )
    if not split.classes:
        if _wants_names(case) and split.loader != 'test_dataloader':
            yield stop(
                'The dataset does not name its classes, which best.pth and '
                'the run record.',
                where,
                mend,
            )
    elif sorted(split.classes) == sorted(case.classes):
        if split.classes != case.classes:
            first = next(
                i
                for i, name in enumerate(case.classes)
                if split.classes[i] != name
            )
            yield stop(
                f'Label {first} is {split.classes[first]!r} for '
                f'{split.loader} and {case.classes[first]!r} in classes.txt: '
                'the same classes in another order.',
                where,
                mend,
            )
    elif split.classes != case.classes:
        yield warn(
            f'{split.loader} calls its {len(split.classes)} classes '
            f'{_some(split.classes)}, classes.txt names {len(case.classes)}: '
            f'{_some(case.classes)}.',
            where,
            mend,
        )


def _wants_names(case: Case) -> bool:
    return any(
        str(hook.get('type')).rpartition('.')[2]
        in ('RunRecordHook', 'ProgressHook')
        for hook in (case.cfg.get('default_hooks') or {}).values()
        if hook
    )


def _some(names: list[str]) -> str:
    more = f' and {len(names) - SHOWN} more' if len(names) > SHOWN else ''
    return ', '.join(map(str, names[:SHOWN])) + more
