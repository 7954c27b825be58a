"""Read, show and change single values of a config."""

import os.path
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config

from flower_mm.config import bare_name

# Keys with a flag of their own in `train` and `check`.
FLAGS = {
    'default_hooks.pretrained.weights': '--weights',
    'optim_wrapper.optimizer.lr': '--lr',
    'randomness.seed': '--seed',
    'train_cfg.max_epochs': '--epochs',
    'train_dataloader.batch_size': '--batch-size',
    'train_dataloader.dataset.data_root': '--data',
    'train_dataloader.num_workers': '--workers',
}


def value_at(part: Any, path: str, default: Any = None) -> Any:
    """Return what the config has at `a.b.0.c`."""
    for step in path.split('.'):
        try:
            part = part[int(step) if isinstance(part, (list, tuple)) else step]
        except (KeyError, IndexError, TypeError, ValueError):
            return default
    return part


def parts_of(part: object, path: str) -> Iterator[tuple[str, Any]]:
    """Yield every dictionary of a piece of config with its path."""
    if isinstance(part, dict):
        yield path, part
        for key, value in part.items():
            yield from parts_of(value, f'{path}.{key}')
    elif isinstance(part, (list, tuple)):
        for index, value in enumerate(part):
            yield from parts_of(value, f'{path}.{index}')


def has_hook(cfg: Config, name: str) -> bool:
    """Whether one of the hooks has this type."""
    hooks = [cfg.get('default_hooks'), cfg.get('custom_hooks')]
    return any(
        bare_name(part.get('type')) == name for _, part in parts_of(hooks, '')
    )


def scope_of(cfg: Config, part: Mapping | None = None) -> str:
    """Return the registry scope in which the type of a part is found."""
    scope = (part or {}).get('_scope_') or cfg.get('default_scope')
    return scope or 'mmengine'


def set_options(values: Mapping[str, object]) -> str:
    """Return the words of the command line that set these keys."""
    flags, options = [], []
    for path, value in values.items():
        if isinstance(value, (list, tuple)):
            value = f'[{",".join(map(str, value))}]'
        if path in FLAGS and value is not None:
            flags += [FLAGS[path], shlex.quote(str(value))]
        else:
            options.append(shlex.quote(f'{path}={value}'))
    return ' '.join([*flags, *['--cfg-options'][: len(options)], *options])


def shown(value: object) -> str:
    """Return a short representation, paths without `..`."""
    if isinstance(value, str) and '/../' in value and '://' not in value:
        value = os.path.normpath(value)
    return f'{value!r:.80}'


def first_of(names: list, most: int = 5) -> str:
    """Join the first names and count the others."""
    more = f' and {len(names) - most} more' if len(names) > most else ''
    return ', '.join(map(str, names[:most])) + more
