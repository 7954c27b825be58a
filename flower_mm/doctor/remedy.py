"""Places in a config, and changes there that the user can paste."""

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


def value_at(part: object, path: str, default: object = None) -> object:
    """What the config has at `a.b.0.c`."""
    for step in path.split('.'):
        try:
            part = part[int(step) if isinstance(part, (list, tuple)) else step]
        except (KeyError, IndexError, TypeError, ValueError):
            return default
    return part
