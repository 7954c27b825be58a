"""What the metrics of val_evaluator will be called in the log."""

from mmengine.config import Config, ConfigDict
from mmengine.evaluator import BaseMetric

from flower_mm.checks.keys.accepted import find
from flower_mm.checks.quiet import quiet
from flower_mm.config import metrics_of, walk
from flower_mm.weights.best_checkpoint import TOP1

# Loops that log what the metrics give, and nothing else.
BOTH_WEIGHTS = ('EMAValLoop', 'EitherWeightsValLoop')
LOOPS = ('ValLoop', *BOTH_WEIGHTS)


def measured(cfg: Config) -> set[str] | None:
    """The names of all that is validated; None where nobody can tell."""
    loop = _bare((cfg.get('val_cfg') or {}).get('type', 'ValLoop'))
    evaluator = cfg.get('val_evaluator')
    if loop not in LOOPS or not evaluator:
        return None
    scope = cfg.get('default_scope') or 'mmengine'
    found = set()
    for part in metrics_of(evaluator):
        names = _names_of(part, scope)
        if names is None:
            return None
        found |= names
    both = loop in BOTH_WEIGHTS and _averages(cfg)
    if both and TOP1 in found:
        found |= {f'{TOP1}_ema', f'{TOP1}_plain'}
    return found


def _names_of(part: ConfigDict, scope: str) -> set[str] | None:
    kind = find(part.get('type'), 'METRICS', part.get('_scope_') or scope)
    # Those of MMPretrain and ours; others of these names may be anything.
    module = str(getattr(kind, '__module__', ''))
    keys_of = {
        'Accuracy': _accuracy,
        'SingleLabelMetric': _single_label,
        'ConfusionMatrix': lambda metric: ['result'],
        'CrossEntropy': lambda metric: ['cross_entropy'],
    }.get(getattr(kind, '__name__', ''))
    if not keys_of or not module.startswith(('mmpretrain.', 'flower_mm.')):
        return None
    settings = {k: v for k, v in part.items() if k not in ('type', '_scope_')}
    try:
        with quiet():
            metric = kind(**settings)
    except Exception:  # it cannot be built, which is told elsewhere
        return None
    keys = keys_of(metric)
    if keys is None:
        return None
    before = f'{metric.prefix}/' if metric.prefix else ''
    return {before + key for key in keys}


def _accuracy(metric: BaseMetric) -> list[str]:
    ends = _ends(metric.thrs)
    return [f'top{k}{end}' for k in metric.topk for end in ends]


def _single_label(metric: BaseMetric) -> list[str] | None:
    if metric.average != 'macro':
        return None  # each class by itself, or another end of the name
    ends = _ends(metric.thrs)
    return [f'{item}{end}' for item in metric.items for end in ends]


def _ends(thresholds: tuple) -> list[str]:
    if len(thresholds) == 1:
        return ['']
    return ['_no-thr' if t is None else f'_thr-{t:.2f}' for t in thresholds]


def _averages(cfg: Config) -> bool:
    hooks = [cfg.get('default_hooks'), cfg.get('custom_hooks')]
    return any(_bare(part.get('type')) == 'EMAHook' for part in walk(hooks))


def _bare(name: object) -> str:
    return str(getattr(name, '__name__', name)).rpartition('.')[2]
