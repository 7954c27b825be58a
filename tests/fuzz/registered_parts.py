"""What configs can name: registered parts and the parameters of code.

A dict without `type` in a config becomes keyword arguments of some function
or class, so the names of all their parameters matter, not those of registered
classes alone.
"""

import functools
import inspect
import sys
from collections.abc import Callable, Iterator

from mmengine.registry import Registry

from flower_mm.registry import BATCH_AUGMENTS, HOOKS, MODELS, TRANSFORMS
from flower_mm.weights import allowed_parts

PACKAGES = ('mmpretrain.models', 'mmcv.cnn', 'mmengine.model')
Parameters = dict[str, inspect.Parameter]


def classes_of(*registries: Registry) -> dict[str, object]:
    """Each registered name with its class, those of parents included."""
    classes = {}
    for registry in registries:
        while registry is not None:
            registry.import_from_location()
            for name, part in registry.module_dict.items():
                # MMPretrain registers torchvision's transforms so.
                part = getattr(part, 'keywords', {}).get('transform', part)
                classes.setdefault(name, part)
            registry = registry.parent
    return dict(sorted(classes.items()))


@functools.cache
def parameters_of(part: Callable) -> Parameters:
    """Parameters by name, for a class those of its parents too."""
    if not inspect.isclass(part):
        return dict(inspect.signature(part).parameters)
    parameters = {}
    names = allowed_parts.argument_names(part)
    for base in part.__mro__:
        if '__init__' in vars(base):
            try:
                own = inspect.signature(base.__init__).parameters
            except ValueError:
                break
            parameters = {**own, **parameters}
    return {k: v for k, v in parameters.items() if k in names - {'self'}}


def takes_word(parameter: inspect.Parameter) -> bool:
    """Whether a string is its default or its annotation mentions one."""
    return type(parameter.default) is str or 'str' in str(parameter.annotation)


def takes_dict(parameter: inspect.Parameter) -> bool:
    return type(parameter.default) is dict or parameter.name.endswith(
        ('cfg', 'cfgs', 'kwargs')
    )


def is_required(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty and parameter.kind not in (
        parameter.VAR_KEYWORD,
        parameter.VAR_POSITIONAL,
    )


def _callables(module: object) -> Iterator[Callable]:
    for part in vars(module).values():
        if inspect.isfunction(part) or inspect.isclass(part):
            yield part


def _parameters_in(module: object) -> list[inspect.Parameter]:
    """Those of the functions and classes that a module defines or imports."""
    parameters = []
    for part in _callables(module):
        if str(part.__module__).startswith(PACKAGES):
            try:
                parameters.extend(parameters_of(part).values())
            except ValueError:  # written in C
                continue
    return parameters


STEP_CLASSES = classes_of(TRANSFORMS)
PART_CLASSES = classes_of(MODELS, BATCH_AUGMENTS)
HOOK_NAMES = list(classes_of(HOOKS))


@functools.cache
def words_near(name: str) -> tuple[str, ...]:
    """Names of parameters that take words, in the module of a part."""
    module = sys.modules.get(getattr(PART_CLASSES.get(name), '__module__', ''))
    return tuple(
        sorted({p.name for p in _parameters_in(module) if takes_word(p)})
        if module
        else ()
    )


_ALL = [
    parameter
    for name, module in sorted(sys.modules.items())
    if name.startswith(PACKAGES)
    for parameter in _parameters_in(module)
]
ARGUMENTS = sorted(
    {
        name
        for part in (STEP_CLASSES | PART_CLASSES).values()
        for name in parameters_of(part)
    }
    | {'backend_args', 'file_client_args', 'init_cfg', 'pretrained', 'type'}
    | {parameter.name for parameter in _ALL}
)
WORD_ARGUMENTS = sorted({p.name for p in _ALL if takes_word(p)})
# Words that code of the libraries itself gives to its functions.
DEFAULT_WORDS = sorted(
    {p.default for p in _ALL if type(p.default) is str and len(p.default) < 20}
)


def names_of(classes: dict[str, object]) -> dict[str, list[str]]:
    return {name: sorted(parameters_of(c)) for name, c in classes.items()}


STEPS, PARTS = names_of(STEP_CLASSES), names_of(PART_CLASSES)
# Those that a config from a file may name.
ALLOWED_PARTS = [
    name
    for name, part in PART_CLASSES.items()
    if inspect.isclass(part)
    and allowed_parts.is_within(part, allowed_parts.MODULES)
]


@functools.cache
def relatives(name: str) -> tuple[str, ...]:
    """Allowed parts from the same package, such as the other necks."""
    package = _package(name)
    return tuple(n for n in ALLOWED_PARTS if _package(n) == package)


def _package(name: str) -> str:
    module = getattr(PART_CLASSES.get(name), '__module__', '')
    return module.rpartition('.')[0]


def filled(name: str) -> dict:
    """A part with a plain value for each argument that it requires."""
    part: dict = {'type': name}
    for key, parameter in parameters_of(PART_CLASSES[name]).items():
        if is_required(parameter) and key not in allowed_parts.FORBIDDEN:
            part[key] = {} if takes_dict(parameter) else _plain(key)
    return part


def _plain(key: str) -> int | str:
    if key == 'model_name':
        return 'test_convnext'  # of timm, a small one
    if key == 'num_classes':
        return 3
    return 3 if key.startswith('kernel') else 8
