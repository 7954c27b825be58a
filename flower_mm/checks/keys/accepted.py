"""Which keys a type of a config takes, and which types there are."""

import ast
import difflib
import functools
import inspect
import textwrap
from collections.abc import Callable, Iterator

import mmengine.registry
import mmpretrain.registry
from mmengine.registry import Registry
from mmengine.runner import Runner

from flower_mm import registry as ours

# A child after its parent: where a scope is named, those after it are not
# searched, as MMEngine does.
SCOPES = {
    'mmengine': mmengine.registry,
    'mmpretrain': mmpretrain.registry,
    'mmcls': mmpretrain.registry,
    'flower_mm': ours,
}


def find(name: object, kind: str, scope: str) -> Callable | None:
    """What a `type` stands for, of the registry `kind` (MODELS and so on).

    A name with dots that is no scope is a path, which is not followed: that
    would import what the config names.
    """
    if not isinstance(name, str):
        return name if callable(name) else None
    before, _, bare = name.rpartition('.')
    for registry in _registries(kind, before or scope):
        if bare in registry.module_dict:
            return registry.module_dict[bare]
    return None


def similar(name: str, kind: str, scope: str) -> str | None:
    """The registered name that is most like this one."""
    names = [
        known
        for registry in _registries(kind, scope)
        for known in registry.module_dict
    ]
    return next(iter(difflib.get_close_matches(name, names, 1, 0.75)), None)


def is_path(name: object) -> bool:
    """Whether a `type` is the path of a class, as in `torch.nn.Linear`."""
    return isinstance(name, str) and name.rpartition('.')[0] not in {
        '',
        *SCOPES,
    }


def _registries(kind: str, scope: str) -> Iterator[Registry]:
    # MMPretrain has no FUNCTIONS of its own.
    root = getattr(mmengine.registry, kind, None)
    registry = getattr(SCOPES.get(str(scope)), kind, root)
    while registry is not None:
        registry.import_from_location()
        yield registry
        registry = registry.parent


def takes_the_rest(hook: Callable, part: dict, scope: str) -> Callable | None:
    """What gets the keys that some hooks take for somebody else."""
    init = getattr(hook, '__init__', None)
    if not str(getattr(init, '__module__', '')).startswith(
        ('mmengine.', 'mmpretrain.')
    ):
        return None
    match init.__qualname__:
        case 'CheckpointHook.__init__':
            return Runner.save_checkpoint
        case 'EMAHook.__init__':
            name = part.get('ema_type', 'ExponentialMovingAverage')
            return find(name, 'MODELS', scope)
        case 'VisualizationHook.__init__':
            drawer = find('UniversalVisualizer', 'VISUALIZERS', 'mmpretrain')
            return drawer.visualize_cls
    return None


def takes(part: Callable, key: str) -> bool:
    """Whether a class or function has a use for this key.

    Where its **kwargs goes anywhere but up to its parents, nobody knows.
    """
    return (
        key in keys_of(part)
        or _more_keys(part) is None
        or (key in _more_keys(part))
    )


@functools.cache
def keys_of(part: Callable) -> frozenset[str]:
    """The arguments by name, the parents' too where **kwargs goes there."""
    names = set()
    try:
        for function in _calls(part):
            parameters = inspect.signature(function).parameters.values()
            names |= {
                parameter.name
                for parameter in parameters
                if parameter.kind
                not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
            }
            if not _has_kwargs(function):
                break
    except (TypeError, ValueError):
        pass  # written in C, without a signature
    return frozenset(names - {'self'})


@functools.cache
def _more_keys(part: Callable) -> frozenset[str] | None:
    """What the source takes out of **kwargs; None where it may be anything.

    This reads source, which takes a hundred times as long as a signature.
    """
    found = set()
    try:
        for function in _calls(part):
            if not _has_kwargs(function):
                return frozenset(found)
            keys = _keys_out_of_kwargs(function)
            if keys is None:
                return None
            found |= keys
        if getattr(part, '__new__', None) is object.__new__:
            return frozenset(found)  # as object does, which takes nothing
    except (TypeError, ValueError, OSError, SyntaxError):
        pass  # written in C, without a signature or source
    return None


def _calls(part: Callable) -> Iterator[Callable]:
    """What is called with the keys, and what that calls with the rest."""
    if isinstance(part, functools.partial):  # MMPretrain's, of torchvision's
        part = part.keywords.get('transform', part.func)
    if not inspect.isclass(part):
        yield part
        return
    for base in part.__mro__:
        if '__init__' in vars(base) and base is not object:
            yield base.__init__


def _has_kwargs(function: Callable) -> bool:
    return any(
        parameter.kind == parameter.VAR_KEYWORD
        for parameter in inspect.signature(function).parameters.values()
    )


def _keys_out_of_kwargs(function: Callable) -> set[str] | None:
    """None where **kwargs goes elsewhere than to the parent's __init__."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    name = tree.body[0].args.kwarg.arg
    found, known = set(), 0
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr == '__init__':
                # super().__init__(**kwargs)
                known += sum(
                    word.arg is None and _is(word.value, name)
                    for word in node.keywords
                )
            elif _is(node.func.value, name) and node.args:
                # kwargs.pop('key', default)
                key = node.args[0]
                known += isinstance(key, ast.Constant)
                found.add(getattr(key, 'value', None))
        elif isinstance(node, ast.Subscript) and _is(node.value, name):
            # kwargs['key'] = value
            known += isinstance(node.slice, ast.Constant)
            found.add(getattr(node.slice, 'value', None))
        elif isinstance(node, ast.Assign) and _is(node.targets[0], name):
            # kwargs = {'key': default, **kwargs}
            known += 1
            if isinstance(node.value, ast.Dict):
                known += sum(_is(item, name) for item in node.value.values)
    uses = sum(_is(node, name) for node in ast.walk(tree))
    return found if uses == known else None


def _is(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
