"""The same kind of schedule for the length that the run has."""

from mmengine.config import ConfigDict

from flower_mm.checks.remedy import setting
from flower_mm.checks.schedule.rate import Rate, kind, length_of

WARM_UPS = ('LinearLR', 'ConstantLR')
# A schedule that suits any run, as a line of config.
COSINE = (
    "in the config param_scheduler = [dict(type='CosineAnnealingLR', "
    'eta_min_ratio=0.01, convert_to_iter_based=True)]'
)


def mended(rate: Rate) -> str:
    """The numbers that fit, as options to paste."""
    if all(kind(scheduler) in WARM_UPS for _, scheduler in rate.schedulers):
        return COSINE
    words = []
    warm = 0.0  # of the run, until the main part begins
    for place, scheduler in rate.schedulers:
        length = length_of(rate, scheduler)
        if not length:
            continue
        starts = not scheduler.get('begin') and len(rate.schedulers) > 1
        if kind(scheduler) in WARM_UPS and starts:
            # A tenth of the run, an epoch at least.
            epoch = length // rate.epochs
            most = max(epoch, length // 10 // epoch * epoch)
            wanted = {'end': min(scheduler.get('end', length), most)}
            warm = wanted['end'] / length
        else:
            wanted = _for_length(scheduler, round(warm * length), length)
        words += [
            setting(f'{place}.{key}', value)
            for key, value in wanted.items()
            if scheduler.get(key) != value
        ]
    return f'--cfg-options {" ".join(words)}' if words else COSINE


def _for_length(scheduler: ConfigDict, start: int, length: int) -> dict:
    """The numbers of one scheduler that acts from `start` to the end."""
    wanted = {}
    begin = 0
    if scheduler.get('begin'):
        wanted['begin'] = begin = start
    if scheduler.get('end'):
        wanted['end'] = length
    for key in ('T_max', 'total_steps'):
        if scheduler.get(key):
            wanted[key] = length - begin
    if scheduler.get('milestones'):
        # At seven and nine tenths, as many schedules have them.
        steps = {round(share * length) - begin for share in (0.7, 0.9)}
        inside = sorted(step for step in steps if 0 < step < length - begin)
        wanted['milestones'] = inside or [1]
    if scheduler.get('step_size'):
        wanted['step_size'] = max(1, length // 3)
    return wanted
