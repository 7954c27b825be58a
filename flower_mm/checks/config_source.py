"""A config file as Python source: what it sets, and which names are used.

MMEngine has merged the values. Only the source tells which file a value is
from and whether a name that it sets is used.
"""

import ast
import importlib.util
import os.path
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mmengine.config import Config

BASE = '_base_'


@dataclass
class ConfigSource:
    """One config file; `depth` counts the files above it."""

    path: Path
    tree: ast.Module
    depth: int = 0
    packaged: bool = False  # reached as `package::`, so not the user's own

    @cached_property
    def bases(self) -> list[str]:
        for node, target in self._assignments():
            if _is_name(target, BASE):
                value = node.value
                items = value.elts if isinstance(value, ast.List) else [value]
                return [
                    item.value
                    for item in items
                    if isinstance(item, ast.Constant)
                    and isinstance(item.value, str)
                ]
        return []

    @cached_property
    def names(self) -> dict[str, int]:
        """Each name that is set at the top level, with its last line."""
        return {
            target.id: node.lineno
            for node, target in self._assignments()
            if isinstance(target, ast.Name)
        }

    @cached_property
    def used(self) -> set[str]:
        """Each name that is read, as `x`, `_base_.x` or `{{_base_.x}}`."""
        used = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                used.add(node.id)
            elif isinstance(node, ast.Attribute) and _is_name(
                node.value, BASE
            ):
                used.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(
                node.value, str
            ):
                used |= _names_in_braces(node.value)
        return used

    def sets(self, path: str) -> bool:
        """Whether this file sets `a.b.c`, or a whole part around it."""
        return self._find(path) is not None

    def strings(self) -> Iterator[tuple[str, int]]:
        """Yield each text of the file with its line, without the bases."""
        for node, target in self._assignments():
            if _is_name(target, BASE):
                continue
            for part in ast.walk(node.value):
                if isinstance(part, ast.Constant) and isinstance(
                    part.value, str
                ):
                    yield part.value, part.lineno

    def _find(self, path: str) -> ast.expr | None:
        value = None
        wanted = path.split('.')
        for node, target in self._assignments():
            keys = _keys_of(target)
            if keys and keys == wanted[: len(keys)]:
                value = _inside(node.value, wanted[len(keys) :]) or value
        return value

    def _assignments(self) -> Iterator[tuple[ast.Assign, ast.expr]]:
        for node in self.tree.body:
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    yield node, target


def read_sources(path: str | Path | None) -> list[ConfigSource]:
    """Parse a config file and its bases, nearest first.

    Nothing is executed. A file that cannot be parsed or found is left out:
    MMEngine has read it in another way.
    """
    sources, waiting = [], [(Path(path), 0, False)] if path else []
    for path, depth, packaged in waiting:
        try:
            tree = ast.parse(path.read_text(encoding='utf-8'))
        except (OSError, SyntaxError, ValueError):
            continue
        source = ConfigSource(path, tree, depth, packaged)
        sources.append(source)
        for base in source.bases:
            if base_path := _path_of(base, path):
                outside = packaged or '::' in base
                waiting.append((base_path, depth + 1, outside))
    return sources


def _path_of(base: str, path: Path) -> Path | None:
    package, mark, name = base.partition('::')
    if not mark:
        direct = path.parent / base
        # Without `..`; through a symbolic link that may be another file.
        short = Path(os.path.normpath(direct))
        return short if short.exists() else direct
    # MMEngine searches MMPretrain's list of models, which takes 0.1 s; most
    # names are those of the files.
    spec = package.isidentifier() and importlib.util.find_spec(package)
    if spec and spec.submodule_search_locations:
        folder = Path(spec.submodule_search_locations[0])
        direct = folder / '.mim' / 'configs' / name
        if direct.is_file():
            return direct
    try:
        return Path(Config._get_cfg_path(base, str(path))[0])
    except Exception:  # of several kinds; MMEngine itself has raised it
        return None


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _names_in_braces(text: str) -> set[str]:
    return {
        piece.split('}}')[0].strip().split('.')[1]
        for piece in text.split('{{')[1:]
        if piece.strip().startswith(f'{BASE}.')
    }


def _keys_of(target: ast.expr) -> list[str]:
    """Return the path of `a`, `a.b` or `a['b']`, empty for other targets."""
    if isinstance(target, ast.Name):
        return [target.id]
    if isinstance(target, ast.Attribute):
        before, key = _keys_of(target.value), target.attr
    elif isinstance(target, ast.Subscript) and isinstance(
        target.slice, ast.Constant
    ):
        before, key = _keys_of(target.value), str(target.slice.value)
    else:
        return []
    return [*before, key] if before else []


def _inside(value: ast.expr, keys: list[str]) -> ast.expr | None:
    """Return what this value has at that path.

    A part that the source does not spell out, such as a name, stands for all
    that is in it.
    """
    if not keys:
        return value
    if isinstance(value, ast.Constant):
        return None
    if isinstance(value, ast.Call) and _is_name(value.func, 'dict'):
        pairs = [(word.arg, word.value) for word in value.keywords]
    elif isinstance(value, ast.Dict):
        names = [getattr(key, 'value', None) for key in value.keys]
        pairs = zip(names, value.values, strict=True)
    elif isinstance(value, (ast.List, ast.Tuple)):
        pairs = [(str(i), item) for i, item in enumerate(value.elts)]
    else:
        return value
    for key, item in pairs:
        if key == keys[0]:
            return _inside(item, keys[1:])
        if key is None:  # **something
            return item
    return None
