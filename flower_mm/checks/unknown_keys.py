"""Unknown keys of parts that no building reaches before training.

MMEngine ignores some of them, and raises for others after the first epoch.
"""

from collections.abc import Iterator, Set
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from flower_mm.checks.building import (
    MARKS,
    PARAMWISE,
    PLAIN,
    unknown_key,
    unknown_type,
)
from flower_mm.checks.config_values import (
    parts_of,
    scope_of,
    set_options,
    value_at,
)
from flower_mm.checks.finding import Finding
from flower_mm.checks.registered_types import (
    SCOPES,
    accepted_keys,
    find_type,
    similar,
)
from flower_mm.engine.runner import MMENGINES_HOOKS

MULTIPLIERS = frozenset({'lr_mult', 'decay_mult'})
LOOPS = {
    'train_cfg': ('EpochBasedTrainLoop', {'by_epoch'}),
    'val_cfg': ('ValLoop', set()),
    'test_cfg': ('TestLoop', set()),
}
# The functions of both types of clip_grad, and what each requires.
CLIPPING = {
    'norm': (clip_grad_norm_, 'max_norm'),
    'value': (clip_grad_value_, 'clip_value'),
}


def check_keys(cfg: Config, given: dict) -> Iterator[Finding]:
    """Compare the parts that building does not reach."""
    for path, keys in PLAIN.items():
        yield from _compare(cfg, given, path, keys)
    for path, (name, more) in LOOPS.items():
        part = cfg.get(path) or {}
        loop = find_type(part.get('type') or name, 'LOOPS', scope_of(cfg))
        if loop:
            keys = accepted_keys(loop) | more
            yield from _compare(cfg, given, path, keys)
    for path, part in parts_of(cfg.get('default_hooks'), 'default_hooks'):
        if path.count('.') == 1:
            yield from _hook(cfg, given, path, part)
    for number, part in enumerate(cfg.get('custom_hooks') or []):
        yield from _hook(cfg, given, f'custom_hooks.{number}', part)
    for pattern in value_at(cfg, f'{PARAMWISE}.custom_keys') or {}:
        path = f'{PARAMWISE}.custom_keys.{pattern}'
        settings = cfg.optim_wrapper.paramwise_cfg.custom_keys[pattern]
        for key in settings:
            # Optimizers and hooks may read others, as LARS does.
            if key not in MULTIPLIERS and similar(key, MULTIPLIERS):
                yield unknown_key(cfg, given, path, key, MULTIPLIERS)
    yield from _clip_grad(cfg, given)


def _compare(
    cfg: Config, given: dict, path: str, keys: Set[str]
) -> Iterator[Finding]:
    part = value_at(cfg, path)
    for key in part if isinstance(part, dict) else ():
        if key not in keys | MARKS:
            yield unknown_key(cfg, given, path, key, keys)


def _hook(
    cfg: Config, given: dict, path: str, part: ConfigDict
) -> Iterator[Finding]:
    if not part.get('type'):
        known = {*MMENGINES_HOOKS, *cfg.default_hooks, 'pretrained', 'ema'}
        name = path.rpartition('.')[2]
        close = similar(name, known - {name}, 0.6)
        fix = f'did you mean default_hooks.{close}?' if close else "type='…'"
        yield Finding('CFG006', path, 'missing type', fix)
        return
    scope = scope_of(cfg, part)
    hook = find_type(part.type, 'HOOKS', scope)
    if hook is None:
        if str(part.type).rpartition('.')[0] in {'', *SCOPES}:
            yield unknown_type(str(part.type), path, 'HOOKS', scope)
        return
    keys = accepted_keys(hook) | MARKS
    init: Any = getattr(hook, '__init__', None)
    module = str(getattr(init, '__module__', ''))
    # These pass other keys on, to what runs after an epoch.
    if module.startswith(('mmengine.', 'mmpretrain.')):
        match init.__qualname__:
            case 'CheckpointHook.__init__':
                keys |= accepted_keys(Runner.save_checkpoint)
            case 'EMAHook.__init__':
                name = part.get('ema_type', 'ExponentialMovingAverage')
                average = find_type(name, 'MODELS', scope)
                keys |= accepted_keys(average) if average else part.keys()
            case 'VisualizationHook.__init__':
                keys |= part.keys()
    elif not module.startswith('flower_mm.'):
        return  # of the user's own
    yield from _compare(cfg, given, path, keys)


def _clip_grad(cfg: Config, given: dict) -> Iterator[Finding]:
    path = 'optim_wrapper.clip_grad'
    part = value_at(cfg, path)
    if not part:
        return
    kind = part.get('type', 'norm')
    if kind not in CLIPPING:
        message = f'expected norm or value, got {kind!r}'
        yield Finding('CFG007', f'{path}.type', message)
        return
    function, required = CLIPPING[kind]
    keys = accepted_keys(function) - {'parameters'}
    yield from _compare(cfg, given, path, keys)
    if not similar(required, part):
        fix = set_options({f'{path}.{required}': 1.0})
        yield Finding('CFG008', path, f'{required} is missing', fix)
