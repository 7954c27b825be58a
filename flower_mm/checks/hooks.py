"""Hooks and schedulers that wait for a metric, and hooks that conflict."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

from mmengine.config import ConfigDict
from mmengine.hooks import CheckpointHook as StockCheckpointHook
from mmengine.hooks import EarlyStoppingHook, EMAHook
from mmengine.optim import ReduceOnPlateauParamScheduler

from flower_mm.checks.building import build_error
from flower_mm.checks.codes import Severity
from flower_mm.checks.config_values import scope_of, set_options
from flower_mm.checks.context import CheckContext
from flower_mm.checks.finding import Finding
from flower_mm.checks.registered_types import find_type
from flower_mm.engine.hooks.atomic_checkpoint import AtomicCheckpointHook
from flower_mm.engine.runner import MMENGINES_HOOKS
from flower_mm.weights.best_checkpoint import TOP1

# The key that names a metric, and whether the run ends where it is missing.
MONITORS = (
    (EarlyStoppingHook, 'monitor', False),
    (ReduceOnPlateauParamScheduler, 'monitor', True),
    (AtomicCheckpointHook, 'save_best', True),
    (StockCheckpointHook, 'save_best', True),
)


@dataclass(frozen=True)
class NamedPart:
    """A hook or scheduler of the config, its place and its class."""

    place: str
    cfg: ConfigDict
    kind: type

    def is_a(self, kind: type) -> bool:
        return isinstance(self.kind, type) and issubclass(self.kind, kind)


def check(ctx: CheckContext) -> Iterator[Finding]:
    hooks = list(_parts(ctx, 'default_hooks', 'HOOKS'))
    hooks += _parts(ctx, 'custom_hooks', 'HOOKS')
    for hook in hooks:
        yield from _builds(ctx, hook)
    schedulers = _parts(ctx, 'param_scheduler', 'PARAM_SCHEDULERS')
    for part in (*hooks, *schedulers):
        yield from _monitor(ctx, part)
    averages = [hook.place for hook in hooks if hook.is_a(EMAHook)]
    if len(averages) > 1:
        message = f'a second average of the weights, beside {averages[0]}'
        yield Finding('HOOK003', averages[-1], message, 'remove one of them')
    for name, hook in (ctx.cfg.get('default_hooks') or {}).items():
        place = f'default_hooks.{name}'
        if hook is None and name == 'runtime_info':
            message = 'switched off, and it counts the epochs for all others'
            yield Finding('HOOK004', place, message, 'leave it out')
        elif (
            hook is None
            and not ctx.is_flower_run
            and name not in MMENGINES_HOOKS
        ):
            message = "MMEngine's own Runner cannot switch it off"
            fix = 'remove it, or the flag that switches it off'
            yield Finding('CFG011', place, message, fix)


def _parts(ctx: CheckContext, key: str, kind: str) -> Iterator[NamedPart]:
    parts = ctx.cfg.get(key) or []
    if isinstance(parts, dict):
        items = {'': parts} if 'type' in parts else parts
    else:
        items = dict(enumerate(parts))
    for name, part in items.items():
        if part and part.get('type'):
            found = find_type(part.type, kind, scope_of(ctx.cfg, part))
            if found:
                yield NamedPart(f'{key}.{name}'.rstrip('.'), part, found)


def _builds(ctx: CheckContext, hook: NamedPart) -> Iterator[Finding]:
    """Build our checkpoint hook and those of MMEngine; others may act."""
    module = str(getattr(hook.kind, '__module__', ''))
    if not hook.is_a(AtomicCheckpointHook) and not module.startswith(
        'mmengine.'
    ):
        return
    marks = ('type', '_scope_', 'priority')
    settings = {k: v for k, v in hook.cfg.items() if k not in marks}
    error = build_error(lambda given: hook.kind(**given), settings)
    if error:
        yield ctx.build_error(hook.place, hook.cfg, error).finding


def _monitor(ctx: CheckContext, part: NamedPart) -> Iterator[Finding]:
    """The metric has to be one that the validation measures."""
    measured = ctx.metrics
    for kind, key, ends in MONITORS:
        if not measured or not part.is_a(kind):
            continue
        wanted = part.cfg.get(key)
        if wanted is None and kind is AtomicCheckpointHook:
            wanted = TOP1
        names = wanted if isinstance(wanted, (list, tuple)) else [wanted]
        for name in names:
            place = f'{part.place}.{key}'
            if not isinstance(name, str) or name == 'auto':
                continue
            if name not in measured:
                # A training that is not stopped early does no harm.
                harmless = not ends and not part.cfg.get('strict')
                yield Finding(
                    'HOOK001',
                    place,
                    f'{name} is not measured; measured: '
                    f'{", ".join(sorted(measured))}',
                    _nearest(part, place, name, measured),
                    Severity.WARNING if harmless else None,
                )
            elif 'entropy' in name and part.cfg.get('rule') == 'greater':
                place = f'{part.place}.rule'
                message = f'the greatest {name} is the worst'
                fix = set_options({place: 'less'})
                yield Finding('HOOK002', place, message, fix)
        return


def _nearest(
    part: NamedPart, place: str, name: str, measured: frozenset[str]
) -> str:
    close = difflib.get_close_matches(name, measured, 1, 0.3)
    if TOP1 in measured and 'loss' not in name:
        better = [known for known in close if 'entropy' not in known]
        close = better or [TOP1]
    values = {place: next(iter(close), min(measured))}
    rule = 'less' if 'entropy' in values[place] else 'greater'
    if part.cfg.get('rule') != rule:
        values[f'{part.place}.rule'] = rule
    return set_options(values)
