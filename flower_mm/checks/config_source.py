"""A config file as Python source: what it sets, and which names are used.

MMEngine has merged the values. Only the source tells which file a value is
from and whether a name that it sets is used.
"""

import ast
import os.path
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from flower_mm.config import base_paths

BASE = '_base_'
# MMEngine's `{{_base_.name}}`.
BASE_NAME = re.compile(r'{{\s*_base_\.(\w+)')


@dataclass
class ConfigSource:
    """One config file; `depth` counts the files above it."""

    path: Path
    tree: ast.Module
    depth: int = 0
    packaged: bool = False  # reached as `package::`, so not the user's own

    @cached_property
    def names(self) -> dict[str, int]:
        """Each name that is set at the top level, with its last line."""
        return {
            target.id: node.lineno
            for node, target in self._assignments
            if isinstance(target, ast.Name)
        }

    @cached_property
    def used(self) -> set[str]:
        """Each name that is read, as `x`, `_base_.x` or `{{_base_.x}}`."""
        used = set()
        for node in ast.walk(self.tree):
            match node:
                case ast.Name(id=name, ctx=ast.Load()):
                    used.add(name)
                case ast.Attribute(value=ast.Name(id='_base_'), attr=name):
                    used.add(name)
                case ast.Constant(value=str(text)):
                    used.update(BASE_NAME.findall(text))
        return used

    def sets(self, path: str) -> bool:
        """Whether this file sets `a.b.c`, or a whole part around it."""
        keys = path.split('.')
        return any(
            target_keys == keys[: len(target_keys)]
            and _contains(node.value, keys[len(target_keys) :])
            for node, target in self._assignments
            if (target_keys := _keys_of(target))
        )

    def strings(self) -> Iterator[tuple[str, int]]:
        """Yield each text of the file with its line, without the bases."""
        for node, target in self._assignments:
            if isinstance(target, ast.Name) and target.id == BASE:
                continue
            for part in ast.walk(node.value):
                if isinstance(part, ast.Constant) and type(part.value) is str:
                    yield part.value, part.lineno

    @cached_property
    def _assignments(self) -> list[tuple[ast.Assign, ast.expr]]:
        return [
            (node, target)
            for node in self.tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
        ]


def read_sources(path: str | Path | None) -> list[ConfigSource]:
    """Parse a config file and its bases, nearest first.

    A file in another language than Python is left out.
    """
    sources, waiting = [], [(Path(path), 0, False)] if path else []
    for path, depth, packaged in waiting:
        try:
            tree = ast.parse(path.read_text(encoding='utf-8'))
            bases = base_paths(path)
        except (OSError, SyntaxError, ValueError):
            continue
        sources.append(ConfigSource(path, tree, depth, packaged))
        for name, base in bases:
            # Without `..`; through a symbolic link that may be another file.
            short = Path(os.path.normpath(base))
            base = short if short.exists() else base
            waiting.append((base, depth + 1, packaged or '::' in name))
    return sources


def _keys_of(target: ast.expr) -> list[str]:
    """Return the path of `a`, `a.b` or `a['b']`, empty for other targets."""
    match target:
        case ast.Name(id=name):
            return [name]
        case ast.Attribute(value=owner, attr=key):
            pass
        case ast.Subscript(value=owner, slice=ast.Constant(value=key)):
            pass
        case _:
            return []
    before = _keys_of(owner)
    return [*before, str(key)] if before else []


def _contains(value: ast.expr, keys: list[str]) -> bool:
    """Whether a value sets a path.

    A part that the source does not spell out, such as a name, stands for all
    that may be in it.
    """
    if not keys:
        return True
    match value:
        case ast.Constant():
            return False
        case ast.Call(func=ast.Name(id='dict'), keywords=words):
            pairs = [(word.arg, word.value) for word in words]
        case ast.Dict(keys=names, values=values):
            pairs = [
                (getattr(name, 'value', None), item)
                for name, item in zip(names, values, strict=True)
            ]
        case ast.List(elts=items) | ast.Tuple(elts=items):
            pairs = [(str(i), item) for i, item in enumerate(items)]
        case _:
            return True
    return any(
        key is None or (key == keys[0] and _contains(item, keys[1:]))
        for key, item in pairs
    )
