"""The rate of each step of a run, from MMEngine's own schedulers."""

import copy
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.model import BaseModel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import OPTIMIZERS, PARAM_SCHEDULERS, DefaultScope

from flower_mm.checks.case import Case
from flower_mm.checks.quiet import quiet
from flower_mm.engine.distributed import processes
from flower_mm.models.structure import unwrapped

# A step of two schedulers takes ten microseconds: a fifth of a second, and
# two where there is time.
SHORT, LONG = 20_000, 200_000
ROUGH = 100  # steps an epoch where their true number is of no account
# What gives weights a rate of their own.
MULTIPLIERS = ('bias_lr_mult', 'dcn_offset_lr_mult', 'layer_decay_rate')


class ImpossibleError(Exception):
    """MMEngine's schedulers refuse these settings."""


@dataclass(frozen=True)
class Curve:
    """The highest rate of all weights, step by step."""

    rates: np.ndarray
    per_epoch: int

    @property
    def highest(self) -> float:
        return float(self.rates.max())

    @property
    def last(self) -> float:
        return float(self.rates[-1])

    @property
    def first_highest(self) -> float:
        """How much of the run is over when the rate is highest: 0 to 1."""
        near = np.flatnonzero(self.rates >= 0.999 * self.highest)
        return float(near[0] / len(self.rates))

    @property
    def changes(self) -> bool:
        return bool(np.ptp(self.rates) > 1e-9 * self.highest)


@dataclass
class Rate:
    """What the config says about the rate."""

    case: Case

    @property
    def cfg(self) -> Config:
        return self.case.cfg

    @property
    def optimizer(self) -> ConfigDict | None:
        """None where there are several: each has a rate of its own."""
        return self.cfg.optim_wrapper.get('optimizer')

    @property
    def epochs(self) -> int | None:
        return self.cfg.train_cfg.get('max_epochs')

    @property
    def length(self) -> str:
        """How long the run is, in words."""
        return f'{self.epochs} epoch{"s" * (self.epochs > 1)}'

    @cached_property
    def iterations(self) -> int | None:
        """Steps an epoch; None where the photos cannot be counted.

        Why they cannot is what other checks tell.
        """
        try:
            return self.case.iterations
        except Exception:
            return None

    @cached_property
    def schedulers(self) -> list[tuple[str, ConfigDict]]:
        """Those of the rate, each with its place in the config."""
        found = self.cfg.get('param_scheduler')
        if isinstance(found, dict):
            return [('param_scheduler', found)] if 'type' in found else []
        return [
            (f'param_scheduler.{number}', item)
            for number, item in enumerate(found or [])
            if not str(item.get('type')).endswith(('Momentum', 'Scheduler'))
        ]

    @property
    def is_stepped(self) -> bool:
        """Whether the hook is on that moves the schedulers."""
        hooks = self.cfg.get('default_hooks') or {}
        return hooks.get('param_scheduler', 'on') is not None

    @property
    def plateau(self) -> tuple[str, ConfigDict] | None:
        """The scheduler that follows a metric: nobody knows its rate."""
        for place, scheduler in self.schedulers:
            if kind(scheduler) == 'ReduceOnPlateauLR':
                return place, scheduler
        return None

    @cached_property
    def base(self) -> float:
        """The optimizer's rate, scaled where --auto-scale-lr says so."""
        return self.base_as_set * self.scaled

    @property
    def base_as_set(self) -> float:
        return self._group()['lr']

    @property
    def scaled(self) -> float:
        """What --auto-scale-lr multiplies the rate by."""
        scale = self.cfg.get('auto_scale_lr') or {}
        if not scale.get('enable'):
            return 1.0
        share = self.cfg.train_dataloader.batch_size * processes(
            self.cfg.get('launcher', 'none')
        )
        return share / scale['base_batch_size']

    @property
    def momentum(self) -> float:
        return self._group().get('momentum') or 0.0

    def _group(self) -> dict:
        return self._dummy().param_groups[0]

    def _dummy(self) -> torch.optim.Optimizer:
        """The config's optimizer, of one weight."""
        weight = torch.nn.Parameter(torch.zeros(1))
        with quiet(), in_scope(self.cfg):
            return OPTIMIZERS.build({**self.optimizer, 'params': [weight]})

    @cached_property
    def model(self) -> BaseModel | None:
        """None where it cannot be built, which other checks tell."""
        try:
            return unwrapped(self.case.model)
        except Exception:
            return None

    @cached_property
    def multipliers(self) -> dict[str, float]:
        """What each weight's rate is multiplied by; empty for one for all."""
        paramwise = self.cfg.optim_wrapper.get('paramwise_cfg') or {}
        custom = (paramwise.get('custom_keys') or {}).values()
        if not any(paramwise.get(key) for key in MULTIPLIERS) and not any(
            'lr_mult' in settings for settings in custom
        ):
            return {}
        if self.model is None:
            return {}
        wrapper = copy.deepcopy(self.cfg.optim_wrapper)
        # Mixed precision asks for a GPU, which this does without.
        for key in ('loss_scale', 'dtype', 'use_fsdp'):
            wrapper.pop(key, None)
        wrapper.type = 'OptimWrapper'
        with quiet(), in_scope(self.cfg):
            built = build_optim_wrapper(self.model, wrapper)
        names = {id(weight): n for n, weight in self.model.named_parameters()}
        lr = self._group()['lr'] or 1.0
        return {
            names[id(weight)]: group['lr'] / lr
            for group in built.optimizer.param_groups
            for weight in group['params']
        }

    def curve(self, thorough: bool) -> Curve | None:
        """Step through the whole run.

        None where it cannot be known or would take too long. Raises
        ImpossibleError where MMEngine will refuse.
        """
        unknown = self.optimizer is None or not self.epochs or self.plateau
        lists = any(
            isinstance(scheduler.get(key), (list, tuple))
            for _, scheduler in self.schedulers
            for key in ('eta_max', 'min_value')
        )
        if unknown or lists:
            return None
        per_epoch = self._steps(LONG if thorough else SHORT)
        if per_epoch is None:
            return None
        optimizer = self._dummy()
        factor = max(self.multipliers.values(), default=1.0)
        optimizer.param_groups[0]['lr'] = self.base * factor
        try:
            with in_scope(self.cfg):
                rates = list(self._walk(optimizer, per_epoch))
        except Exception as error:
            # MMEngine asserts without a word: then the line itself.
            frame = traceback.extract_tb(error.__traceback__)[-1]
            raise ImpossibleError(str(error) or frame.line) from error
        return Curve(np.array(rates), per_epoch)

    def _steps(self, limit: int) -> int | None:
        """How many steps to an epoch are enough, or None for too many."""
        counted = all(
            scheduler.get('by_epoch', True) for _, scheduler in self.schedulers
        )
        true = self.iterations
        if true and true * self.epochs <= limit:
            return true
        if counted and self.epochs <= limit:
            # A curve over epochs looks the same in fewer steps.
            return min(true or ROUGH, limit // self.epochs)
        return None

    def _walk(
        self, optimizer: torch.optim.Optimizer, per_epoch: int
    ) -> Iterator[float]:
        schedulers = []
        given = self.cfg.get('param_scheduler') or []
        epochs = self.epochs
        for scheduler in given if isinstance(given, list) else [given]:
            filled = copy.deepcopy(scheduler)
            # As Runner.build_param_scheduler does.
            end = epochs
            if not filled.get('by_epoch', True):
                end *= per_epoch
            filled.setdefault('end', end)
            schedulers.append(
                PARAM_SCHEDULERS.build(
                    filled,
                    default_args={
                        'optimizer': optimizer,
                        'epoch_length': per_epoch,
                    },
                )
            )
        if not self.is_stepped:
            schedulers = []
        by_step = [s for s in schedulers if not s.by_epoch]
        by_epoch = [s for s in schedulers if s.by_epoch]
        group = optimizer.param_groups[0]
        with warnings.catch_warnings():
            # They miss the optimizer's steps between theirs.
            warnings.simplefilter('ignore')
            for _ in range(epochs):
                for _ in range(per_epoch):
                    yield float(group['lr'])
                    for scheduler in by_step:
                        scheduler.step()
                for scheduler in by_epoch:
                    scheduler.step()


@contextmanager
def in_scope(cfg: Config) -> Iterator[None]:
    """Look names up where the Runner will; nobody else's scope changes."""
    scope = cfg.get('default_scope') or 'mmengine'
    with DefaultScope.overwrite_default_scope(scope):
        yield


def kind(scheduler: ConfigDict) -> str:
    """The name of its class, without a scope."""
    name = scheduler.get('type')
    name = name if isinstance(name, str) else getattr(name, '__name__', '')
    return name.rpartition('.')[2]


def unit_of(scheduler: ConfigDict) -> str:
    return 'epoch' if scheduler.get('by_epoch', True) else 'iteration'


def length_of(rate: Rate, scheduler: ConfigDict) -> int | None:
    """The length of the run, as the scheduler counts."""
    if scheduler.get('by_epoch', True):
        return rate.epochs
    return rate.iterations and rate.epochs * rate.iterations


def short(number: float) -> str:
    """A rate as people write it: 0.01, 3e-4."""
    if number == 0 or 1e-2 <= abs(number) < 1e3:
        return f'{number:.3g}'
    digits, power = f'{number:.2e}'.split('e')
    return f'{digits.rstrip("0").rstrip(".")}e{int(power)}'
