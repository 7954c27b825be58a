"""Hooks that would end the run, or never do what they are there for."""

import difflib
import multiprocessing
import re
from collections.abc import Iterator
from dataclasses import dataclass

from mmengine.config import ConfigDict
from mmengine.hooks import CheckpointHook as TheirCheckpointHook
from mmengine.hooks import EarlyStoppingHook, EMAHook

from flower_mm.checks.building.assemble import reason
from flower_mm.checks.case import Case
from flower_mm.checks.finding import Finding, stop, warn
from flower_mm.checks.keys.accepted import find
from flower_mm.checks.keys.measured import measured
from flower_mm.checks.quiet import quiet
from flower_mm.checks.remedy import option, setting, value_at
from flower_mm.engine.hooks.atomic_checkpoint import AtomicCheckpointHook
from flower_mm.weights.best_checkpoint import TOP1

START = 'env_cfg.mp_cfg.mp_start_method'
TOP = re.compile(r'accuracy/top\d+')  # told with the number of classes


@dataclass(frozen=True)
class Named:
    """A hook of the config, its place and its class."""

    place: str
    cfg: ConfigDict
    kind: type

    def is_a(self, kind: type) -> bool:
        return isinstance(self.kind, type) and issubclass(self.kind, kind)


def check(case: Case) -> Iterator[Finding]:
    named = list(_named(case))
    for hook in named:
        yield from _made(hook)
        if hook.is_a(EMAHook):
            yield from _average(case, hook)
    yield from _monitors(case, named)
    yield from _twice([hook for hook in named if hook.is_a(EMAHook)])
    hooks = case.cfg.get('default_hooks') or {}
    if hooks.get('runtime_info', {}) is None:
        yield stop(
            'RuntimeInfoHook is off, which counts the epochs for all others.',
            'default_hooks.runtime_info',
            'leave it out',
        )
    yield from _start_method(case)


def _named(case: Case) -> Iterator[Named]:
    scope = case.cfg.get('default_scope') or 'mmengine'
    defaults = case.cfg.get('default_hooks') or {}
    more = case.cfg.get('custom_hooks') or []
    rows = [(f'default_hooks.{name}', hook) for name, hook in defaults.items()]
    rows += [(f'custom_hooks.{i}', hook) for i, hook in enumerate(more)]
    for place, hook in rows:
        found = hook and find(
            hook.get('type'), 'HOOKS', hook.get('_scope_') or scope
        )
        if found:
            yield Named(place, hook, found)


def _made(hook: Named) -> Iterator[Finding]:
    """Build MMEngine's hooks and our checkpoint hook, which check keys."""
    ours = hook.is_a(AtomicCheckpointHook)
    module = str(getattr(hook.kind, '__module__', ''))
    if not ours and not module.startswith('mmengine.'):
        return
    marks = ('type', '_scope_', 'priority')
    settings = {k: v for k, v in hook.cfg.items() if k not in marks}
    try:
        with quiet():
            hook.kind(**settings)
    except Exception as error:
        key, mend = hook.place, f'what {hook.kind.__name__} takes'
        if hook.cfg.get('interval') == 0:
            key = f'{hook.place}.interval'
            mend = option(key, 1 if ours else 10)
        yield stop(
            f'{hook.kind.__name__} cannot be built: {reason(error)}', key, mend
        )


# --- metrics that hooks wait for ---------------------------------------------


def _monitors(case: Case, named: list[Named]) -> Iterator[Finding]:
    there = measured(case.settled)
    if not there or not case.cfg.get('val_dataloader'):
        return
    for hook in named:
        key = 'save_best'
        if hook.is_a(EarlyStoppingHook):
            key = 'monitor'
        elif not hook.is_a(AtomicCheckpointHook | TheirCheckpointHook):
            continue
        wanted = hook.cfg.get(key)
        for name in wanted if isinstance(wanted, (list, tuple)) else [wanted]:
            if not isinstance(name, str) or name == 'auto':
                continue
            if name in there:
                yield from _greatest(hook, name)
            elif not TOP.fullmatch(name):
                yield _unmeasured(hook, key, name, there)


def _unmeasured(hook: Named, key: str, name: str, there: set) -> Finding:
    stops = key == 'monitor'
    place = f'{hook.place}.{key}'
    near = _nearest(name, there)
    mend = option(place, near)
    if 'entropy' in near and not hook.cfg.get('rule'):
        mend += f' {setting(f"{hook.place}.rule", "less")}'
    what = f'{name} is not measured; val_evaluator measures '
    what += f'{", ".join(sorted(there))}'
    if stops and not hook.cfg.get('strict'):
        return warn(f'{what}: the run is never stopped early.', place, mend)
    return stop(f'{what}: the run would end after an epoch.', place, mend)


def _nearest(name: str, there: set[str]) -> str:
    better = [known for known in sorted(there) if 'entropy' not in known]
    known = better if better and 'loss' not in name else sorted(there)
    close = difflib.get_close_matches(name, known, 1, 0.3)
    if close:
        return close[0]
    return TOP1 if TOP1 in there else known[0]


def _greatest(hook: Named, name: str) -> Iterator[Finding]:
    if (
        hook.is_a(AtomicCheckpointHook)
        and 'entropy' in name
        and hook.cfg.get('rule') == 'greater'
    ):
        yield warn(
            f'best.pth is the epoch with the greatest {name}, so the worst.',
            f'{hook.place}.rule',
            option(f'{hook.place}.rule', 'less'),
        )


# --- averages of the weights -------------------------------------------------


def _average(case: Case, hook: Named) -> Iterator[Finding]:
    momentum = hook.cfg.get('momentum')
    place = f'{hook.place}.momentum'
    kind = hook.cfg.get('ema_type', 'ExponentialMovingAverage')
    if kind in ('ExponentialMovingAverage', 'MomentumAnnealingEMA') and type(
        momentum
    ) in (int, float):
        if not 0 < momentum < 1:
            yield stop(
                f'The momentum of EMAHook is a share between 0 and 1, not '
                f'{momentum}.',
                place,
                option(place, 0.01),
            )
        elif momentum > 0.5:
            yield warn(
                f"EMAHook's momentum is the share of the new weights: of "
                f'{momentum} nothing is left to average.',
                place,
                option(place, f'{1 - momentum:.4g}'),
            )
    epochs = case.cfg.train_cfg.get('max_epochs')
    if not epochs:
        return
    for key, length in (
        ('begin_epoch', epochs),
        ('begin_iter', epochs * case.iterations),
    ):
        begin = hook.cfg.get(key) or 0
        if begin > length:
            yield stop(
                f'EMAHook begins at {key.removeprefix("begin_")} {begin}, '
                f'and the run has {length}: MMEngine refuses it.',
                f'{hook.place}.{key}',
                option(f'{hook.place}.{key}', 0),
            )


def _twice(averages: list[Named]) -> Iterator[Finding]:
    if len(averages) < 2:
        return
    first, second = averages[0].place, averages[-1].place
    mend = 'leave one of them out'
    if first.startswith('default_hooks.'):
        mend += f': {option(first, None)}'
    yield warn(
        f'Two hooks average the weights, {first} and {second}, and each '
        'exchanges what the other has put in.',
        second,
        mend,
    )


def _start_method(case: Case) -> Iterator[Finding]:
    wanted = value_at(case.cfg, START)
    known = multiprocessing.get_all_start_methods()
    if wanted is not None and wanted not in known:
        close = difflib.get_close_matches(str(wanted), known, 1, 0)
        yield stop(
            f'This system starts no processes by {wanted!r}, but by '
            f'{", ".join(known)}.',
            START,
            option(START, close[0] if close else None),
        )
