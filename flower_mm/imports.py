"""Modules of the user's own that register parts of a model or a pipeline.

They are imported by the user's own word only: `--import MODULE` on a command
line, `imports=[...]` from Python, or `custom_imports` of a config file. A
checkpoint may then name the parts that they register; it never decides what
is imported.
"""

import importlib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from flower_mm.errors import UserError

FLAG = '--import'
OURS = ('flower_mm', 'mmcv', 'mmengine', 'mmpretrain')
_NAME = re.compile(r'[^\W\d]\w*(\.[^\W\d]\w*)*')
# For the life of the process, as the modules themselves.
_allowed: set[str] = set()


def allowed_modules() -> tuple[str, ...]:
    """The modules that the user has named in this process."""
    return tuple(sorted(_allowed))


def allow(names: Sequence[str]) -> None:
    """Let checkpoints name the parts of modules that are imported already."""
    _allowed.update(names)


def how_to_import(module: str = 'MODULE') -> str:
    """The user's word that allows the parts of a module."""
    return f"--import {module}, in Python Classifier(imports=['{module}'])"


def import_modules(names: Sequence[str], here: bool = False) -> None:
    """Import modules that the user has named, and allow their parts.

    Args:
        names: Dotted names of modules, or paths of .py files.
        here: Look in the current folder too, after everything installed.
    """
    if isinstance(names, str):
        raise UserError(f'invalid imports: expected a list, got {names!r}')
    if names:
        from flower_mm.registry import MODELS, TRANSFORMS

        # First, so that a name which they have fails in the user's module.
        MODELS.import_from_location()
        TRANSFORMS.import_from_location()
    for name in names:
        folder = str(Path.cwd()) if here else None
        module = name
        if name.endswith('.py'):
            folder, module = str(Path(name).resolve().parent), Path(name).stem
        if not _NAME.fullmatch(module):
            raise UserError(
                f'invalid {FLAG}: expected the name of a module, such as '
                f'my_parts, or its .py file, got {name!r}'
            )
        # It stays: worker processes import the module as well.
        if folder and folder not in sys.path:
            sys.path.append(folder)
        _import(module, folder)
        allow([module])


def _import(name: str, folder: str | None) -> None:
    try:
        importlib.import_module(name)
    except Exception as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name
        if missing and f'{name}.'.startswith(f'{missing}.'):
            where = f' or in {folder}' if folder else ''
            raise UserError(
                f'{FLAG} {name}: there is no such module installed{where}'
            ) from error
        raise UserError(
            f'{FLAG} {name} failed: {type(error).__name__}: {str(error)[:300]}'
        ) from error


def own_imports(cfg: Mapping) -> list[str]:
    """The user's own modules among the `custom_imports` of a config."""
    imports = cfg.get('custom_imports')
    names = imports.get('imports') if isinstance(imports, dict) else imports
    names = [names] if isinstance(names, str) else names or []
    return [name for name in names if name.partition('.')[0] not in OURS]


def import_flags(cfg: Mapping) -> list[str]:
    """What a command needs to find these modules from the current folder."""
    return [
        word for name in own_imports(cfg) for word in (FLAG, _spelled(name))
    ]


def _spelled(name: str) -> str:
    """Its name, or its file where the name alone would not be found."""
    file = getattr(sys.modules.get(name), '__file__', None)
    if file is None or '.' in name or Path(file).stem != name:
        return name
    folder, here = Path(file).resolve().parent, Path.cwd()
    others = os.environ.get('PYTHONPATH', '').split(os.pathsep)
    found = {here, *(Path(other).resolve() for other in others if other)}
    if folder in found or 'site-packages' in folder.parts:
        return name
    file = folder / Path(file).name
    return str(file.relative_to(here) if file.is_relative_to(here) else file)
