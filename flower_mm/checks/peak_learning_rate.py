"""Is the learning rate one for fine-tuning, and for this batch size?"""

import math
from collections.abc import Iterator

import numpy as np
from torch import nn

from flower_mm.checks.codes import Severity
from flower_mm.checks.config_source import ConfigSource, read_sources
from flower_mm.checks.config_values import set_options
from flower_mm.checks.finding import Finding
from flower_mm.checks.learning_rate import LR, Curve, LearningRate, short
from flower_mm.config import bare_name
from flower_mm.engine.hooks.pretrained import loads_weights

# From here on a learning rate is for random weights. With Adam's 1e-3 people
# got 77 to 80 % where 3e-4 gives 95, with SGD's 0.045 at batch size 8, 60 %.
FROM_SCRATCH = {
    'SGD': 0.03,
    'Adam': 1e-3,
    'AdamW': 1e-3,
    'NAdam': 1e-3,
    'RAdam': 1e-3,
    'Lamb': 4e-3,
    'RMSprop': 1e-2,
}
# SGD takes more with a larger batch; ImageNet's is 0.1 for 256.
SGD_PER_PHOTO = 0.1 / 256
# With a momentum of 0.9, which makes ten steps of one.
MOMENTUM = 0.9
# Smaller backbones than the common ones' 2 million parameters and more, as
# the demo's, learn at higher learning rates.
SMALL = 1_000_000
# OneCycleLR is at its peak for a moment.
CYCLE = 2
FINE_TUNING = {'SGD': 5e-3, 'Lamb': 1e-3, 'RMSprop': 1e-4}


def check_peak(rate: LearningRate, curve: Curve | None) -> Iterator[Finding]:
    """Without a curve the optimizer's learning rate counts as the highest."""
    yield from _unmatched_multipliers(rate)
    highest = rate.base
    # A schedule that falls during the warm-up does not quite get there.
    if curve and not 0.8 < curve.highest / (rate.base or 1.0) < 1:
        highest = curve.highest
    too_high = _too_high(rate, highest)
    if too_high:
        yield too_high
    else:
        yield from _for_another_batch(rate)


def fine_tuning_rate(rate: LearningRate, scaled: float = 1.0) -> str:
    """Return a usual learning rate; what is `scaled` later is divided."""
    name = bare_name(rate.optimizer.type)
    if name == 'SGD':
        lr = min(5e-3 * rate.ctx.batch / 32, 0.02) / _momentum_factor(rate)
    elif name in FINE_TUNING:
        lr = FINE_TUNING[name]
    else:
        # Transformers take less.
        layers = rate.model.modules() if rate.model else []
        attends = any(isinstance(layer, nn.LayerNorm) for layer in layers)
        lr = 1e-4 if attends else 3e-4
    return short(float(f'{lr / scaled:.0e}'))


def _too_high(rate: LearningRate, highest: float) -> Finding | None:
    name = bare_name(rate.optimizer.type)
    if name not in FROM_SCRATCH or not loads_weights(rate.cfg):
        return None
    cycle = rate.of_type('OneCycleLR')
    if not _is_from_scratch(rate, highest / (CYCLE if cycle else 1)):
        return None
    # From here on it takes the model, which is built for that.
    size, share = _trained_backbone(rate)
    if size < SMALL or not _is_from_scratch(rate, highest * share):
        return None
    where, lr = LR, fine_tuning_rate(rate, rate.scaled)
    if cycle:  # it sets the peak, whatever the optimizer has
        where, lr = f'{cycle[0]}.eta_max', fine_tuning_rate(rate)
    scaled = f', scaled by {rate.scaled:.3g},' if rate.scaled != 1 else ''
    return Finding(
        'LR007',
        where,
        f'{name} with a learning rate of {short(highest)}{scaled} at batch '
        f'size {rate.ctx.batch} is for training from scratch, and the '
        'weights are pretrained',
        set_options({where: lr}),
    )


def _is_from_scratch(rate: LearningRate, lr: float) -> bool:
    name = bare_name(rate.optimizer.type)
    if name == 'SGD':
        lr *= _momentum_factor(rate)
        # As much to a photo as on ImageNet; rounding may be off.
        if lr < 0.999 * SGD_PER_PHOTO * rate.ctx.batch:
            return False
    return lr >= 0.999 * FROM_SCRATCH[name]


def _momentum_factor(rate: LearningRate) -> float:
    """How far a step of SGD goes, measured by that of momentum 0.9."""
    return (1 - MOMENTUM) / (1 - min(rate.momentum, 0.99))


def _trained_backbone(rate: LearningRate) -> tuple[int, float]:
    """Return the trained parameters and their share of the learning rate.

    Half of them have a higher share. Some backbones freeze their first
    stages in train().
    """
    if rate.model is None:
        return 0, 0.0
    model = rate.model.train()
    multipliers = rate.multipliers
    top = max(multipliers.values(), default=1.0) or 1.0
    rows = sorted(
        (multipliers.get(name, 1.0) / top, weight.numel())
        for name, weight in model.named_parameters()
        if weight.requires_grad and name.startswith('backbone.')
    )
    if not rows:
        return 0, 0.0
    shares, sizes = np.array(rows).T
    middle = np.searchsorted(np.cumsum(sizes), sizes.sum() / 2)
    return int(sizes.sum()), float(shares[middle])


def _unmatched_multipliers(rate: LearningRate) -> Iterator[Finding]:
    paramwise = rate.cfg.optim_wrapper.get('paramwise_cfg') or {}
    for pattern, settings in (paramwise.get('custom_keys') or {}).items():
        names = rate.multipliers if 'lr_mult' in settings else {}
        if names and not any(pattern in name for name in names):
            yield Finding(
                'LR009',
                f'optim_wrapper.paramwise_cfg.custom_keys.{pattern}',
                f'no parameter has {pattern!r} in its name',
                f'a part of a name such as {next(iter(names))}',
            )


# --- the batch size ----------------------------------------------------------


def _for_another_batch(rate: LearningRate) -> Iterator[Finding]:
    batch, meant = rate.ctx.batch, _intended_batch(rate)
    if not meant or 0.5 < batch / meant < 2:
        return
    message = (
        f'the learning rate {short(rate.base)} is set for a batch size of '
        f'{meant:g}, and this run has {batch}'
    )
    factor, severity, more = batch / meant, None, ', or --auto-scale-lr'
    if bare_name(rate.optimizer.type) != 'SGD':
        # The steps of Adam have one length for any batch: the root is enough.
        factor, severity = math.sqrt(factor), Severity.NOTE
        more = ' scales it by the root'
    fix = set_options({LR: short(float(f'{rate.base * factor:.2g}'))}) + more
    yield Finding('LR008', LR, message, fix, severity)


def _intended_batch(rate: LearningRate) -> float | None:
    """Return the batch size that the learning rate is set for.

    auto_scale_lr states it for a learning rate in its own file or below.
    """
    cfg, args = rate.cfg, rate.ctx.args
    scale = cfg.get('auto_scale_lr') or {}
    given = args.cfg_options or {}
    if scale.get('enable') or not scale.get('base_batch_size'):
        return None
    if LR in given or not cfg.filename:
        return None
    # --accumulate has divided it, as MMEngine needs it.
    stated = scale['base_batch_size'] * args.accumulate
    sources = read_sources(cfg.filename)
    if _depth(LR, sources) >= _depth('auto_scale_lr', sources):
        return stated
    return None


def _depth(path: str, sources: list[ConfigSource]) -> int:
    """Return how many files above the nearest one that sets this."""
    return min((s.depth for s in sources if s.sets(path)), default=0)
