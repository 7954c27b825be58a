"""Rates that follow a metric: does it exist, and will they ever move?"""

from collections.abc import Iterator

from flower_mm.checks.finding import Finding, stop, warn
from flower_mm.checks.keys.accepted import find
from flower_mm.checks.remedy import option, setting
from flower_mm.checks.schedule.rate import Rate, kind
from flower_mm.checks.schedule.refit import COSINE
from flower_mm.config import metrics_of


def check_plateau(rate: Rate) -> Iterator[Finding]:
    if not rate.plateau:
        return
    place, scheduler = rate.plateau
    cfg = rate.cfg
    if not cfg.get('val_dataloader'):
        yield warn(
            'The rate never falls: ReduceOnPlateauLR follows the validation, '
            'and there is none.',
            place,
            COSINE,
        )
        return
    monitor = scheduler.get('monitor', 'loss')
    if not _is_measured(rate, monitor):
        yield stop(
            f'ReduceOnPlateauLR follows {monitor}, which the validation does '
            'not measure: the run would end after the first epoch.',
            f'{place}.monitor',
            f'{option(f"{place}.monitor", "accuracy/top1")} '
            f'{setting(f"{place}.rule", "greater")}',
        )
        return
    if scheduler.get('rule', 'less') == 'less' and 'entropy' not in monitor:
        yield warn(
            f'The rate falls when {monitor} does not get less, so whenever '
            'the model gets better.',
            f'{place}.rule',
            option(f'{place}.rule', 'greater'),
        )
    patience = scheduler.get('patience', 10)
    validations = rate.epochs // (cfg.train_cfg.get('val_interval') or 1)
    # It falls after the first validation and `patience` + 1 that are no
    # better, and then an epoch has to follow.
    if rate.epochs != 1 and patience + 2 >= validations:
        yield warn(
            f'The rate never falls: it would after {patience + 1} '
            f'validations without progress, and the run has {validations}.',
            f'{place}.patience',
            option(f'{place}.patience', max(1, validations // 5)),
        )


def _is_measured(rate: Rate, monitor: str) -> bool:
    """Whether a metric yields this; also where nobody can tell."""
    scope = rate.cfg.get('default_scope', 'flower_mm')
    for metric in metrics_of(rate.case.settled.get('val_evaluator')):
        found = find(metric.get('type'), 'METRICS', scope)
        prefix = metric.get('prefix') or getattr(found, 'default_prefix', None)
        if kind(metric) == 'CrossEntropy':
            if monitor == 'cross_entropy':
                return True
        elif prefix is None or monitor.startswith(f'{prefix}/'):
            return True
    return False
