"""How a config file says something of a part that it may speak of already."""

from flower_mm.checks.keys.source import Source
from flower_mm.checks.remedy import nested


def placed(source: Source | None, path: str, value: str) -> str:
    """The assignment, with `…` for what the file has beside it.

    A second assignment to the same name would replace that.
    """
    steps = path.split('.')
    if not source or any(step.isdigit() for step in steps):
        return nested(path, value)
    opened = ''
    for number, step in enumerate(steps[1:], 1):
        more = source.besides('.'.join(steps[:number]), step)
        opened += f'dict({"…, " if more else ""}{step}='
    return f'{steps[0]} = {opened}{value}{")" * (len(steps) - 1)}'
