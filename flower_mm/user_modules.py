"""Modules of the user that register parts of a model or a pipeline.

They are imported only if the user names them: with `--import MODULE`,
`imports=[...]` in Python, or `custom_imports` of a config file. A checkpoint
can then name the parts that they register, but never causes an import.
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
KNOWN_PACKAGES = ('flower_mm', 'mmcv', 'mmengine', 'mmpretrain')
# MMEngine's message for a name that is already registered.
_TAKEN = re.compile(r"'(.+) is already registered in .+ at (\S+)'")
# For the life of the process, like the modules themselves.
_allowed: set[str] = set()


def allowed_modules() -> tuple[str, ...]:
    """Return the modules that the user has named in this process."""
    return tuple(sorted(_allowed))


def how_to_import(module: str = 'MODULE') -> str:
    """Return how to name a module on the command line and in Python."""
    return f"{FLAG} {module}, in Python Classifier(imports=['{module}'])"


def import_modules(names: Sequence[str], here: bool = False) -> None:
    """Import modules that the user has named, and allow their parts.

    Args:
        names: Dotted names of modules, or paths of .py files.
        here: Search the current folder, too, after installed modules.
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
    """Import the `custom_imports` of a config, as MMEngine does.

    A module that is not installed is searched in the folder of the config.
    """
    for name in _names(cfg):
        optional = cfg.custom_imports.get('allow_failed_imports', False)
        where = f'custom_imports of {cfg.filename}'
        _import(name, _folder(cfg), where, optional)


def own_imports(cfg: Mapping) -> list[str]:
    """Return the user's modules in the `custom_imports` of a config."""
    return [name for name in _names(cfg) if _top(name) not in KNOWN_PACKAGES]


def import_flags(cfg: Mapping) -> list[str]:
    """Return the flags that import these modules from the current folder."""
    return [
        word for name in own_imports(cfg) for word in (FLAG, _spelled(name))
    ]


def folder_of_modules(cfg: 'Config') -> Path | None:
    """Return the folder of the config if it contains a module it imports."""
    folder = _folder(cfg)
    for top in map(_top, _names(cfg)):
        if (folder / f'{top}.py').is_file() or (folder / top).is_dir():
            return folder
    return None


def _import(
    name: str, folder: Path | None, asked_by: str, optional: bool = False
) -> None:
    """Import a module, from `folder` unless it is installed."""
    own = _top(name) not in KNOWN_PACKAGES
    if own:
        _register_all()
    if folder and not _is_on_path(name) and str(folder) not in sys.path:
        # Last, so that its files hide no other module. It stays there for
        # the workers of a DataLoader, which import the module as well.
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
    """Register all classes of MMEngine, MMPretrain and flower_mm.

    Then a module of the user that takes such a name fails, instead of the
    module of MMPretrain that is imported later.
    """
    from mmengine.registry import Registry

    from flower_mm import registry

    for part in vars(registry).values():
        if isinstance(part, Registry):
            part.import_from_location()


def _reason(error: Exception, name: str, folder: Path | None) -> str:
    """Return why a module cannot be imported, and the fix."""
    missing = isinstance(error, ModuleNotFoundError) and error.name
    if missing and f'{name}.'.startswith(f'{missing}.'):
        place = f' and not in {folder}' if folder else ''
        return (
            f'the module {name!r} is not installed{place}.\n'
            f'Install it, or put {_top(name)}.py there'
        )
    if taken := isinstance(error, KeyError) and _TAKEN.search(str(error)):
        return (
            f'the module {name!r} registers {taken[1]!r}, which '
            f'{taken[2]} has already registered.\n'
            'Rename the class, or replace the other one: '
            'register_module(force=True)'
        )
    return (
        f'the module {name!r} failed: {type(error).__name__}: '
        f'{str(error)[:300]}'
    )


def _names(cfg: Mapping) -> list[str]:
    value = cfg.get('custom_imports') or {}
    names = value.get('imports') or [] if isinstance(value, dict) else None
    if isinstance(names, str):
        names = [names]
    if isinstance(names, (list, tuple)) and all(map(_is_module_name, names)):
        return list(names)
    raise UserError(
        f'invalid custom_imports in {getattr(cfg, "filename", "a config")}: '
        f"expected dict(imports=['my_parts']), got {value!r:.200}"
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
    """Return the name of a module, or its file if the name is not enough."""
    file = getattr(sys.modules.get(name), '__file__', None)
    if file is None or '.' in name or Path(file).stem != name:
        return name
    folder, here = Path(file).resolve().parent, Path.cwd()
    others = os.environ.get('PYTHONPATH', '').split(os.pathsep)
    searched = {here, *(Path(other).resolve() for other in others if other)}
    if folder in searched or 'site-packages' in folder.parts:
        return name
    file = folder / Path(file).name
    return str(file.relative_to(here) if file.is_relative_to(here) else file)
