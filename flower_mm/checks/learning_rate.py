"""The learning rate in every step of a run, from MMEngine's schedulers."""

import copy
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.optim import build_optim_wrapper
from mmengine.registry import OPTIMIZERS, PARAM_SCHEDULERS, DefaultScope
from torch import nn

from flower_mm.checks.building import quiet
from flower_mm.checks.config_values import scope_of
from flower_mm.checks.context import CheckContext
from flower_mm.config import bare_name
from flower_mm.errors import UserError
from flower_mm.files import replacing
from flower_mm.models.structure import unwrapped

LR = 'optim_wrapper.optimizer.lr'
# A step of two schedulers takes 10 µs: these are 0.2 s, and 2 s.
SHORT, LONG = 20_000, 200_000
ROUGH = 100  # steps an epoch where the true number is not needed
# What gives parameters a learning rate of their own.
MULTIPLIERS = ('bias_lr_mult', 'dcn_offset_lr_mult', 'layer_decay_rate')


class ScheduleError(Exception):
    """A scheduler that MMEngine refuses, and its place in the config."""

    def __init__(self, place: str, part: ConfigDict, error: Exception) -> None:
        super().__init__(str(error))
        self.place, self.part, self.cause = place, part, error


@dataclass(frozen=True)
class Curve:
    """The highest learning rate of all parameters, step by step."""

    values: np.ndarray
    per_epoch: int

    @property
    def highest(self) -> float:
        return float(self.values.max())

    @property
    def last(self) -> float:
        return float(self.values[-1])

    @property
    def peak(self) -> float:
        """The share of the run before the learning rate is highest."""
        near = np.flatnonzero(self.values >= 0.999 * self.highest)
        return float(near[0] / len(self.values))

    def last_above(self, share: float) -> int:
        """Steps until the learning rate stays below a share of its peak."""
        above = np.flatnonzero(self.values >= share * self.highest)
        return int(above[-1]) + 1


@dataclass
class LearningRate:
    """What the config says about the learning rate."""

    ctx: CheckContext

    @property
    def cfg(self) -> Config:
        return self.ctx.cfg

    @property
    def optimizer(self) -> ConfigDict:
        """Empty for several optimizers, each with its own learning rate."""
        return self.cfg.optim_wrapper.get('optimizer') or ConfigDict()

    @property
    def epochs(self) -> int:
        """The length of the run; 0 if the config lacks it."""
        return self.cfg.train_cfg.get('max_epochs') or 0

    @property
    def is_known(self) -> bool:
        """Whether one optimizer can be built, for a number of epochs."""
        try:
            return bool(self.optimizer and self.epochs and self._dummy())
        except Exception:
            return False  # the rehearsal reports it

    @cached_property
    def iterations(self) -> int | None:
        """Steps an epoch; None where the photos cannot be counted."""
        try:
            return self.ctx.iterations
        except Exception:
            return None

    @cached_property
    def schedulers(self) -> list[tuple[str, ConfigDict]]:
        """Those of the learning rate, each with its place."""
        return [
            (place, part)
            for place, part in self._all_schedulers()
            if not str(part.get('type')).endswith(('Momentum', 'Scheduler'))
        ]

    def _all_schedulers(self) -> list[tuple[str, ConfigDict]]:
        given = self.cfg.get('param_scheduler') or []
        if isinstance(given, dict):
            return [('param_scheduler', given)] if 'type' in given else []
        return [(f'param_scheduler.{i}', part) for i, part in enumerate(given)]

    @property
    def is_stepped(self) -> bool:
        """Whether the hook that steps the schedulers is on."""
        return self.cfg.default_hooks.get('param_scheduler', 'on') is not None

    def of_type(self, name: str) -> tuple[str, ConfigDict] | None:
        for place, scheduler in self.schedulers:
            if bare_name(scheduler.get('type')) == name:
                return place, scheduler
        return None

    @cached_property
    def base(self) -> float:
        """The optimizer's, scaled where --auto-scale-lr says so."""
        return self._dummy().param_groups[0]['lr'] * self.scaled

    @property
    def scaled(self) -> float:
        """The factor of --auto-scale-lr."""
        scale = self.cfg.get('auto_scale_lr') or {}
        if not scale.get('enable'):
            return 1.0
        batch = self.cfg.train_dataloader.batch_size * self.ctx.processes
        return batch / scale['base_batch_size']

    @property
    def momentum(self) -> float:
        return self._dummy().param_groups[0].get('momentum') or 0.0

    def _dummy(self) -> torch.optim.Optimizer:
        """Build the optimizer of the config with one parameter."""
        weight = nn.Parameter(torch.zeros(1))
        with quiet(), in_scope(self.cfg):
            return OPTIMIZERS.build({**self.optimizer, 'params': [weight]})

    @cached_property
    def model(self) -> nn.Module | None:
        """None where it cannot be built, which the rehearsal reports."""
        try:
            return unwrapped(self.ctx.model)
        except Exception:
            return None

    @cached_property
    def multipliers(self) -> dict[str, float]:
        """The factor of each parameter; empty where all are 1."""
        paramwise = self.cfg.optim_wrapper.get('paramwise_cfg') or {}
        custom = (paramwise.get('custom_keys') or {}).values()
        differ = any(paramwise.get(key) for key in MULTIPLIERS) or any(
            'lr_mult' in settings for settings in custom
        )
        if not differ or self.model is None:
            return {}
        try:
            with quiet(), in_scope(self.cfg):
                wrapper = any_device(self.cfg.optim_wrapper)
                built = build_optim_wrapper(self.model, wrapper)
        except Exception:
            return {}  # the rehearsal reports it
        names = {id(weight): n for n, weight in self.model.named_parameters()}
        base = self.base / self.scaled or 1.0
        return {
            names[id(weight)]: group['lr'] / base
            for group in built.optimizer.param_groups
            for weight in group['params']
        }

    def curve(self) -> Curve | None:
        """Step through the whole run.

        None where it cannot be known or takes too long. Raises ScheduleError
        where MMEngine refuses the schedule.
        """
        lists = any(
            isinstance(scheduler.get(key), (list, tuple))
            for _, scheduler in self.schedulers
            for key in ('eta_max', 'min_value')
        )
        if lists or self.of_type('ReduceOnPlateauLR') or not self.is_known:
            return None
        per_epoch = self._steps(LONG if self.ctx.thorough else SHORT)
        if per_epoch is None:
            return None
        optimizer = self._dummy()
        factor = max(self.multipliers.values(), default=1.0)
        optimizer.param_groups[0]['lr'] = self.base * factor
        with in_scope(self.cfg):
            schedulers = list(self._build(optimizer, per_epoch))
            try:
                values = list(self._walk(optimizer, schedulers, per_epoch))
            except Exception as error:
                raise ScheduleError(*self.schedulers[0], error) from error
        return Curve(np.array(values), per_epoch)

    def _steps(self, limit: int) -> int | None:
        """Return how many steps an epoch are enough, None for too many."""
        by_epoch = all(
            scheduler.get('by_epoch', True) for _, scheduler in self.schedulers
        )
        true = self.iterations
        if true and true * self.epochs <= limit:
            return true
        if by_epoch and self.epochs <= limit:
            # A curve over epochs looks the same in fewer steps.
            return min(true or ROUGH, limit // self.epochs)
        return None

    def _build(
        self, optimizer: torch.optim.Optimizer, per_epoch: int
    ) -> Iterator[object]:
        """Build the schedulers as Runner.build_param_scheduler does."""
        for place, part in self._all_schedulers():
            filled = copy.deepcopy(part)
            steps = 1 if filled.get('by_epoch', True) else per_epoch
            filled.setdefault('end', self.epochs * steps)
            given = {'optimizer': optimizer, 'epoch_length': per_epoch}
            try:
                yield PARAM_SCHEDULERS.build(filled, default_args=given)
            except Exception as error:
                raise ScheduleError(place, part, error) from error

    def _walk(
        self,
        optimizer: torch.optim.Optimizer,
        schedulers: list,
        per_epoch: int,
    ) -> Iterator[float]:
        if not self.is_stepped:
            schedulers = []
        by_step = [s for s in schedulers if not s.by_epoch]
        by_epoch = [s for s in schedulers if s.by_epoch]
        group = optimizer.param_groups[0]
        with warnings.catch_warnings():
            # They miss the optimizer's steps between theirs.
            warnings.simplefilter('ignore')
            for _ in range(self.epochs):
                for _ in range(per_epoch):
                    yield float(group['lr'])
                    for scheduler in by_step:
                        scheduler.step()
                for scheduler in by_epoch:
                    scheduler.step()


def any_device(wrapper: ConfigDict) -> ConfigDict:
    """Return an optimizer wrapper without mixed precision, which needs a GPU.

    Groups and settings of the parameters are the same.
    """
    plain = copy.deepcopy(wrapper)
    for key in ('loss_scale', 'dtype', 'use_fsdp'):
        plain.pop(key, None)
    plain.type = 'OptimWrapper'
    return plain


def in_scope(cfg: Config) -> AbstractContextManager:
    """Find names where the Runner will, without changing the scope."""
    return DefaultScope.overwrite_default_scope(scope_of(cfg))


def unit_of(scheduler: ConfigDict) -> str:
    return 'epoch' if scheduler.get('by_epoch', True) else 'iteration'


def length_of(rate: LearningRate, scheduler: ConfigDict) -> int | None:
    """Return the length of the run in the unit of a scheduler."""
    if scheduler.get('by_epoch', True):
        return rate.epochs
    return rate.iterations and rate.epochs * rate.iterations


def short(number: float) -> str:
    """Return a learning rate as people write it: 0.01, 3e-4."""
    if number == 0 or 1e-2 <= abs(number) < 1e3:
        return f'{number:.3g}'
    digits, power = f'{number:.2e}'.split('e')
    return f'{digits.rstrip("0").rstrip(".")}e{int(power)}'


def draw_learning_rate(ctx: CheckContext, out: Path) -> None:
    """Draw the highest learning rate of all parameters as a .png.

    With layer decay, the curves of the others have the same shape.
    """
    try:
        curve = LearningRate(ctx).curve()
    except ScheduleError as error:
        raise UserError(f'the schedule cannot be built: {error}') from error
    if curve is None:
        raise UserError(
            'the learning rate cannot be drawn: it follows a metric, or '
            'there are several optimizers'
        )
    # Half a second of import that only those who draw need.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3), layout='constrained')
    axis = figure.subplots()
    epochs = np.arange(len(curve.values)) / curve.per_epoch
    axis.plot(epochs, curve.values)
    axis.set_title(
        f'learning rate: {short(curve.highest)} at most, '
        f'{short(curve.last)} at the end'
    )
    axis.set_xlabel('epoch')
    axis.set_xlim(0, len(curve.values) / curve.per_epoch)
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)
    with replacing(out) as file:
        figure.savefig(file, format='png', dpi=110)
