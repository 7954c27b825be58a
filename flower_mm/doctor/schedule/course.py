"""The rate over the run: does it fall, and when?"""

from collections.abc import Iterator

import numpy as np
from mmengine.config import ConfigDict
from mmengine.hooks import EMAHook

from flower_mm.doctor.case import Case
from flower_mm.doctor.finding import Finding, Level, note, stop, warn
from flower_mm.doctor.keys.accepted import find
from flower_mm.doctor.remedy import option
from flower_mm.doctor.schedule.height import LR, check_height, gentle
from flower_mm.doctor.schedule.plateau import check_plateau
from flower_mm.doctor.schedule.rate import (
    Curve,
    ImpossibleError,
    Rate,
    kind,
    length_of,
    short,
    unit_of,
)
from flower_mm.doctor.schedule.refit import COSINE, WARM_UPS, mended

# The rate has not come down where it ends at more than this much of its
# highest. A cosine by epochs ends at half of it in a run of two.
HIGH_END = 0.6
LATE = 0.5  # of the run, for the highest rate
THEIRS = ('torch.', 'mmengine.', 'mmpretrain.')
SPENT = 1e-3  # of the highest rate


def check(case: Case) -> Iterator[Finding]:
    rate = Rate(case)
    if rate.optimizer is None or not rate.epochs:
        return
    try:
        _ = rate.base
    except Exception as error:
        if _is_theirs(rate, 'OPTIMIZERS', [rate.optimizer]):
            yield stop(
                f'{kind(rate.optimizer)} cannot be built: {error}.',
                'optim_wrapper.optimizer',
                f'settings that {kind(rate.optimizer)} takes',
            )
        return
    yield from check_plateau(rate)
    late = list(_begins(rate))
    yield from late
    curve = None
    if not any(finding.level == Level.STOP for finding in late):
        try:
            curve = rate.curve(case.thorough)
        except ImpossibleError as error:
            schedulers = [scheduler for _, scheduler in rate.schedulers]
            if _is_theirs(rate, 'PARAM_SCHEDULERS', schedulers):
                yield stop(
                    f'The schedule cannot be: {error}.',
                    _main(rate),
                    mended(rate),
                )
            return
    if curve:
        yield from _shape(rate, curve)
    yield from check_height(rate, curve)


def _begins(rate: Rate) -> Iterator[Finding]:
    """What begins after the run is over."""
    for place, scheduler in rate.schedulers:
        begin, length = scheduler.get('begin', 0), length_of(rate, scheduler)
        if not begin or length is None or begin < length:
            continue
        unit = unit_of(scheduler)
        what = (
            f'{kind(scheduler)} begins at {unit} {begin}, and the run has '
            f'{length}'
        )
        if scheduler.get('end', length) > begin:
            yield warn(f'{what}: it never acts.', place, mended(rate))
        else:
            yield stop(f'{what}: MMEngine refuses it.', place, mended(rate))


def _shape(rate: Rate, curve: Curve) -> Iterator[Finding]:
    highest = short(curve.highest)
    cycle = any(kind(s) == 'OneCycleLR' for _, s in rate.schedulers)
    if not rate.is_stepped and rate.schedulers:
        yield warn(
            f'The rate stays at {highest}: the hook that moves it is off.',
            'default_hooks.param_scheduler',
            "dict(type='ParamSchedulerHook')",
        )
    elif curve.highest <= 0:
        yield warn(
            'The rate is 0 in every step: nothing is learned.',
            LR,
            option(LR, gentle(rate)),
        )
    elif curve.highest < 0.1 * rate.base and not cycle:
        yield warn(
            f'The rate gets no higher than {highest}, of the '
            f'{short(rate.base)} that are set: the warm-up takes longer than '
            'the run.',
            _main(rate),
            mended(rate),
        )
    elif rate.epochs > 1:  # else there is no time for a schedule
        yield from _course(rate, curve)


def _course(rate: Rate, curve: Curve) -> Iterator[Finding]:
    """Up in the beginning, down in the end."""
    warm_ups = list(_long_warm_ups(rate))
    yield from warm_ups
    spent = np.flatnonzero(curve.rates >= SPENT * curve.highest)[-1] + 1
    if curve.last > HIGH_END * curve.highest:
        if not warm_ups or curve.first_highest < LATE:
            yield _stays_high(rate, curve)
    elif spent < LATE * len(curve.rates):
        yield warn(
            f'From epoch {spent // curve.per_epoch + 1} of {rate.epochs} on '
            'the rate is less than a thousandth of '
            f'{short(curve.highest)}: nothing more is learned.',
            _main(rate),
            mended(rate),
        )
    else:
        yield from _milestones_beyond(rate, never=False)


def _long_warm_ups(rate: Rate) -> Iterator[Finding]:
    for place, scheduler in rate.schedulers:
        length = length_of(rate, scheduler)
        rises = kind(scheduler) in WARM_UPS and (
            scheduler.get('start_factor', scheduler.get('factor', 1 / 3))
            < scheduler.get('end_factor', 1.0)
        )
        if not rises or scheduler.get('begin') or not length:
            continue
        end = scheduler.get('end', length)
        if end > LATE * length:
            yield warn(
                f'The rate rises for {end} {unit_of(scheduler)}s, and the '
                f'run has {length}.',
                f'{place}.end',
                mended(rate),
            )


def _stays_high(rate: Rate, curve: Curve) -> Finding:
    """Say why the last rate is about the highest."""
    highest, epochs = short(curve.highest), rate.epochs
    falling = [
        (place, scheduler)
        for place, scheduler in rate.schedulers
        if kind(scheduler) not in WARM_UPS
    ]
    unreached = next(_milestones_beyond(rate, never=True), None)
    if unreached:
        return unreached
    if not falling:
        # An average of the weights does much of what a falling rate does.
        level = note if _averages(rate) else warn
        since = 'after the warm-up' if curve.changes else 'from the first step'
        return level(
            f'The rate stays at {highest} {since} to the last.',
            'param_scheduler',
            COSINE,
        )
    place, scheduler = falling[-1]
    what = f'The rate ends at {short(curve.last)}'
    if curve.last < 0.995 * curve.highest:
        what += f', {100 * curve.last / curve.highest:.0f} % of its highest'
    else:
        what += ', as high as ever'
    made_for, length = _made_for(scheduler), length_of(rate, scheduler)
    if made_for and length and made_for > length:
        return warn(
            f'{what}: {kind(scheduler)} is made for {made_for} '
            f'{unit_of(scheduler)}s, and the run has {length}.',
            place,
            mended(rate),
        )
    return warn(f'{what} ({epochs} epochs).', place, COSINE)


def _milestones_beyond(rate: Rate, never: bool) -> Iterator[Finding]:
    """Milestones that the run does not reach.

    All of them where the rate `never` falls, else some.
    """
    for place, scheduler in rate.schedulers:
        length = length_of(rate, scheduler)
        if kind(scheduler) == 'MultiStepLR':
            steps = list(scheduler.get('milestones') or [])
            key, name = 'milestones', 'milestones'
        elif kind(scheduler) == 'StepLR':
            steps = [scheduler.get('step_size') or 0]
            key, name = 'step_size', 'step'
        else:
            continue
        begin = scheduler.get('begin', 0)
        if length is None or begin >= length:
            continue  # told elsewhere
        # At the very end one is of no use, nor is it a mistake.
        end = length if never else length + 1
        beyond = [step for step in steps if begin + step >= end]
        if not beyond or (never and len(beyond) < len(steps)):
            continue
        numbers = ', '.join(map(str, beyond))
        lie = 'lie' if len(beyond) > 1 else 'lies'
        name = name if len(beyond) > 1 else name.removesuffix('s')
        yield (warn if never else note)(
            f'{"The rate never falls: the" if never else "The"} {name} '
            f"{numbers} {lie} beyond the run's {length} "
            f'{unit_of(scheduler)}s.',
            f'{place}.{key}',
            mended(rate),
        )


def _made_for(scheduler: ConfigDict) -> int | None:
    """The length of run that the scheduler's own numbers make."""
    begin = scheduler.get('begin', 0)
    for key in ('T_max', 'total_steps'):
        if scheduler.get(key):
            return begin + scheduler[key]
    return scheduler.get('end')


def _main(rate: Rate) -> str:
    """The place of the schedule, in one piece or as a list."""
    if len(rate.schedulers) == 1:
        return rate.schedulers[0][0]
    return 'param_scheduler'


def _averages(rate: Rate) -> bool:
    hooks = [*(rate.cfg.get('default_hooks') or {}).values()]
    hooks += rate.cfg.get('custom_hooks') or []
    return any((h or {}).get('type') in ('EMAHook', EMAHook) for h in hooks)


def _is_theirs(rate: Rate, registry: str, parts: list[ConfigDict]) -> bool:
    """Whether these are classes that are known to need no more than here.

    One of the user's own may ask for what only a run has.
    """
    scope = rate.cfg.get('default_scope', 'flower_mm')
    found = [find(part.get('type'), registry, scope) for part in parts]
    return all(
        getattr(part, '__module__', '').startswith(THEIRS) for part in found
    )
