"""The configs that come with flower_mm, and their short names."""

import difflib
from pathlib import Path

from flower_mm.commands import is_tool
from flower_mm.errors import UserError

PREFIX = 'flower_mm::'


def config_path(name: str) -> str:
    """Return the path of a config.

    Args:
        name: A path, `flower_mm::` and a path among the packaged configs, or
            the short name of a packaged config, such as `resnet50`.
    """
    if Path(name).is_file():
        return name
    if name.startswith(PREFIX):
        path = _folder() / name.removeprefix(PREFIX)
        if path.is_file():
            return _relative(path)
    configs = short_names()
    short = name.removeprefix(PREFIX).removeprefix('flower/')
    short = short.removesuffix('.py').replace('_flower', '')
    if short in configs and '/' not in name.removeprefix(PREFIX):
        return _relative(configs[short])
    raise UserError(_unknown(name, Path(short).name, list(configs)))


def short_names() -> dict[str, Path]:
    """Return the packaged configs by short name."""
    folder = _folder() / 'flower'
    paths = [*folder.glob('*.py'), *folder.glob('reports/*.py')]
    return {
        path.stem.replace('_flower', ''): path
        for path in sorted(paths, key=lambda path: path.stem)
    }


def typed_config(path: str) -> str:
    """Return how this user names a config: its short name, or its path.

    The scripts in tools/ stand beside the configs, so that their users see
    paths.
    """
    if is_tool() and not Path(path).is_absolute():
        return path
    for name, packaged in short_names().items():
        if Path(path).resolve() == packaged:
            return name
    return path


def _unknown(name: str, short: str, known: list[str]) -> str:
    near = difflib.get_close_matches(short, known, n=5, cutoff=0.4)
    beside = Path(name).parent
    if beside != Path() and (
        files := difflib.get_close_matches(
            Path(name).name, [path.name for path in beside.glob('*.py')], 5
        )
    ):
        near = [str(beside / file) for file in files]
    return f'unknown config {name}: expected a path or a short name.\n' + (
        f'Similar: {", ".join(near)}'
        if near
        else f'Short names: {", ".join(known)}'
    )


def _folder() -> Path:
    """Return the folder of configs, in a clone and in an installed copy."""
    package = Path(__file__).parent
    installed = package / '.mim' / 'configs'
    folder = installed if installed.is_dir() else package.parent / 'configs'
    return folder.resolve()


def _relative(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
