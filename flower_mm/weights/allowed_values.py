"""Checks of single values in a config that comes from a file.

Each check takes a value and returns whether a classifier's config may have it.
They accept plain data only: a value that reaches a constructor must not name
a file, an address, a module or a size that fills the memory.
"""

import math
import re
from collections.abc import Callable
from typing import Any, TypeGuard

Check = Callable[[Any], bool]

LONGEST_TEXT = 64  # characters
LONGEST_LIST = 100_000  # a weight for each class
LARGEST_INTEGER = 100_000
LARGEST_FLOAT = 1e9
# Words such as 'b0', 'regnetx_1.6gf' and '768/32'. A dot or slash stands
# between digits only, so that neither `best.pth` nor `os.system` is a word.
_WORD = re.compile(r'\w(?:[\w +-]|(?<=\d)[./](?=\d))*', re.ASCII)
_NAME = re.compile(r'[A-Za-z]\w*', re.ASCII)


def is_name(value: object) -> bool:
    """Whether it is a plain name of an argument."""
    return (
        type(value) is str
        and len(value) <= LONGEST_TEXT
        and _NAME.fullmatch(value) is not None
    )


def is_word(value: object) -> TypeGuard[str]:
    """Whether it is a text that names neither a file nor a module."""
    return (
        type(value) is str
        and len(value) <= LONGEST_TEXT
        and _WORD.fullmatch(value) is not None
    )


def is_flag(value: object) -> bool:
    return type(value) is bool


def is_number(value: object) -> bool:
    """Whether it is a number that no size or factor exceeds."""
    if type(value) is int:
        return abs(value) <= LARGEST_INTEGER
    return type(value) is float and abs(value) <= LARGEST_FLOAT


def integer(low: int, high: int) -> Check:
    return lambda value: type(value) is int and low <= value <= high


def number(low: float, high: float) -> Check:
    return lambda value: (
        type(value) in (int, float)
        and math.isfinite(value)
        and low <= value <= high
    )


def choice(*values: object) -> Check:
    return lambda value: (
        type(value) in (str, int, bool, type(None)) and value in values
    )


def some(check: Check, low: int, high: int) -> Check:
    """A list of `low` to `high` values."""
    return lambda value: (
        isinstance(value, (list, tuple))
        and low <= len(value) <= high
        and all(map(check, value))
    )


def either(*checks: Check) -> Check:
    return lambda value: any(check(value) for check in checks)


def optional(check: Check) -> Check:
    return lambda value: value is None or check(value)


def table(**checks: Check) -> Check:
    """A dict with no other keys than these, each optional."""
    return lambda value: (
        isinstance(value, dict)
        and all(
            key in checks and checks[key](item) for key, item in value.items()
        )
    )
