"""Build parts of a config quietly, and explain what cannot be built."""

import copy
import logging
import re
import traceback
import warnings
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager

import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, Registry
from mmengine.runner import LogProcessor, Runner
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils.data import DataLoader

from flower_mm.checks.codes import Severity
from flower_mm.checks.config_source import read_sources
from flower_mm.checks.config_values import parts_of, scope_of, value_at
from flower_mm.checks.finding import Finding
from flower_mm.checks.registered_types import (
    accepted_keys,
    find_type,
    registered_names,
    similar,
)
from flower_mm.checks.setting_names import (
    MIGRATION,
    OLD_TYPES,
    RENAMED_KEYS,
    place_of,
)
from flower_mm.config import bare_name
from flower_mm.errors import UserError

LONGEST = 300  # characters of a library's message
# Parts of a model that can be built alone, the innermost first.
MODEL_PARTS = ('head.loss', 'head', 'neck', 'backbone')
REFUSED = re.compile(r"unexpected keyword argument '(\w+)'")
NOT_FOUND = re.compile(r'([\w./]+) is not in the \S+?::([\w ]+) registry')
WITHOUT_TYPE = re.compile(r'must contain the key "type"')
# Registries by MMEngine's names for them.
KINDS = {
    'model': 'MODELS',
    'dataset': 'DATASETS',
    'transform': 'TRANSFORMS',
    'data sampler': 'DATA_SAMPLERS',
    'hook': 'HOOKS',
    'metric': 'METRICS',
    'optimizer': 'OPTIMIZERS',
    'optim_wrapper': 'OPTIM_WRAPPERS',
    'parameter scheduler': 'PARAM_SCHEDULERS',
    'loop': 'LOOPS',
    'batch augment': 'BATCH_AUGMENTS',
}
MARKS = frozenset({'type', '_scope_', 'priority'})
PARAMWISE = 'optim_wrapper.paramwise_cfg'
LOADER = accepted_keys(DataLoader) | {
    'num_batch_per_epoch',
    'disable_subprocess_warning',
}
# Parts without a class; MMEngine reads some and ignores other keys.
PLAIN = {
    'auto_scale_lr': {'base_batch_size', 'enable'},
    'env_cfg': {'cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'},
    'randomness': accepted_keys(Runner.set_randomness),
    'log_processor': accepted_keys(LogProcessor),
    PARAMWISE: {
        'norm_decay_mult',
        'bias_decay_mult',
        'bias_lr_mult',
        'dwconv_decay_mult',
        'dcn_offset_lr_mult',
        'flat_decay_mult',
        'bypass_duplicate',
        'layer_decay_rate',
        'custom_keys',
    },
    'train_dataloader': LOADER,
    'val_dataloader': LOADER,
    'test_dataloader': LOADER,
}
# Where an unknown key changes nothing while training.
HARMLESS = ('test_', 'auto_scale_lr', 'env_cfg', PARAMWISE)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence log lines below errors, and warnings."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(level)


class _SkipInit(TorchFunctionMode):
    """Zero new weights: drawing the 138 million of VGG-16 takes 2 s."""

    INITIALIZERS = (
        torch.Tensor.uniform_,
        torch.Tensor.normal_,
        nn.init.uniform_,
        nn.init.normal_,
        nn.init.kaiming_uniform_,
        nn.init.kaiming_normal_,
    )

    def __torch_function__(
        self,
        function: Callable,
        types: tuple,
        args: tuple = (),
        kwargs: dict | None = None,
    ) -> object:
        kwargs = kwargs or {}
        if function in self.INITIALIZERS:
            # What memory held may be denormal, which is slow to compute.
            return (args[0] if args else kwargs['tensor']).detach().zero_()
        return function(*args, **kwargs)


def reason(error: Exception) -> str:
    """Return a library's error on one line; its source if it has no text."""
    text = ' '.join(str(error).split())
    if isinstance(error, UserError):
        return text
    lines = traceback.extract_tb(error.__traceback__)
    if not text and lines:
        text = lines[-1].line or ''
    return f'{type(error).__name__}: {text[:LONGEST]}'


def build_error(
    build: Callable, part: ConfigDict | list | None
) -> Exception | None:
    """Return the error of building a part, None if it can be built."""
    if not isinstance(part, (dict, list)):
        return None
    try:
        with quiet(), _SkipInit():
            build(copy.deepcopy(part))
    except Exception as error:
        return error
    return None


class ModelError(Exception):
    """A part of a model that cannot be built, and where it is."""

    def __init__(self, place: str, part: object, error: Exception) -> None:
        super().__init__(str(error))
        self.place, self.part, self.error = place, part, error


def build_model(cfg: ConfigDict, registry: Registry = MODELS) -> nn.Module:
    """Build a model whose weights are zero or whatever memory held.

    An error raises a ModelError with the part that causes it.
    """
    try:
        with quiet(), _SkipInit():
            return registry.build(copy.deepcopy(cfg))
    except UserError:
        raise
    except Exception as error:
        raise _failing_part(cfg, registry, error) from error


def _failing_part(
    cfg: ConfigDict, registry: Registry, error: Exception
) -> ModelError:
    path, model = 'model', cfg
    if 'module' in cfg:  # test-time augmentation around the model
        path, model = 'model.module', cfg.module
    for name in MODEL_PARTS:
        part = model
        for key in name.split('.'):
            part = part.get(key) if isinstance(part, dict) else None
        if alone := build_error(registry.build, part):
            return ModelError(f'{path}.{name}', part, alone)
    for name in ('train_cfg', 'data_preprocessor'):
        rest = copy.deepcopy(model)
        part = rest.pop(name, None)
        if part and build_error(registry.build, rest) is None:
            where = name if name not in cfg or name != 'train_cfg' else ''
            return ModelError(where or f'{path}.{name}', part, error)
    return ModelError(path, model, error)


# --- findings ----------------------------------------------------------------


def build_finding(
    cfg: Config,
    given: dict | None,
    place: str,
    part: object,
    error: Exception,
) -> Finding:
    """Return the finding for an error of building a part."""
    text, given = str(error), given or {}
    name = part.get('type') if isinstance(part, dict) else None
    if match := REFUSED.search(text):
        keys = accepted_by(cfg, part)
        return unknown_key(cfg, given, place, match[1], keys)
    if match := NOT_FOUND.search(text):
        kind = KINDS.get(match[2], 'MODELS')
        for path, inner in parts_of(part, place):
            if str(inner.get('type')) == match[1]:
                place = path
        return unknown_type(match[1], place, kind, scope_of(cfg))
    if WITHOUT_TYPE.search(text):
        fix = "type='…'"
        if place.rpartition('.')[2].isdigit():
            fix = 'the whole item: a list replaces that of the base config'
        return Finding('CFG006', place, 'missing type', fix, _severity(place))
    name = getattr(name, '__name__', name)
    fix = f'arguments that {name} accepts' if name else ''
    message = f'{name or "this"} cannot be built: {reason(error)}'
    return Finding('RUN001', place, message, fix, _severity(place))


def accepted_by(cfg: Config, part: object) -> frozenset[str]:
    """Return the arguments of the class that a part names."""
    if not isinstance(part, dict) or not part.get('type'):
        return frozenset()
    scope = scope_of(cfg, part)
    types = [find_type(part['type'], kind, scope) for kind in KINDS.values()]
    return frozenset().union(*(accepted_keys(t) for t in types if t))


def unknown_type(name: str, path: str, kind: str, scope: str) -> Finding:
    bare = bare_name(name)
    where, message = f'{path}.type', f'unknown type {name!r}'
    owners = ('mmpretrain', 'flower_mm')
    owner = next((s for s in owners if find_type(bare, kind, s)), None)
    close = similar(bare, registered_names(kind, scope))
    if owner and scope == 'mmengine':
        where, message = 'default_scope', f'not set, so {bare} is not found'
        fix = f"default_scope = '{owner}'"
    elif owner and scope != owner:
        message += f': it is of {owner}, and the scope here is {scope}'
        fix = f"'{owner}.{bare}'"
    elif bare in OLD_TYPES:
        message += ' of MMClassification 0.x'
        fix = f'see {MIGRATION}'
    elif close:
        fix = f'did you mean {close!r}?'
    else:
        fix = 'custom_imports=dict(imports=[…]) registers classes of your own'
    return Finding('CFG005', where, message, fix, _severity(path))


def unknown_key(
    cfg: Config,
    given: dict,
    path: str,
    key: str,
    keys: Set[str],
) -> Finding:
    sources = read_sources(cfg.filename)

    def is_own(place: str) -> bool:
        """Whether the user's own file or an option sets it."""
        return place in given or bool(sources and sources[0].sets(place))

    name = bare_name((value_at(cfg, path) or {}).get('type'))
    message = f'unknown key {key!r}' + (f' of {name}' if name else '')
    meant = _meant(cfg, path, key, keys)
    if is_own(f'{path}.type') and not is_own(f'{path}.{key}'):
        message += ': it is left over from the base config'
        fix = f'{path} with _delete_=True and all keys that it needs'
    elif meant:
        fix = f'did you mean {meant}?'
    elif key.startswith('label_smooth'):
        fix = "loss=dict(type='LabelSmoothLoss', label_smooth_val=…)"
    else:
        fix = f'remove it; accepted: {", ".join(sorted(keys - MARKS))}'
    where = f'{path}.{key}'
    return Finding('CFG001', where, message, fix, _severity(path))


def _severity(path: str) -> Severity:
    return Severity.WARNING if path.startswith(HARMLESS) else Severity.ERROR


def _meant(cfg: Config, path: str, key: str, keys: Set[str]) -> str | None:
    """Return the key that was probably meant, here or in another part."""
    now = RENAMED_KEYS.get(key, key)
    close = now if now in keys else similar(key, keys)
    if close:
        return f'{path}.{close}'
    root = path.partition('.')[0]
    near = [
        place
        for place, accepted in PLAIN.items()
        if place.startswith(root) and now in accepted
    ]
    near += [
        place
        for place, part in parts_of(cfg.get(root), root)
        if now in accepted_by(cfg, part)
    ]
    if near:
        return f'{min(near, key=len)}.{now}'
    place = place_of(key)
    return place if place != f'{path}.{key}' else None
