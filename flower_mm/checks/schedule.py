"""Does the learning rate fall, and when?"""

from collections.abc import Iterator
from dataclasses import replace

from mmengine.config import ConfigDict

from flower_mm.checks.codes import Severity
from flower_mm.checks.config_values import has_hook, set_options
from flower_mm.checks.context import CheckContext
from flower_mm.checks.finding import Finding
from flower_mm.checks.learning_rate import (
    LR,
    Curve,
    LearningRate,
    ScheduleError,
    length_of,
    short,
    unit_of,
)
from flower_mm.checks.peak_learning_rate import check_peak, fine_tuning_rate
from flower_mm.config import bare_name

WARM_UPS = ('LinearLR', 'ConstantLR')
# A schedule for a run of any length.
COSINE = (
    "param_scheduler = [dict(type='CosineAnnealingLR', eta_min_ratio=0.01, "
    'convert_to_iter_based=True)]'
)
# The learning rate ends high above this share of its peak. A cosine over
# epochs ends at half of it in a run of two; a tenth less each epoch leaves
# two thirds in a run of five.
HIGH_END = 0.7
LATE = 0.5  # of the run
SPENT = 1e-3  # of the peak
EARLY = 0.1  # of the run, or its first epoch


def check(ctx: CheckContext) -> Iterator[Finding]:
    rate = LearningRate(ctx)
    if not rate.is_known:
        return
    yield from _plateau(rate)
    try:
        curve = rate.curve()
    except ScheduleError as error:
        built = ctx.build_error(error.place, error.part, error.cause).finding
        fix = _refit(rate) if built.code == 'RUN001' else built.fix
        yield replace(built, fix=fix)
        return
    yield from _never_acts(rate)
    if curve:
        yield from _shape(rate, curve)
    yield from check_peak(rate, curve)


def _never_acts(rate: LearningRate) -> Iterator[Finding]:
    for place, scheduler in rate.schedulers:
        begin, length = scheduler.get('begin', 0), length_of(rate, scheduler)
        if begin and length and begin >= length:
            yield Finding(
                'LR004',
                place,
                f'{bare_name(scheduler.get("type"))} begins at '
                f'{unit_of(scheduler)} {begin}, and the run has {length}',
                _refit(rate),
            )


# --- the curve ---------------------------------------------------------------


def _shape(rate: LearningRate, curve: Curve) -> Iterator[Finding]:
    place = 'param_scheduler'
    if len(rate.schedulers) == 1:
        place = rate.schedulers[0][0]
    highest = short(curve.highest)
    if not rate.is_stepped and rate.schedulers:
        yield Finding(
            'LR001',
            'default_hooks.param_scheduler',
            f'the learning rate stays at {highest}: the hook that steps the '
            'schedulers is off',
            "dict(type='ParamSchedulerHook')",
        )
    elif curve.highest <= 0:
        message = 'the learning rate is 0 in every step'
        fix = set_options({LR: fine_tuning_rate(rate)})
        yield Finding('LR001', LR, message, fix)
    elif curve.highest < 0.1 * rate.base and not rate.of_type('OneCycleLR'):
        yield Finding(
            'LR005',
            place,
            f'the learning rate reaches {highest}, of {short(rate.base)}: the '
            'warm-up is longer than the run',
            _refit(rate),
        )
    elif len(curve.values) > curve.per_epoch:
        # One epoch has no time for a schedule.
        warm_ups = list(_long_warm_ups(rate))
        yield from warm_ups
        if curve.last > HIGH_END * curve.highest:
            if not warm_ups or curve.peak < LATE:
                yield _ends_high(rate, curve)
        elif early := _falls_early(rate, curve, place):
            yield early
        else:
            yield from _milestones_beyond(rate, all_of_them=False)


def _falls_early(
    rate: LearningRate, curve: Curve, place: str
) -> Finding | None:
    steps, fix = len(curve.values), _refit(rate)
    spent, halved = curve.last_above(SPENT), curve.last_above(LATE)
    if spent < LATE * steps:
        end, share = spent, 'a thousandth'
    elif halved <= max(curve.per_epoch, EARLY * steps) and rate.epochs > 2:
        end, share = halved, 'half'
        by_step = [p for p, s in rate.schedulers if unit_of(s) != 'epoch']
        if by_step:
            fix = f'by_epoch=True in {by_step[-1]}; or {fix}'
    else:
        return None
    return Finding(
        'LR006',
        place,
        f'the learning rate is below {share} of {short(curve.highest)} from '
        f'epoch {end // curve.per_epoch + 1} of {rate.epochs} on',
        fix,
    )


def _long_warm_ups(rate: LearningRate) -> Iterator[Finding]:
    for place, scheduler in rate.schedulers:
        length = length_of(rate, scheduler)
        rises = bare_name(scheduler.get('type')) in WARM_UPS and (
            scheduler.get('start_factor', scheduler.get('factor', 1 / 3))
            < scheduler.get('end_factor', 1.0)
        )
        end = scheduler.get('end', length)
        starts = rises and not scheduler.get('begin')
        if starts and length and end > LATE * length:
            yield Finding(
                'LR005',
                f'{place}.end',
                f'the warm-up takes {end} of {length} {unit_of(scheduler)}s',
                _refit(rate),
            )


def _ends_high(rate: LearningRate, curve: Curve) -> Finding:
    """Return why the last learning rate is about the highest."""
    unreached = next(_milestones_beyond(rate, all_of_them=True), None)
    if unreached:
        return unreached
    # An average of the weights does much of what a falling learning rate
    # does: then a constant one is a recipe like others.
    averaged = has_hook(rate.cfg, 'EMAHook')
    severity = Severity.NOTE if averaged else Severity.WARNING
    falling = [
        (place, scheduler)
        for place, scheduler in rate.schedulers
        if bare_name(scheduler.get('type')) not in WARM_UPS
    ]
    if not falling:
        highest = short(curve.highest)
        message = f'the learning rate stays at {highest} to the end'
        return Finding('LR001', 'param_scheduler', message, COSINE, severity)
    place, scheduler = falling[-1]
    share = 100 * curve.last / curve.highest
    message = (
        f'the learning rate ends at {short(curve.last)}, {share:.0f} % of '
        f'its peak, after {rate.epochs} epochs'
    )
    end, length = _end_of(scheduler), length_of(rate, scheduler)
    if end and length and end > length:
        message += (
            f': {bare_name(scheduler.get("type"))} is set up for {end} '
            f'{unit_of(scheduler)}s'
        )
        return Finding('LR002', place, message, _refit(rate))
    return Finding('LR002', place, message, COSINE, severity)


def _milestones_beyond(
    rate: LearningRate, all_of_them: bool
) -> Iterator[Finding]:
    """Find milestones that the run does not reach: all of them, or some."""
    for place, scheduler in rate.schedulers:
        length, begin = length_of(rate, scheduler), scheduler.get('begin', 0)
        key = {'MultiStepLR': 'milestones', 'StepLR': 'step_size'}.get(
            bare_name(scheduler.get('type'))
        )
        if not key or length is None or begin >= length:
            continue
        steps = scheduler.get(key) or []
        steps = [steps] if isinstance(steps, int) else list(steps)
        # A milestone at the very end has no effect and is no mistake.
        end = length if all_of_them else length + 1
        beyond = [step for step in steps if begin + step >= end]
        if not beyond or (all_of_them and len(beyond) < len(steps)):
            continue
        message = (
            f'{key} {", ".join(map(str, beyond))}: the run has {length} '
            f'{unit_of(scheduler)}s'
        )
        if all_of_them:
            message += ', so the learning rate never falls'
        severity = Severity.WARNING if all_of_them else Severity.NOTE
        where = f'{place}.{key}'
        yield Finding('LR003', where, message, _refit(rate), severity)


def _end_of(scheduler: ConfigDict) -> int | None:
    """Return the length of the run that a scheduler is set up for."""
    for key in ('T_max', 'total_steps'):
        if scheduler.get(key):
            return scheduler.get('begin', 0) + scheduler[key]
    return scheduler.get('end')


def _refit(rate: LearningRate) -> str:
    """Return options that scale the schedule to the length of the run."""
    values: dict[str, object] = {}
    for place, scheduler in rate.schedulers:
        length = length_of(rate, scheduler) or 0
        if bare_name(scheduler.get('type')) in WARM_UPS:
            # A tenth of the run, an epoch at least.
            most = max(length // (rate.epochs or 1), length // 10)
            if scheduler.get('end', length) > most:
                values[f'{place}.end'] = most
            continue
        last = max(scheduler.get('milestones') or [0]) / 0.9
        share = length / max(_end_of(scheduler) or 0, last, 1)
        for key in ('begin', 'end', 'T_max', 'total_steps', 'milestones'):
            value = scheduler.get(key)
            if isinstance(value, (list, tuple)):
                values[f'{place}.{key}'] = [round(share * v) for v in value]
            elif value:
                values[f'{place}.{key}'] = round(share * value)
        if scheduler.get('step_size'):
            values[f'{place}.step_size'] = max(1, length // 3)
    kinds = {bare_name(part.get('type')) for _, part in rate.schedulers}
    only_warm_ups = kinds <= set(WARM_UPS)
    return set_options(values) if values and not only_warm_ups else COSINE


# --- learning rates that follow a metric -------------------------------------


def _plateau(rate: LearningRate) -> Iterator[Finding]:
    named = rate.of_type('ReduceOnPlateauLR')
    if not named:
        return
    place, scheduler = named
    if not rate.cfg.get('val_dataloader'):
        message = 'ReduceOnPlateauLR follows the validation, which is off'
        yield Finding('LR010', place, message, COSINE)
        return
    monitor = scheduler.get('monitor', 'loss')
    if scheduler.get('rule', 'less') == 'less' and 'entropy' not in monitor:
        yield Finding(
            'HOOK002',
            f'{place}.rule',
            f'the learning rate falls when {monitor} improves',
            set_options({f'{place}.rule': 'greater'}),
        )
    patience = scheduler.get('patience', 10)
    validations = rate.epochs // (rate.cfg.train_cfg.get('val_interval') or 1)
    # It falls after the first validation and `patience` + 1 that are no
    # better, and then an epoch has to follow.
    if rate.epochs != 1 and patience + 2 >= validations:
        yield Finding(
            'LR010',
            f'{place}.patience',
            f'the learning rate falls after {patience + 1} validations '
            f'without progress, and the run has {validations}',
            set_options({f'{place}.patience': max(1, validations // 5)}),
        )
