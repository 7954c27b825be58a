"""Is the rate one for fine-tuning, and for this batch?"""

import math
from collections.abc import Iterator

import numpy as np
from torch import nn

from flower_mm.checks.finding import Finding, note, warn
from flower_mm.checks.keys.source import Source, read_sources
from flower_mm.checks.remedy import option, setting
from flower_mm.checks.schedule.rate import Curve, Rate, kind, short
from flower_mm.config import walk

LR = 'optim_wrapper.optimizer.lr'
BATCH = 'train_dataloader.batch_size'
# Rates from here on are for random weights. With Adam's 1e-3 people got 77 to
# 80 % where 3e-4 gives 95, with SGD's 0.045 at 8 photos 60 %.
FROM_SCRATCH = {
    'SGD': 0.03,
    'Adam': 1e-3,
    'AdamW': 1e-3,
    'NAdam': 1e-3,
    'RAdam': 1e-3,
    'Lamb': 4e-3,
    'RMSprop': 1e-2,
}
# SGD takes more where more photos share a step; ImageNet's is 0.1 for 256.
SGD_PER_PHOTO = 0.1 / 256
# That is with a momentum of 0.9, which makes ten steps of one.
MOMENTUM = 0.9
# Smaller backbones than the common ones' 2 million weights and more, as the
# demo's, learn at higher rates.
SMALL = 1_000_000
# One cycle is at its highest for a moment, and a third of it leads there.
CYCLE = 2
GENTLE = {'SGD': 5e-3, 'Lamb': 1e-3, 'RMSprop': 1e-4}


def check_height(rate: Rate, curve: Curve | None) -> Iterator[Finding]:
    """Without a curve the optimizer's rate is taken for the highest."""
    yield from _unmatched(rate)
    highest = rate.base
    # A schedule that falls during the warm-up does not quite get there.
    if curve and not 0.8 < curve.highest / (rate.base or 1.0) < 1:
        highest = curve.highest
    forgets = _forgets(rate, highest)
    if forgets:
        yield forgets
    else:
        yield from _for_another_batch(rate)


def gentle(rate: Rate, scaled: float = 1.0) -> str:
    """A usual rate for fine-tuning, as a number to write down.

    Where that is `scaled` later, it is what comes out that is usual.
    """
    name = kind(rate.optimizer)
    if name == 'SGD':
        lr = min(5e-3 * rate.case.batch / 32, 0.02) / _steps_of_one(rate)
    elif name in GENTLE:
        lr = GENTLE[name]
    else:
        # Attention with its layer norm takes less.
        layers = rate.model.modules() if rate.model else []
        attends = any(isinstance(layer, nn.LayerNorm) for layer in layers)
        lr = 1e-4 if attends else 3e-4
    return short(float(f'{lr / scaled:.0e}'))


def _forgets(rate: Rate, highest: float) -> Finding | None:
    name = kind(rate.optimizer)
    batch = rate.case.batch
    if name not in FROM_SCRATCH or not _is_pretrained(rate):
        return None
    cycle = _cycle(rate)
    if not _is_from_scratch(rate, highest / (CYCLE if cycle else 1)):
        return None
    # From here on it takes the model, which is built for that.
    size, share = _backbone(rate)
    if size < SMALL or not _is_from_scratch(rate, highest * share):
        return None
    where, mend, cause = LR, option(LR, gentle(rate, rate.scaled)), ''
    if cycle:
        # The optimizer's own rate is of no account then.
        where = f'{cycle}.eta_max'
        mend = option(where, gentle(rate))
    elif rate.scaled > 1 and not _is_from_scratch(rate, rate.base_as_set):
        cause = (
            f' ({short(rate.base_as_set)}, which auto_scale_lr multiplies by '
            f'{rate.scaled:.3g})'
        )
        where = 'auto_scale_lr'
        mend = _without_scaling(rate)
    return warn(
        f'{name} with a rate of {short(highest)}{cause} at {batch} photos a '
        'step is for random weights: it makes pretrained ones forget.',
        where,
        mend,
    )


def _cycle(rate: Rate) -> str | None:
    """The place of the scheduler that has the highest rate to itself."""
    for place, scheduler in rate.schedulers:
        if kind(scheduler) == 'OneCycleLR':
            return place
    return None


def _without_scaling(rate: Rate) -> str:
    """By the root of the batch, if at all: Adam's steps have one length."""
    lr = rate.base_as_set * math.sqrt(rate.scaled)
    if kind(rate.optimizer) == 'SGD' or _is_from_scratch(rate, lr):
        text = gentle(rate)
    else:
        text = _rounded(lr)
    if rate.case.args.auto_scale_lr:
        return f'leave out --auto-scale-lr, and {option(LR, text)}'
    return f'{option("auto_scale_lr.enable", False)} {setting(LR, text)}'


def _is_from_scratch(rate: Rate, lr: float) -> bool:
    name = kind(rate.optimizer)
    if name == 'SGD':
        lr *= _steps_of_one(rate)
        # As much to a photo as on ImageNet; rounding may be off.
        if lr < 0.999 * SGD_PER_PHOTO * rate.case.batch:
            return False
    return lr >= 0.999 * FROM_SCRATCH[name]


def _steps_of_one(rate: Rate) -> float:
    """How far a step of SGD goes, measured by that of momentum 0.9."""
    return (1 - MOMENTUM) / (1 - min(rate.momentum, 0.99))


def _is_pretrained(rate: Rate) -> bool:
    cfg = rate.cfg
    hook = (cfg.get('default_hooks') or {}).get('pretrained')
    if hook or (cfg.get('load_from') and not cfg.get('resume')):
        return True
    return any(
        part.get('type') == 'Pretrained' or part.get('pretrained')
        for part in walk(cfg.model)
    )


def _backbone(rate: Rate) -> tuple[int, float]:
    """How many weights are trained, and at which share of the highest rate.

    Half of the weights have a higher rate than that. Some backbones freeze
    their first stages when they are told to train.
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


def _unmatched(rate: Rate) -> Iterator[Finding]:
    """Rates for weights that the model does not have."""
    paramwise = rate.cfg.optim_wrapper.get('paramwise_cfg') or {}
    for pattern, settings in (paramwise.get('custom_keys') or {}).items():
        if 'lr_mult' not in settings:
            continue
        names = rate.multipliers
        if names and not any(pattern in name for name in names):
            yield warn(
                f'No weight of the model has {pattern!r} in its name: this '
                'lr_mult does nothing.',
                f'optim_wrapper.paramwise_cfg.custom_keys.{pattern}',
                f'a part of a name such as {next(iter(names))}',
            )


# --- the batch ---------------------------------------------------------------


def _for_another_batch(rate: Rate) -> Iterator[Finding]:
    batch = rate.case.batch
    known = _batches_of_the_rate(rate)
    if not known or any(0.5 < batch / meant < 2 for meant in known):
        return
    meant = known[0]
    what = (
        f'The rate {short(rate.base)} was set for {meant:g} photos a step, '
        f'and this run takes {batch}.'
    )
    times = batch / meant
    if kind(rate.optimizer) == 'SGD':
        mend = option(LR, _rounded(rate.base * times))
        if rate.cfg.get('auto_scale_lr'):
            mend += ', or --auto-scale-lr'
        yield warn(what, LR, mend)
    else:
        # Their steps are of one length, however many photos are in them: the
        # root is enough, and no more than a note.
        scaled = _rounded(rate.base * math.sqrt(times))
        yield note(what, LR, f'{option(LR, scaled)} scales it by the root')


def _rounded(lr: float) -> str:
    return short(float(f'{lr:.2g}'))


def _batches_of_the_rate(rate: Rate) -> list[float]:
    """How many photos a step the rate may have been set for.

    auto_scale_lr knows, of a rate in its own file or in a base of that. Who
    sets another rate above may mean that number still, or the batch that the
    config has; from the command line, the one that is on it.
    """
    cfg, args = rate.cfg, rate.case.args
    scale = cfg.get('auto_scale_lr') or {}
    if scale.get('enable') or not scale.get('base_batch_size'):
        return []
    # --accumulate divides it for MMEngine's sake.
    stated = scale['base_batch_size'] * args.accumulate
    given = args.cfg_options or {}
    if LR in given or not cfg.filename:
        return []
    sources = read_sources(cfg.filename)
    rated = _depth(LR, sources)
    if rated >= _depth('auto_scale_lr', sources):
        return [stated]
    if BATCH not in given:
        return []
    before = filter(None, (source.literal(BATCH) for source in sources))
    return [next(before, stated), stated]


def _depth(path: str, sources: list[Source]) -> int:
    """How many files above the one that is asked for set this."""
    return min((s.depth for s in sources if s.sets(path)), default=0)
