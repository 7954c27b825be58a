"""Places in a config, and changes there that the user can paste."""

import os.path
import shlex


def option(path: str, value: object) -> str:
    return f'--cfg-options {setting(path, value)}'


def setting(path: str, value: object) -> str:
    """One of several that follow --cfg-options."""
    if isinstance(value, (list, tuple)):
        value = f'[{",".join(map(str, value))}]'
    return shlex.quote(f'{path}={value}')


def nested(path: str, value: str) -> str:
    """Path and value as they stand in a config file."""
    if any(step.isdigit() for step in path.split('.')):
        return f'{path} is the place for it'
    first, *rest = path.split('.')
    opened = ''.join(f'dict({step}=' for step in rest)
    return f'{first} = {opened}{value}{")" * len(rest)}'


def code(value: object) -> str:
    """A value as it is written in a config file."""
    if isinstance(value, dict):
        if not all(str(key).isidentifier() for key in value):
            pairs = (f'{key!r}: {code(item)}' for key, item in value.items())
            return f'{{{", ".join(pairs)}}}'
        pairs = (f'{key}={code(item)}' for key, item in value.items())
        return f'dict({", ".join(pairs)})'
    if isinstance(value, list):
        return f'[{", ".join(map(code, value))}]'
    return value.__name__ if isinstance(value, type) else repr(value)


def value_at(part: object, path: str, default: object = None) -> object:
    """What the config has at `a.b.0.c`."""
    for step in path.split('.'):
        try:
            part = part[int(step) if isinstance(part, (list, tuple)) else step]
        except (KeyError, IndexError, TypeError, ValueError):
            return default
    return part


def shown(value: object) -> str:
    """A value as it is best read: a path without detours."""
    if isinstance(value, str) and '/../' in value and '://' not in value:
        value = os.path.normpath(value)
    return repr(value)
