"""The rate over the run: does it fall, and when?"""

from collections.abc import Iterator

import numpy as np
from mmengine.config import ConfigDict
from mmengine.hooks import EMAHook

from flower_mm.checks.case import Case
from flower_mm.checks.finding import Finding, Level, note, stop, warn
from flower_mm.checks.keys.accepted import find
from flower_mm.checks.remedy import option, setting
from flower_mm.checks.schedule.height import LR, check_height, gentle
from flower_mm.checks.schedule.plateau import check_plateau
from flower_mm.checks.schedule.rate import (
    Curve,
    ImpossibleError,
    Rate,
    kind,
    length_of,
    short,
    unit_of,
)
from flower_mm.checks.schedule.refit import COSINE, WARM_UPS, mended

# The rate has not come down where it ends at more than this much of its
# highest. A cosine by epochs ends at half of it in a run of two, a tenth less
# each epoch leaves two thirds in a run of five.
HIGH_END = 0.7
LATE = 0.5  # of the run, for the highest rate
THEIRS = ('torch.', 'mmengine.', 'mmpretrain.')
SPENT = 1e-3  # of the highest rate
SOON = 0.1  # of the run, or its first epoch


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
    other = list(_in_another_unit(rate))
    yield from late + other
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
    if curve and not other:
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


def _in_another_unit(rate: Rate) -> Iterator[Finding]:
    """Steps that were meant in epochs, and are counted in iterations."""
    for place, scheduler in rate.schedulers:
        length = length_of(rate, scheduler)
        if scheduler.get('by_epoch', True) or not length or rate.epochs < 3:
            continue
        key = _key_of_steps(scheduler)
        if not key or not scheduler.get(key):
            continue
        steps, begin = scheduler[key], scheduler.get('begin', 0)
        soon = max(rate.iterations, int(SOON * length)) - begin
        if key == 'milestones':
            falls, last = len(steps), max(steps)
        else:
            falls = soon // steps
            last = falls * steps
        fallen = scheduler.get('gamma', 0.1) ** falls
        # A rate that falls by steps of a few per cent may do so often.
        if last > soon or fallen > 0.5 or (key != 'milestones' and falls < 2):
            continue
        epoch = (begin + last - 1) // rate.iterations + 1
        yield warn(
            f'{key}={steps} counts iterations, of which an epoch has '
            f'{rate.iterations}: the rate is down to '
            f'{short(rate.base * fallen)} in epoch {epoch} of {rate.epochs}.',
            f'{place}.by_epoch',
            _as_epochs(rate, place, scheduler, key),
        )


def _as_epochs(rate: Rate, place: str, scheduler: ConfigDict, key: str) -> str:
    """The same numbers as epochs, where there are as many."""
    if scheduler.get('begin') or scheduler.get('end'):
        return mended(rate)  # these are iterations, and may be meant so
    steps = scheduler[key]
    option_ = option(f'{place}.by_epoch', True)
    if key == 'milestones':
        if max(steps) < rate.epochs:
            return option_
        fit = sorted({max(1, rate.epochs * n // 10) for n in (7, 9)})
    elif steps < rate.epochs:
        return option_
    else:
        fit = max(1, rate.epochs // 3)
    return f'{option_} {setting(f"{place}.{key}", fit)}'


def _key_of_steps(scheduler: ConfigDict) -> str | None:
    return {'MultiStepLR': 'milestones', 'StepLR': 'step_size'}.get(
        kind(scheduler)
    )


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
    elif len(curve.rates) > curve.per_epoch:
        # Else there is no time for a schedule.
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
        since = f'epoch {spent // curve.per_epoch + 1} of {rate.epochs}'
        yield warn(
            f'From {since} on the rate is less than a thousandth of '
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
    highest = short(curve.highest)
    falling = [
        (place, scheduler)
        for place, scheduler in rate.schedulers
        if kind(scheduler) not in WARM_UPS
    ]
    unreached = next(_milestones_beyond(rate, never=True), None)
    if unreached:
        return unreached
    # An average of the weights does much of what a falling rate does: then a
    # rate that hardly falls is a recipe like others. One that is too high is
    # told as such.
    level, saving = warn, ''
    if _averages(rate):
        level = note
        saving = '; the average of the weights (EMAHook) makes up for much'
    if not falling:
        since = 'after the warm-up' if curve.changes else 'from the first step'
        return level(
            f'The rate stays at {highest} {since} to the last{saving}.',
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
    return level(f'{what} ({rate.length}){saving}.', place, COSINE)


def _milestones_beyond(rate: Rate, never: bool) -> Iterator[Finding]:
    """Milestones that the run does not reach.

    All of them where the rate `never` falls, else some.
    """
    for place, scheduler in rate.schedulers:
        length = length_of(rate, scheduler)
        key, name = _key_of_steps(scheduler), 'milestones'
        if not key:
            continue
        if key == 'milestones':
            steps = list(scheduler.get('milestones') or [])
        else:
            steps, name = [scheduler.get('step_size') or 0], 'step'
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
