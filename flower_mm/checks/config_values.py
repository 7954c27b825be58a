"""Read, show and change single values of a config."""

import os.path
import shlex
from collections.abc import Iterator, Mapping

from mmengine.config import Config


def value_at(part: object, path: str, default: object = None) -> object:
    """Return what the config has at `a.b.0.c`."""
    for step in path.split('.'):
        try:
            part = part[int(step) if isinstance(part, (list, tuple)) else step]
        except (KeyError, IndexError, TypeError, ValueError):
            return default
    return part


def parts_of(part: object, path: str) -> Iterator[tuple[str, dict]]:
    """Yield every dictionary of a piece of config with its path."""
    if isinstance(part, dict):
        yield path, part
        for key, value in part.items():
            yield from parts_of(value, f'{path}.{key}')
    elif isinstance(part, (list, tuple)):
        for index, value in enumerate(part):
            yield from parts_of(value, f'{path}.{index}')


def bare_name(name: object) -> str:
    """Return the class name of a `type`, without scope or module."""
    name = name if isinstance(name, str) else getattr(name, '__name__', '')
    return name.rpartition('.')[2].rpartition('/')[2]


def scope_of(cfg: Config, part: Mapping | None = None) -> str:
    """Return the registry scope in which the type of a part is found."""
    scope = (part or {}).get('_scope_') or cfg.get('default_scope')
    return scope or 'mmengine'


def set_options(values: Mapping[str, object]) -> str:
    """Return the `--cfg-options` words that set these paths."""
    words = []
    for path, value in values.items():
        if isinstance(value, (list, tuple)):
            value = f'[{",".join(map(str, value))}]'
        words.append(shlex.quote(f'{path}={value}'))
    return f'--cfg-options {" ".join(words)}'


def as_code(value: object) -> str:
    """Return a value as it is written in a config file."""
    if isinstance(value, dict):
        pairs = (f'{key}={as_code(item)}' for key, item in value.items())
        return f'dict({", ".join(pairs)})'
    if isinstance(value, (list, tuple)):
        return f'[{", ".join(map(as_code, value))}]'
    return value.__name__ if isinstance(value, type) else repr(value)


def shown(value: object) -> str:
    """Return a short representation, paths without `..`."""
    if isinstance(value, str) and '/../' in value and '://' not in value:
        value = os.path.normpath(value)
    return f'{value!r:.80}'


def first_of(names: list, most: int = 5) -> str:
    """Join the first names and count the others."""
    more = f' and {len(names) - most} more' if len(names) > most else ''
    return ', '.join(map(str, names[:most])) + more
