"""Modules of the user's own that register parts of a model or a pipeline.

They are imported by the user's own word only: `--import MODULE` on a command
line, `imports=[...]` from Python, or `custom_imports` of a config file. A
checkpoint may then name the parts that they register; it never decides what
is imported.
"""

import importlib.util
import os
import re
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flower_mm.errors import UserError

if TYPE_CHECKING:
    from mmengine.config import Config

FLAG = '--import'
OURS = ('flower_mm', 'mmcv', 'mmengine', 'mmpretrain')
# MMEngine's words for a name that a registry has.
_TAKEN = re.compile(r"'(.+) is already registered in .+ at (\S+)'")
# For the life of the process, as the modules themselves.
_allowed: set[str] = set()


def allowed_modules() -> tuple[str, ...]:
    """The modules that the user has named in this process."""
    return tuple(sorted(_allowed))


def how_to_import(module: str = 'MODULE') -> str:
    """The user's word that allows the parts of a module."""
    return f"{FLAG} {module}, in Python Classifier(imports=['{module}'])"


def import_modules(names: Sequence[str], here: bool = False) -> None:
    """Import modules that the user has named, and allow their parts.

    Args:
        names: Dotted names of modules, or paths of .py files.
        here: Look in the current folder too, after everything installed.
    """
    if isinstance(names, str):
        raise UserError(f'invalid imports: expected a list, got {names!r}')
    for name in names:
        folder, module = Path.cwd() if here else None, name
        if name.endswith('.py'):
            folder, module = Path(name).resolve().parent, Path(name).stem
        if not _is_module_name(module):
            raise UserError(
                f'invalid {FLAG}: expected the name of a module, such as '
                f'my_parts, or its .py file, got {name!r}'
            )
        _import(module, folder, f'{FLAG} {name}')


def import_custom_modules(cfg: 'Config') -> None:
    """Import what `custom_imports` names, as MMEngine does while reading.

    A module that is not installed is looked for in the folder of the config.
    """
    for name in _names(cfg):
        optional = cfg.custom_imports.get('allow_failed_imports', False)
        where = f'custom_imports of {cfg.filename}'
        _import(name, _folder(cfg), where, optional)


def own_imports(cfg: Mapping) -> list[str]:
    """The user's own modules among the `custom_imports` of a config."""
    return [name for name in _names(cfg) if _top(name) not in OURS]


def import_flags(cfg: Mapping) -> list[str]:
    """What a command needs to find these modules from the current folder."""
    return [
        word for name in own_imports(cfg) for word in (FLAG, _spelled(name))
    ]


def folder_of_modules(cfg: 'Config') -> Path | None:
    """The config's folder, where a module that it imports lies there."""
    folder = _folder(cfg)
    for top in map(_top, _names(cfg)):
        if (folder / f'{top}.py').is_file() or (folder / top).is_dir():
            return folder
    return None


def _import(
    name: str, folder: Path | None, asked_by: str, optional: bool = False
) -> None:
    """Import a module, from `folder` where it is installed nowhere."""
    own = _top(name) not in OURS
    if own:
        _register_all()
    if folder and not _is_on_path(name) and str(folder) not in sys.path:
        # Last, so that its files hide no other module. It stays: the workers
        # of a DataLoader import the module as well.
        sys.path.append(str(folder))
    try:
        importlib.import_module(name)
    except Exception as error:
        if optional and isinstance(error, ImportError):
            warnings.warn(f'{name} is not imported: {error}', stacklevel=2)
            return
        raise UserError(
            f'{asked_by}: {_reason(error, name, folder)}'
        ) from error
    if own:
        _allowed.add(name)


def _register_all() -> None:
    """Let all classes below us have their names.

    A module of the user's own that takes one of them fails then, and not
    MMPretrain's module when it comes later.
    """
    from mmengine.registry import Registry

    from flower_mm import registry

    for part in vars(registry).values():
        if isinstance(part, Registry):
            part.import_from_location()


def _reason(error: Exception, name: str, folder: Path | None) -> str:
    """Why a module cannot be imported, and what to do."""
    missing = isinstance(error, ModuleNotFoundError) and error.name
    if missing and f'{name}.'.startswith(f'{missing}.'):
        place = f' or in {folder}' if folder else ''
        return (
            f'there is no module {name!r} installed{place}.\n'
            f'Install it, or put {_top(name)}.py there'
        )
    if taken := isinstance(error, KeyError) and _TAKEN.search(str(error)):
        return (
            f'the module {name!r} registers {taken[1]!r}, a name that '
            f'{taken[2]} has registered already.\n'
            'Give the class another name, or let it replace that one: '
            'register_module(force=True)'
        )
    return (
        f'the module {name!r} failed: {type(error).__name__}: '
        f'{str(error)[:300]}'
    )


def _names(cfg: Mapping) -> list[str]:
    wanted = cfg.get('custom_imports') or {}
    names = wanted.get('imports') or [] if isinstance(wanted, dict) else None
    if isinstance(names, str):
        names = [names]
    if isinstance(names, (list, tuple)) and all(map(_is_module_name, names)):
        return list(names)
    raise UserError(
        f'invalid custom_imports in {getattr(cfg, "filename", "a config")}: '
        f"expected dict(imports=['my_parts']), got {wanted!r:.200}"
    )


def _is_module_name(name: object) -> bool:
    return isinstance(name, str) and all(
        part.isidentifier() for part in name.split('.')
    )


def _top(name: str) -> str:
    return name.partition('.')[0]


def _is_on_path(name: str) -> bool:
    top = _top(name)
    return top in sys.modules or importlib.util.find_spec(top) is not None


def _folder(cfg: 'Config') -> Path:
    return Path(cfg.filename).resolve().parent


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
