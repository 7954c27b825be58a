"""Names at the top level of a config that are set and not read.

MMEngine accepts any name there: a variable that the file does not use, a
misspelt key, a key of MMClassification 0.x.
"""

import inspect
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner

from flower_mm.annotations import read_classes
from flower_mm.checks.codes import Severity
from flower_mm.checks.config_source import ConfigSource
from flower_mm.checks.config_values import (
    first_of,
    parts_of,
    set_options,
    shown,
    value_at,
)
from flower_mm.checks.finding import Finding
from flower_mm.checks.registered_types import similar
from flower_mm.checks.setting_names import (
    MIGRATION,
    OLD_KEYS,
    names_classes,
    place_of,
)
from flower_mm.config import datasets, walk
from flower_mm.errors import UserError

# What Runner.from_cfg takes, and what else is read at the top level.
READ = set(inspect.signature(Runner.__init__).parameters) - {'self', 'cfg'}
READ |= {
    'activation_checkpointing',
    'compile',
    'custom_imports',
    'efficient_conv_bn_eval',
    'find_unused_parameters',
    'ignore_checks',
    'model_wrapper_cfg',
    'more_augments',
    'peak_lr',
    'precision',
    'runner_type',
    'strategy',
    'sync_bn',
    'tta_model',
    'tta_pipeline',
}
# Flags that decide whatever the config says.
FLAGS = {
    'train_dataloader.dataset.data_root': 'data_root',
    'randomness.seed': 'seed',
}
# What is said of a config with keys of MMClassification 0.x.
IN_FORCE = (
    'optim_wrapper.optimizer.lr',
    'train_cfg.max_epochs',
    'train_dataloader.batch_size',
)


def check_names(
    cfg: Config, args: Namespace, sources: list[ConfigSource]
) -> Iterator[Finding]:
    """Look through the user's own files and the options."""
    old: dict[str, str] = {}
    for name, value, where in _own_names(cfg, args, sources):
        place = place_of(name)
        flag = FLAGS.get(place or '')
        if name in READ or (flag and getattr(args, flag) is not None):
            continue
        if names_classes(name):
            yield from _classes(cfg, args, name, value, where)
        elif name not in OLD_KEYS:
            yield from _unused(cfg, args, name, value, where)
        elif value not in (None, value_at(cfg, place or '')):
            old.setdefault(name, where)
    if old:
        values = {path: value_at(cfg, path) for path in IN_FORCE}
        in_force = ', '.join(f'{p}={v}' for p, v in values.items() if v)
        yield Finding(
            'CFG004',
            next(iter(old.values())),
            f'{first_of(list(old), 20)}: keys of MMClassification 0.x have no '
            f'effect; in force: {in_force or "none of them"}',
            f'rename them as in {MIGRATION}',
        )


def _own_names(
    cfg: Config, args: Namespace, sources: list[ConfigSource]
) -> Iterator[tuple[str, object, str]]:
    """Yield name, value and place of what the user sets."""
    own = [source for source in sources if not source.packaged]
    for source in own:
        used = source.used.union(
            *(other.used for other in own if other.depth < source.depth)
        )
        for name, line in source.names.items():
            if name in cfg and name not in used and name[0] != '_':
                yield name, cfg[name], f'{source.path}:{line}'
    for path, value in (args.cfg_options or {}).items():
        name, _, key = path.partition('.')
        value = {key: value} if key else value
        yield name, value, f'--cfg-options {path}'


def _unused(
    cfg: Config, args: Namespace, name: str, value: object, where: str
) -> Iterator[Finding]:
    place = place_of(name)
    if place == 'load_from' and value_at(cfg, 'default_hooks.pretrained'):
        place = 'default_hooks.pretrained.weights'
    close = similar(name, READ)
    if not place and not close:
        place = _place_of_key(cfg, name)
    if place:
        now = value_at(cfg, place)
        # The command line decides about a place that it sets.
        if place in (args.cfg_options or {}) or now == value:
            return
        state = f'stays {shown(now)}'
        if now is None:
            state = 'is not set'
        elif isinstance(now, (dict, list)):
            state = 'has another value'
        fix = f'set {place} instead'
        if not isinstance(value, (dict, list, tuple)):
            fix = set_options({place: value})
        message = f'{name} is set and not read: {place} {state}'
        yield Finding('CFG002', where, message, fix)
    elif close:
        message, fix = f'unknown key {name!r}', f'did you mean {close!r}?'
        yield Finding('CFG001', where, message, fix, Severity.WARNING)
    else:
        # Settings of something, or a number that somebody keeps there.
        severity = Severity.WARNING if any(walk(value)) else Severity.NOTE
        message = f'{name} is set and not used'
        yield Finding('CFG003', where, message, 'remove it', severity)


def _classes(
    cfg: Config, args: Namespace, name: str, value: object, where: str
) -> Iterator[Finding]:
    """classes.txt decides about the classes."""
    roots = [part.data_root for part in datasets(cfg, ('train_dataloader',))]
    try:
        classes = read_classes(Path(args.data_root or roots[0]))
    except (UserError, OSError, TypeError, IndexError):
        return  # another check reports it
    same = value == len(classes)
    if isinstance(value, (list, tuple)):
        same = list(value) == classes
    if not same and not isinstance(value, str):
        yield Finding(
            'CFG013',
            where,
            f'{name} is set and not read: classes.txt names {len(classes)} '
            f'classes, {first_of(classes)}',
            'remove it; the classes are named after the folders of the photos',
        )


def _place_of_key(cfg: Config, name: str) -> str | None:
    """Return where the config has a key of this name, nearest the top."""
    places = [
        f'{path}.{name}'
        for key in cfg
        if key in READ or '_data' in key
        for path, part in parts_of(cfg[key], key)
        if name in part
    ]
    return min(places, key=lambda place: place.count('.'), default=None)
