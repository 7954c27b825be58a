"""The validation loss, and the metric that chooses the best epoch."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import CheckpointHook, Hook

from flower_mm.errors import UserError
from flower_mm.layout import RunDir
from flower_mm.registry import METRICS
from flower_mm.weights.best_checkpoint import TOP1

AUTO = 'auto'
ILLEGAL = r'[^\w.\-]'
GREATER = tuple(CheckpointHook._default_greater_keys)
LESS = (*CheckpointHook._default_less_keys, 'entropy')


@METRICS.register_module()
class CrossEntropy(BaseMetric):
    """The validation loss: -log of the probability of the true class.

    It has no label smoothing, so that runs with and without it compare.
    """

    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        for sample in data_samples:
            score = sample['pred_score'][int(sample['gt_label'])]
            # float32 probabilities may underflow to 0; 1e-12 costs 27.6.
            self.results.append(
                -torch.log(score.float().clamp_min(1e-12)).item()
            )

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        # A name with `loss` in it would be averaged over epochs in the log.
        return {'cross_entropy': sum(results) / len(results)}


def fix_of_setting(name: str, value: object) -> str:
    """Return the option that gives the checkpoint hook this setting."""
    return f'--cfg-options default_hooks.checkpoint.{name}={value}'


@dataclass(frozen=True)
class Criterion:
    """A metric that chooses a best epoch, its direction, and its file."""

    metric: str
    less: bool | None = None  # lower is better; None: by the metric's name
    first: bool = True  # of several metrics

    @property
    def file(self) -> str:
        if self.first:
            return RunDir.BEST
        # The replacement of MMEngine.
        return f'best_{re.sub(ILLEGAL, "_", self.metric)}.pth'

    @property
    def keys(self) -> tuple[str, str, str]:
        """Keys of the message hub: the best score, its epoch and metric."""
        end = '' if self.first else f'_{self.metric}'
        return f'best_score{end}', f'best_epoch{end}', f'best_metric{end}'

    @property
    def highest_key(self) -> str:
        """Key of the message hub: the best score, of any epoch."""
        return 'best_score_seen' + ('' if self.first else f'_{self.metric}')

    def among(self, metrics: dict) -> 'Criterion':
        """Resolve 'auto': accuracy if it is measured, else the first metric.

        MMEngine takes the first metric in any case.
        """
        if self.metric != AUTO:
            return self
        metric = TOP1 if TOP1 in metrics else next(iter(metrics), TOP1)
        less = self.less
        if less is None:
            less = _is_less(metric, GREATER, LESS)
        return replace(self, metric=metric, less=less)

    def score_in(self, metrics: dict) -> float:
        if self.metric not in metrics:
            raise UserError(
                f'invalid save_best: expected one of {", ".join(metrics)}, '
                f'got {self.metric!r}.\n'
                f'{fix_of_setting("save_best", TOP1)}'
            )
        score = metrics[self.metric]
        if not isinstance(score, (int, float, np.number)):
            raise UserError(
                'invalid save_best: expected a metric that is one number, '
                f'got {self.metric!r}\n{fix_of_setting("save_best", TOP1)}'
            )
        return float(score)

    def in_order(self, score: float) -> float:
        """The score, negated where lower is better."""
        return -score if self.less else score

    def so_far(self, noted: dict) -> float:
        """The best score in the message hub, as `in_order` returns it."""
        score, _, metric = self.keys
        if score not in noted or noted.get(metric, self.metric) != self.metric:
            return -math.inf
        return self.in_order(noted.get(self.highest_key, noted[score]))


def criteria(
    save_best: str | Sequence[str] | None,
    rule: str | Sequence[str] | None = None,
    greater_keys: str | Sequence[str] | None = None,
    less_keys: str | Sequence[str] | None = None,
) -> list[Criterion]:
    """Read `save_best` and `rule` as MMEngine's CheckpointHook does.

    MMEngine refuses a metric whose name gives no direction; here larger values
    of it are better.
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
            f'got {metrics}\n{fix_of_setting("save_best", metrics[0])}'
        )
    if set(rules) - {'greater', 'less'} or len(rules) not in {
        0,
        1,
        len(metrics),
    }:
        raise UserError(
            "invalid rule: expected 'greater' or 'less', one for all metrics "
            f'of save_best or one for each, got {rule!r}\n'
            f'{fix_of_setting("rule", None)}'
        )
    directions: list[str | None] = [*rules] or [None]
    if len(directions) < len(metrics):
        directions *= len(metrics)
    return [
        Criterion(metric, _direction(metric, rule, greater, less), not number)
        for number, (metric, rule) in enumerate(
            zip(metrics, directions, strict=False)
        )
    ]


def best_criterion(hooks: Sequence[Hook], metrics: dict) -> Criterion:
    """The criterion by which the checkpoint hook chooses best.pth."""
    criteria_of_hooks = (getattr(hook, 'criteria', None) for hook in hooks)
    first = next(filter(None, criteria_of_hooks), [Criterion(AUTO)])[0]
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
    if value is None:
        return []
    texts: list[Any] = (
        list(value) if isinstance(value, (list, tuple)) else [value]
    )
    if not all(isinstance(text, str) for text in texts):
        usual = TOP1 if name == 'save_best' else None
        raise UserError(
            f'invalid {name}: expected text, got {value!r}\n'
            f'{fix_of_setting(name, usual)}'
        )
    return texts
