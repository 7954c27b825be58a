"""Modules of the user's own that register parts of a model or a pipeline.

They are imported by the user's own word only: `--import MODULE` on a command
line, `imports=[...]` from Python, or `custom_imports` of a config file.
"""

import argparse
import importlib
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from flower_mm.errors import UserError

FLAG = '--import'
_NAME = re.compile(r'[^\W\d]\w*(\.[^\W\d]\w*)*')


def add_import_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        FLAG,
        action='append',
        default=[],
        dest='imports',
        metavar='MODULE',
        help='a module of your own, installed or in the current folder, that '
        'registers a backbone or a transform of this model; repeat the flag '
        'for several. It is a program and it is run',
    )


def import_modules(names: Sequence[str], here: bool = False) -> None:
    """Import modules that the user has named.

    Args:
        names: Dotted names of modules.
        here: Look in the current folder too, after everything installed.
    """
    if isinstance(names, str):
        raise UserError(f'invalid imports: expected a list, got {names!r}')
    for name in names:
        if not _NAME.fullmatch(name):
            raise UserError(
                f'invalid {FLAG}: expected the name of a module such as '
                f'my_parts, got {name!r}'
            )
    folder = str(Path.cwd())
    if here and names and folder not in sys.path:
        # It stays: worker processes and later imports of the module need it.
        sys.path.append(folder)
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f'{name}.'.startswith(
                f'{error.name}.'
            ):
                raise _failed(name, error) from error
            where = f' or in {folder}' if here else ''
            raise UserError(
                f'{FLAG} {name}: there is no such module installed{where}'
            ) from error
        except Exception as error:
            raise _failed(name, error) from error


def _failed(name: str, error: Exception) -> UserError:
    return UserError(
        f'{FLAG} {name} failed: {type(error).__name__}: {str(error)[:300]}'
    )
