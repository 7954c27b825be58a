"""Hooks and schedulers that wait for a metric, and hooks that conflict."""

from collections.abc import Callable, Iterator
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
from flower_mm.checks.registered_types import find_type, similar
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
MARKS = ('type', '_scope_', 'priority')


@dataclass(frozen=True)
class NamedPart:
    """A hook or scheduler of the config, its place and its class."""

    place: str
    cfg: ConfigDict
    kind: Callable

    def is_a(self, kind: type) -> bool:
        return isinstance(self.kind, type) and issubclass(self.kind, kind)


def check(ctx: CheckContext) -> Iterator[Finding]:
    hooks = list(_parts(ctx, 'default_hooks', 'HOOKS'))
    hooks += _parts(ctx, 'custom_hooks', 'HOOKS')
    schedulers = _parts(ctx, 'param_scheduler', 'PARAM_SCHEDULERS')
    for hook in hooks:
        yield from _builds(ctx, hook)
    for part in (*hooks, *schedulers):
        yield from _monitor(ctx, part)
    averages = [hook.place for hook in hooks if hook.is_a(EMAHook)]
    if len(averages) > 1:
        message = f'a second average of the weights, beside {averages[0]}'
        yield Finding('HOOK003', averages[-1], message, 'remove one of them')
    for name, hook in ctx.cfg.default_hooks.items():
        place, stock = f'default_hooks.{name}', name in MMENGINES_HOOKS
        if hook is None and name == 'runtime_info':
            message = 'switched off: all other hooks need its epoch count'
            yield Finding('HOOK004', place, message, 'leave it out')
        elif hook is None and not ctx.is_flower_run and not stock:
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
            found = find_type(part['type'], kind, scope_of(ctx.cfg, part))
            if found:
                yield NamedPart(f'{key}.{name}'.rstrip('.'), part, found)


def _builds(ctx: CheckContext, hook: NamedPart) -> Iterator[Finding]:
    """Build our checkpoint hook and those of MMEngine; others may act."""
    module = str(getattr(hook.kind, '__module__', ''))
    if hook.is_a(AtomicCheckpointHook) or module.startswith('mmengine.'):
        settings = {k: v for k, v in hook.cfg.items() if k not in MARKS}
        error = build_error(lambda given: hook.kind(**given), settings)
        if error:
            yield ctx.build_error(hook.place, hook.cfg, error).finding


def _monitor(ctx: CheckContext, part: NamedPart) -> Iterator[Finding]:
    """The metric has to be one that the validation measures."""
    kind, key, ends = next(
        (row for row in MONITORS if part.is_a(row[0])), (None, '', False)
    )
    if kind is None or not ctx.metrics:
        return
    wanted = part.cfg.get(key)
    if wanted is None and kind is AtomicCheckpointHook:
        wanted = TOP1
    place = f'{part.place}.{key}'
    for name in wanted if isinstance(wanted, (list, tuple)) else [wanted]:
        if not isinstance(name, str) or name == 'auto':
            continue
        if name not in ctx.metrics:
            # A training that is not stopped early does no harm.
            harmless = not ends and not part.cfg.get('strict')
            yield Finding(
                'HOOK001',
                place,
                f'{name} is not measured; measured: '
                f'{", ".join(sorted(ctx.metrics))}',
                _nearest(part, place, name, ctx.metrics),
                Severity.WARNING if harmless else None,
            )
        elif 'entropy' in name and part.cfg.get('rule') == 'greater':
            rule = f'{part.place}.rule'
            message = f'a greater {name} is worse'
            yield Finding(
                'HOOK002', rule, message, set_options({rule: 'less'})
            )


def _nearest(
    part: NamedPart, place: str, name: str, measured: frozenset[str]
) -> str:
    """Return options with the metric that was probably meant."""
    close = similar(name, measured, 0.3)
    accuracy = TOP1 in measured and 'loss' not in name
    if accuracy and (not close or 'entropy' in close):
        close = TOP1
    close = close or min(measured)
    values = {place: close}
    rule = 'less' if 'entropy' in close else 'greater'
    if part.cfg.get('rule') != rule:
        values[f'{part.place}.rule'] = rule
    return set_options(values)
