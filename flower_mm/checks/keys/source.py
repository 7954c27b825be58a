"""A config file as Python source: what it sets itself and what nobody uses.

The values are in the config that MMEngine makes of it. Only the source tells
which file a value is from, and whether a name that it sets is used.
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
class Source:
    """One file; `depth` counts the files between it and the one asked for."""

    path: Path
    tree: ast.Module
    depth: int = 0
    packaged: bool = False  # reached as `package::`, so not the user's own

    @cached_property
    def bases(self) -> list[str]:
        for value in self._values(BASE):
            found = value.elts if isinstance(value, ast.List) else [value]
            return [
                item.value
                for item in found
                if isinstance(item, ast.Constant)
                and isinstance(item.value, str)
            ]
        return []

    @cached_property
    def names(self) -> dict[str, int]:
        """Each name that is set at the top level, and its last line."""
        return {
            target.id: node.lineno
            for node, target in self._assigned()
            if isinstance(target, ast.Name)
        }

    @cached_property
    def used(self) -> set[str]:
        """Each name that is read anywhere, the base's (`_base_.x`) too.

        A bare {{_base_.x}} is to Python a set of a set of `_base_.x`.
        """
        found = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                found.add(node.id)
            elif isinstance(node, ast.Attribute) and _is(node.value, BASE):
                found.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(
                node.value, str
            ):
                found |= _names_in_braces(node.value)
        return found

    def sets(self, path: str) -> bool:
        """Whether this file sets `a.b.c`, or all of a part it belongs to."""
        return self._find(path) is not None

    def literal(self, path: str) -> object:
        """The value that this file sets there; None where it is computed."""
        try:
            return ast.literal_eval(self._find(path))
        except (ValueError, TypeError):
            return None

    def text(self, path: str) -> str | None:
        """The words that set this key; None where a name stands for it."""
        above, _, key = path.rpartition('.')
        for name, value in _pairs(self._find(above)) or ():
            if name == key:
                return ast.unparse(value)
        return None

    def besides(self, path: str, key: str) -> bool:
        """Whether the file says more of a part than this one key."""
        return any(name != key for name, _ in _pairs(self._find(path)) or ())

    def _find(self, path: str) -> ast.expr | None:
        found = None
        wanted = path.split('.')
        for node, target in self._assigned():
            keys = _keys_of(target)
            if keys and keys == wanted[: len(keys)]:
                value = _inside(node.value, wanted[len(keys) :])
                found = value or found
        return found

    def strings(self) -> Iterator[tuple[str, int]]:
        """Each text in what the file sets, with its line; not its bases."""
        for node, target in self._assigned():
            if _is(target, BASE):
                continue
            for part in ast.walk(node.value):
                if isinstance(part, ast.Constant) and isinstance(
                    part.value, str
                ):
                    yield part.value, part.lineno

    def _assigned(self) -> Iterator[tuple[ast.Assign, ast.expr]]:
        for node in self.tree.body:
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    yield node, target

    def _values(self, name: str) -> Iterator[ast.expr]:
        for node, target in self._assigned():
            if _is(target, name):
                yield node.value


def read_sources(path: str | Path) -> list[Source]:
    """The file and all that it is based on, nearest first.

    Nothing of it is executed. What cannot be parsed or found is left out:
    MMEngine has read it, by means that this does not know.
    """
    found, waiting = [], [(Path(path), 0, False)]
    for path, depth, packaged in waiting:
        try:
            tree = ast.parse(path.read_text(encoding='utf-8'))
        except (OSError, SyntaxError, ValueError):
            continue
        source = Source(path, tree, depth, packaged)
        found.append(source)
        for base in source.bases:
            there = _path_of(base, path)
            outside = packaged or '::' in base
            if there:
                waiting.append((there, depth + 1, outside))
    return found


def _path_of(base: str, path: Path) -> Path | None:
    """Where a file lies that `path` names as its base."""
    package, mark, name = base.partition('::')
    if not mark:
        there = path.parent / base
        # For people to read; where a link is on the way it may be elsewhere.
        short = Path(os.path.normpath(there))
        return short if short.exists() else there
    # MMEngine looks through MMPretrain's list of models, a tenth of a second
    # long; most names are those of the files.
    found = package.isidentifier() and importlib.util.find_spec(package)
    if found and found.submodule_search_locations:
        folder = Path(found.submodule_search_locations[0])
        direct = folder / '.mim' / 'configs' / name
        if direct.is_file():
            return direct
    try:
        return Path(Config._get_cfg_path(base, str(path))[0])
    except Exception:  # of several kinds; MMEngine itself has said it
        return None


def _is(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _names_in_braces(text: str) -> set[str]:
    """What `{{_base_.x.y}}` inside a text reads."""
    return {
        piece.split('}}')[0].strip().split('.')[1]
        for piece in text.split('{{')[1:]
        if piece.strip().startswith(f'{BASE}.')
    }


def _keys_of(target: ast.expr) -> list[str]:
    """The path of `a`, `a.b`, `a['b']`; nothing for other targets."""
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
    """What this value has at that path inside it.

    A part that the source does not spell out, such as a name, stands for all
    that is in it.
    """
    if not keys:
        return value
    if isinstance(value, ast.Constant):
        return None
    pairs = _pairs(value)
    if pairs is None:
        return value
    for key, item in pairs:
        if key == keys[0]:
            return _inside(item, keys[1:])
        if key is None:  # **something
            return item
    return None


def _pairs(value: ast.expr | None) -> list[tuple] | None:
    """Keys and values, where the source spells them out."""
    if isinstance(value, ast.Call) and _is(value.func, 'dict'):
        return [(word.arg, word.value) for word in value.keywords]
    if isinstance(value, ast.Dict):
        return [
            (getattr(key, 'value', None), item)
            for key, item in zip(value.keys, value.values, strict=True)
        ]
    if isinstance(value, (ast.List, ast.Tuple)):
        return [(str(i), item) for i, item in enumerate(value.elts)]
    return None
