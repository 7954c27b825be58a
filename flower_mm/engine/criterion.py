"""Which metric decides about the best epoch, and in which direction."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from mmengine.hooks import CheckpointHook, Hook

from flower_mm.engine.checkpoint_settings import fix
from flower_mm.errors import UserError

METRIC = 'accuracy/top1'
AUTO = 'auto'
ILLEGAL = r'[^\w.\-]'
GREATER = tuple(CheckpointHook._default_greater_keys)
LESS = (*CheckpointHook._default_less_keys, 'entropy')


@dataclass(frozen=True)
class Criterion:
    """A metric, its direction, and where its best epoch is kept and noted."""

    metric: str
    less: bool | None = None  # None: as the metric's name says
    first: bool = True  # of several metrics

    @property
    def file(self) -> str:
        if self.first:
            return 'best.pth'
        # As MMEngine replaces what a file name cannot have.
        return f'best_{re.sub(ILLEGAL, "_", self.metric)}.pth'

    @property
    def keys(self) -> tuple[str, str, str]:
        """The message hub's names of the best score, its epoch and metric."""
        end = '' if self.first else f'_{self.metric}'
        return f'best_score{end}', f'best_epoch{end}', f'best_metric{end}'

    def among(self, metrics: dict) -> 'Criterion':
        """Settle 'auto': accuracy where it is measured, or the first metric.

        MMEngine takes the first metric.
        """
        if self.metric != AUTO:
            return self
        metric = METRIC if METRIC in metrics else next(iter(metrics), METRIC)
        less = self.less
        if less is None:
            less = _is_less(metric, GREATER, LESS)
        return replace(self, metric=metric, less=less)

    def score_in(self, metrics: dict) -> float:
        if self.metric not in metrics:
            raise UserError(
                f'invalid save_best: expected one of {", ".join(metrics)}, '
                f'got {self.metric!r}.\n{fix("save_best", METRIC)}'
            )
        score = metrics[self.metric]
        if not isinstance(score, (int, float, np.number)):
            raise UserError(
                'invalid save_best: expected a metric that is one number, '
                f'got {self.metric!r}\n{fix("save_best", METRIC)}'
            )
        return float(score)

    def in_order(self, score: float) -> float:
        """The score as a number that is larger where the score is better."""
        return -score if self.less else score

    def so_far(self, noted: dict) -> float:
        """The best score in the message hub, in order."""
        score, _, metric = self.keys
        if noted.get(metric, self.metric) != self.metric:
            return -math.inf
        return self.in_order(noted[score]) if score in noted else -math.inf


def criteria(
    save_best: str | Sequence[str] | None,
    rule: str | Sequence[str] | None = None,
    greater_keys: str | Sequence[str] | None = None,
    less_keys: str | Sequence[str] | None = None,
) -> list[Criterion]:
    """Read `save_best` and `rule` as MMEngine's CheckpointHook does.

    MMEngine refuses a metric whose direction its key does not say; here a
    larger value of it is better.
    """
    metrics = _texts('save_best', save_best)
    rules = _texts('rule', rule)
    greater = _texts('greater_keys', greater_keys) or GREATER
    less = _texts('less_keys', less_keys) or LESS
    if len(set(metrics)) < len(metrics) or (
        AUTO in metrics and len(metrics) > 1
    ):
        raise UserError(
            'invalid save_best: expected different metrics, or auto alone, '
            f'got {metrics}\n{fix("save_best", metrics[0])}'
        )
    if set(rules) - {'greater', 'less'} or len(rules) not in {
        0,
        1,
        len(metrics),
    }:
        raise UserError(
            "invalid rule: expected 'greater' or 'less', one for all metrics "
            f'of save_best or one for each, got {rule!r}\n'
            f'{fix("rule", None)}'
        )
    if len(rules) < len(metrics):
        rules = (rules or [None]) * len(metrics)
    return [
        Criterion(metric, _direction(metric, rule, greater, less), not number)
        for number, (metric, rule) in enumerate(
            zip(metrics, rules, strict=False)
        )
    ]


def deciding(hooks: Sequence[Hook], metrics: dict) -> Criterion:
    """The criterion that a checkpoint hook decides about best.pth by."""
    kept = (getattr(hook, 'criteria', None) for hook in hooks)
    first = next(filter(None, kept), [Criterion(AUTO)])[0]
    return first.among(metrics)


def _direction(
    metric: str, rule: str | None, greater: Sequence[str], less: Sequence[str]
) -> bool | None:
    if rule:
        return rule == 'less'
    return None if metric == AUTO else _is_less(metric, greater, less)


def _is_less(metric: str, greater: Sequence[str], less: Sequence[str]) -> bool:
    if metric in greater or metric in less:
        return metric not in greater
    return not any(key.lower() in metric.lower() for key in greater) and any(
        key.lower() in metric.lower() for key in less
    )


def _texts(name: str, value: str | Sequence[str] | None) -> list[str]:
    texts = value if isinstance(value, (list, tuple)) else [value]
    texts = [] if value is None else list(texts)
    if not all(isinstance(text, str) for text in texts):
        usual = METRIC if name == 'save_best' else None
        raise UserError(
            f'invalid {name}: expected text, got {value!r}\n{fix(name, usual)}'
        )
    return texts
