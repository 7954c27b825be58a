"""Building from a stranger's config without importing what it names."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

from mmengine.registry import registry

from flower_mm.user_modules import OURS

_closing = threading.RLock()


@contextmanager
def registered_names_only() -> Iterator[None]:
    """Keep registries from importing a module of a name they do not have.

    `Registry.get` does so, and not for `type` alone: some classes look up
    other arguments as well, such as `conv_type` or `padding_mode`.
    """
    closed = {
        'get_object_from_string': lambda name: None,
        'import_module': _import_known,
    }
    with _closing:
        before = {name: getattr(registry, name) for name in closed}
        vars(registry).update(closed)
        try:
            yield
        finally:
            vars(registry).update(before)


def _import_known(name: str) -> ModuleType:
    if name in sys.modules or name.partition('.')[0] in OURS:
        return import_module(name)
    raise ImportError(f'{name} is not imported for a config from a file')
