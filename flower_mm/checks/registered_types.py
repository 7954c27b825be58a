"""Which types are registered, and which keys they accept."""

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator

import mmengine.registry
import mmpretrain.registry
from mmengine.registry import Registry

from flower_mm import registry as flower_registry

SCOPES = {
    'mmengine': mmengine.registry,
    'mmpretrain': mmpretrain.registry,
    'mmcls': mmpretrain.registry,
    'flower_mm': flower_registry,
}


def find_type(name: object, kind: str, scope: str) -> Callable | None:
    """Return what a `type` stands for, of a registry (MODELS and so on).

    A name with dots whose first part is no scope is the path of a class. It
    is not followed: that would import what the config names.
    """
    if not isinstance(name, str):
        return name if callable(name) else None
    before, _, bare = name.rpartition('.')
    for registry in _registries(kind, before or scope):
        if bare in registry.module_dict:
            return registry.module_dict[bare]
    return None


def registered_names(kind: str, scope: str) -> set[str]:
    return {
        name
        for registry in _registries(kind, scope)
        for name in registry.module_dict
    }


def _registries(kind: str, scope: str) -> Iterator[Registry]:
    """Yield a registry and its parents."""
    # MMPretrain has no FUNCTIONS of its own.
    root = getattr(mmengine.registry, kind, None)
    registry = getattr(SCOPES.get(str(scope)), kind, root)
    while registry is not None:
        registry.import_from_location()
        yield registry
        registry = registry.parent


@functools.cache
def accepted_keys(part: Callable) -> frozenset[str]:
    """Return the arguments by name.

    Where **kwargs is passed to the parent class, its arguments count as well.
    """
    names = set()
    try:
        for function in _constructors(part):
            parameters = inspect.signature(function).parameters.values()
            names |= {
                parameter.name
                for parameter in parameters
                if parameter.kind
                not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
            }
            if not any(p.kind == p.VAR_KEYWORD for p in parameters):
                break
    except (TypeError, ValueError):
        pass  # written in C, without a signature
    return frozenset(names - {'self'})


def _constructors(part: Callable) -> Iterator[Callable]:
    if isinstance(part, functools.partial):  # MMPretrain's, of torchvision's
        part = part.keywords.get('transform', part.func)
    if not inspect.isclass(part):
        yield part
        return
    for base in part.__mro__:
        if '__init__' in vars(base) and base is not object:
            yield vars(base)['__init__']


def similar(name: str, names: Iterable[str], cutoff: float = 0.75) -> str:
    """Return the most similar name, '' without one."""
    close = difflib.get_close_matches(name, list(names), 1, cutoff)
    return close[0] if close else ''
