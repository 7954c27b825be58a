"""The config in best.pth, checked as data before anything is built from it.

MMEngine builds whatever a config names: a `type` may be any function of any
module, some strings are evaluated, some types download or open files. Here
the config is rebuilt from closed lists: transforms with their arguments in
`allowed_transforms`, parts of a model in `allowed_parts`. What is on neither
list is refused.
"""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from flower_mm.config import walk
from flower_mm.errors import UserError, printable
from flower_mm.registry import MODELS, TRANSFORMS
from flower_mm.user_modules import allowed_modules, how_to_import
from flower_mm.weights import allowed_transforms
from flower_mm.weights.allowed_parts import (
    DisallowedValueError,
    PartChecker,
    argument_names,
    bare_name,
    find_classes,
    is_within,
    short,
    short_key,
    without_scope,
)
from flower_mm.weights.read_checkpoint import read_checkpoint

SCOPES = ('flower_mm', 'mmpretrain')
# What MMPretrain's inferencer looks at.
MODEL, PREPROCESSOR = 'model', 'data_preprocessor'
PIPELINE = 'test_dataloader.dataset.pipeline'
LONGEST_PIPELINE = 50  # transforms


class NoConfigError(UserError):
    """The file holds weights, but not what predicting needs."""


def config_of(path: str | Path, checkpoint: dict | None = None) -> Config:
    """Return what predicting needs of the config in a file, checked.

    Parts that the user's own modules register are allowed where he has named
    the modules, see flower_mm.user_modules.

    Args:
        path: The file.
        checkpoint: What it holds, where it has been read already.
    """
    path = Path(path)
    if checkpoint is None:
        checkpoint = read_checkpoint(path)
    meta = checkpoint.get('meta', {})
    config = meta.get('cfg')
    classes = (meta.get('dataset_meta') or {}).get('classes')
    if not isinstance(config, dict) or not classes:
        raise NoConfigError(
            f'{path} holds no config as plain values or no classes, as '
            "flower_mm's best.pth does."
        )
    scope = config.get('default_scope', 'flower_mm')
    if scope not in SCOPES:
        raise UserError(f'{path} is refused: default_scope is {short(scope)}')
    checker = PartChecker(allowed_modules())
    try:
        model = checker.model(_part_at(config, MODEL, path), MODEL)
        preprocessor = checker.preprocessor(
            _part_at(config, PREPROCESSOR, path), PREPROCESSOR
        )
        pipeline = _checked_pipeline(
            checker, _part_at(config, PIPELINE, path), PIPELINE
        )
    except DisallowedValueError as error:
        raise UserError(
            printable(f'{path} is refused: its config {error}', 1000)
        ) from error
    tested = config.get('test_cfg')
    fp16 = isinstance(tested, dict) and tested.get('fp16') is True
    return Config(
        {
            'default_scope': scope,
            'model': model,
            'data_preprocessor': preprocessor,
            'test_dataloader': {'dataset': {'pipeline': pipeline}},
            'test_cfg': {'fp16': fp16},
            # Whether the machine was to choose.
            'precision': 'auto' if config.get('precision') == 'auto' else '',
        }
    )


def own_modules(config: Config) -> list[str]:
    """The user's own modules that define parts of a config of `config_of`."""
    names = {bare_name(part.get('type')) for part in walk(config.to_dict())}
    classes = [
        cls
        for registry in (MODELS, TRANSFORMS)
        for name in names
        for cls in find_classes(registry, name)
    ]
    return [
        module
        for module in allowed_modules()
        if any(is_within(cls, (module,)) for cls in classes)
    ]


def _part_at(config: dict, place: str, path: Path) -> Any:  # dict or list
    part: Any = config
    for key in place.split('.'):
        part = part.get(key) if isinstance(part, dict) else None
    kind = (list, tuple) if place.endswith('pipeline') else dict
    if not part or not isinstance(part, kind):
        raise NoConfigError(
            f'{path} cannot predict: its config has no {place}'
        )
    return part


def _checked_pipeline(
    checker: PartChecker, steps: Sequence, place: str
) -> list[dict]:
    """The transforms: a photo is loaded first, and packed last."""
    if not 2 <= len(steps) <= LONGEST_PIPELINE:
        raise DisallowedValueError(
            f'has {len(steps)} transforms in its {place}'
        )
    found = [
        _checked_step(checker, step, f'{place}.{i}')
        for i, step in enumerate(steps)
    ]
    names = [step['type'] for step in found]
    ends = {
        0: allowed_transforms.LOAD,
        len(names) - 1: allowed_transforms.PACK,
    }
    for i, name in enumerate(names):
        wanted = ends.get(i)
        if name != wanted and (wanted or name in ends.values()):
            raise DisallowedValueError(
                f'names {short(name)} at {place}.{i}.type'
                + (f', not {wanted}' if wanted else '')
            )
    if names[1] in allowed_transforms.GROWING:
        raise DisallowedValueError(
            f'has {names[1]} before a resize at {place}.1'
        )
    return found


def _checked_step(checker: PartChecker, step: object, place: str) -> dict:
    if not isinstance(step, dict):
        raise DisallowedValueError(f'has {short(step)} at {place}')
    step = without_scope(step)
    name = bare_name(step.get('type'))
    classes = [
        # MMPretrain registers torchvision's so.
        cls.keywords['transform']
        if isinstance(cls, functools.partial)
        else cls
        for cls in find_classes(TRANSFORMS, name)
    ]
    if classes and checker.is_own(classes):
        return _own_step(checker, step, name, classes, place)
    allowed = allowed_transforms.TRANSFORMS.get(name)
    if allowed is None or not all(
        is_within(cls, allowed_transforms.MODULES) for cls in classes
    ):
        raise DisallowedValueError(
            f'names {short(step.get("type"))} at {place}.type, no transform '
            f'from a photo to a model; if it is your own: {how_to_import()}'
        )
    # A default that MMEngine writes out.
    values = {
        key: value
        for key, value in step.items()
        if key != 'type'
        and not (key in ('backend_args', 'file_client_args') and value is None)
    }
    values = checker.arguments(values, allowed, place)
    if name not in allowed_transforms.TAKE_LISTS:
        values = _with_tuples(values)
    return {'type': name, **values}


def _with_tuples(value: Any) -> Any:
    """Turn lists into tuples, which best.safetensors does not keep."""
    if isinstance(value, dict):
        return {key: _with_tuples(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(map(_with_tuples, value))
    return value


def _own_step(
    checker: PartChecker, step: dict, name: str, classes: list, place: str
) -> dict:
    names = set.union(*map(argument_names, classes))
    kept: dict[str, Any] = {'type': name}
    for key, value in step.items():
        where = f'{place}.{short_key(key)}'
        if key == 'type':
            continue
        if key not in names:
            raise DisallowedValueError(f'has {where}, no argument of its type')
        kept[key] = checker.part(value, where)
    return kept
