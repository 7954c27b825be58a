"""The modules that a config imports: installed ones and those beside it."""

import importlib.util
import sys
from pathlib import Path

from mmengine.config import Config
from mmengine.utils import import_modules_from_strings

from flower_mm.errors import UserError


def import_custom_modules(cfg: Config) -> None:
    """Import what `custom_imports` names, as MMEngine does while reading.

    A module that is not installed is looked for in the folder of the config.
    That comes last on the path, so that its files hide no other module. The
    workers of a DataLoader inherit the path.
    """
    names = _names(cfg)
    folder = _folder(cfg)
    if not all(map(_is_on_path, names)) and str(folder) not in sys.path:
        sys.path.append(str(folder))
    for name in names:
        try:
            import_modules_from_strings(
                name, cfg.custom_imports.get('allow_failed_imports', False)
            )
        except Exception as error:
            # MMEngine's own message leaves out what was missing.
            cause = error.__context__ or error
            raise UserError(
                f'custom_imports of {cfg.filename}: cannot import {name!r}: '
                f'{type(cause).__name__}: {cause}\n'
                f'Searched: the Python path, then {folder}.\n'
                f'Put {_top(name)}.py beside the config, or install it.'
            ) from error


def folder_of_modules(cfg: Config) -> Path | None:
    """The config's folder, where a module that it imports lies there."""
    folder = _folder(cfg)
    for top in map(_top, _names(cfg)):
        if (folder / f'{top}.py').is_file() or (folder / top).is_dir():
            return folder
    return None


def _folder(cfg: Config) -> Path:
    return Path(cfg.filename).resolve().parent


def _names(cfg: Config) -> list[str]:
    wanted = cfg.get('custom_imports') or {}
    names = wanted.get('imports') or [] if isinstance(wanted, dict) else None
    if isinstance(names, str):
        names = [names]
    if isinstance(names, (list, tuple)) and all(map(_is_module_name, names)):
        return list(names)
    raise UserError(
        f'invalid custom_imports in {cfg.filename}: expected '
        f"dict(imports=['my_parts']), got {wanted!r}"
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
