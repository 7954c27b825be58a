"""Values of --cfg-options: as MMEngine reads them, and dicts as Python."""

import argparse
import ast
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress

from mmengine.config import DictAction

from flower_mm.errors import UserError

_ENTRY = re.compile(r"""['"]?\w+['"]?:""")
_ENTRIES = re.compile(rf'{{{_ENTRY.pattern}.*}}', re.DOTALL)
_DICT = (
    "dicts in quotes as Python has them, \"KEY={'a': 1, 'b': 2}\", or "
    'KEY.a=1 KEY.b=2'
)


def parse_config_options(words: Sequence[str]) -> dict[str, object]:
    """Read KEY=VALUE words.

    A value with a dict is read as Python, which MMEngine would split at its
    commas. MMEngine removes blanks from a value: a path needs a flag of its
    own.
    """
    args = argparse.Namespace()
    try:
        _refuse_split_dicts(words)
        _Options(['--cfg-options'], 'options')(None, args, words)
    except (AssertionError, ValueError) as error:  # brackets, dicts
        raise UserError(f'--cfg-options: {error}') from error
    except RecursionError as error:  # a comma in other brackets than a list's
        raise UserError(
            f'--cfg-options: invalid value in {" ".join(words)}: '
            f'expected numbers, words, lists, tuples and {_DICT}'
        ) from error
    return args.options


class _Options(DictAction):
    @staticmethod
    def _parse_iterable(val: str) -> object:
        if '{' not in val:
            return DictAction._parse_iterable(val)
        text = val.strip('\'" ')
        with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            value = ast.literal_eval(text)
            if any(isinstance(leaf, dict) for leaf in _leaves(value)):
                bare = isinstance(value, tuple) and not text.startswith('(')
                return list(value) if bare else value
        value = DictAction._parse_iterable(val)
        if any(map(_is_part_of_dict, _leaves(value))):
            raise ValueError(f'invalid value {val[:200]!r}: expected {_DICT}')
        return value


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _is_part_of_dict(leaf: object) -> bool:
    """Whether it was a dict, or was cut out of one at a comma."""
    return isinstance(leaf, str) and (
        leaf.count('{') != leaf.count('}') or bool(_ENTRIES.fullmatch(leaf))
    )


def _refuse_split_dicts(words: Sequence[str]) -> None:
    """Stop at KEY={'a':1,'b':2} without quotes, which a shell makes two of."""
    pairs = [word.partition('=')[::2] for word in words]
    counts = Counter(key for key, value in pairs if _ENTRY.match(value))
    for key, count in counts.items():
        if count > 1:
            raise ValueError(
                f'{count} values of {key} look like a dict that the shell has '
                f'split: expected {_DICT}'
            )
