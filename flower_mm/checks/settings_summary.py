"""The settings in force that people most often believe they changed."""

from collections.abc import Callable
from pathlib import Path

from flower_mm.checks.config_values import first_of, value_at
from flower_mm.checks.context import CheckContext
from flower_mm.checks.learning_rate import (
    LearningRate,
    ScheduleError,
    short,
    unit_of,
)
from flower_mm.config import bare_name, walk
from flower_mm.environment import device_name
from flower_mm.image_size import model_size
from flower_mm.weights.pretrained_table import local_path


def summarize(ctx: CheckContext) -> list[tuple[str, str]]:
    """Return name and value of each setting."""
    rows: dict[str, Callable[[CheckContext], str]] = {
        'learning rate': _learning_rate,
        'epochs': lambda ctx: str(ctx.cfg.train_cfg.max_epochs),
        'batch size': _batch_size,
        'classes': lambda ctx: f'{len(ctx.classes)}: {first_of(ctx.classes)}',
        'photos': _photos,
        'preprocessing': _preprocessing,
        'weights': _weights,
        'device': lambda ctx: f'{ctx.device} ({device_name(ctx.device)})',
        'seed': _seed,
    }
    return [(name, _value(ctx, show)) for name, show in rows.items()]


def _value(ctx: CheckContext, show: Callable[[CheckContext], str]) -> str:
    try:
        return show(ctx)
    except Exception:
        return 'unknown'  # a finding has the reason


def _learning_rate(ctx: CheckContext) -> str:
    rate = LearningRate(ctx)
    if not rate.optimizer:
        return 'one for each of several optimizers'
    try:
        curve = rate.curve()
    except ScheduleError:
        curve = None
    highest, end = short(rate.base), 'the end is not known'
    if curve:
        end = f'{short(float(f"{curve.last:.1g}"))} at the end'
        if not 0.9 < curve.highest / (rate.base or 1) < 1.1:
            highest += f' (at most {short(curve.highest)})'
    parts = [
        f'{bare_name(part.get("type"))} by {unit_of(part)}'
        for _, part in rate.schedulers
    ]
    name = bare_name(rate.optimizer.type)
    return ', '.join([f'{name} {highest}', *(parts or ['constant']), end])


def _batch_size(ctx: CheckContext) -> str:
    text = str(ctx.batch)
    parts = ctx.cfg.optim_wrapper.get('accumulative_counts', 1)
    if parts > 1:
        text += f', in {parts} parts'
    if ctx.processes > 1:
        text += f', over {ctx.processes} processes'
    steps = max(1, ctx.iterations // parts)
    return f'{text}, {steps} step{"s" * (steps > 1)} an epoch'


def _photos(ctx: CheckContext) -> str:
    counts = [
        f'{len(split.photos)} {split.name}' for split in ctx.distinct_splits
    ]
    return f'{ctx.root}: {", ".join(counts)}'


def _weights(ctx: CheckContext) -> str:
    cfg = ctx.cfg
    load_from = cfg.get('load_from')
    if cfg.get('resume'):
        where = load_from or f'the latest of {cfg.work_dir}'
        return f'resumed from a checkpoint: {where}'
    name = value_at(cfg, 'default_hooks.pretrained.weights')
    if load_from or (name and Path(name).suffix):
        return _short_path(load_from or name)
    if name:
        path = local_path(name)
        missing = '' if path.is_file() else ', missing'
        return f'{name} ({path}{missing})'
    for part in walk(cfg.model):
        if part.get('type') == 'Pretrained':
            return _short_path(str(part.get('checkpoint')))
        if part.get('pretrained'):
            return str(part.pretrained)
    return 'random'


def _preprocessing(ctx: CheckContext) -> str:
    """How validation shows a photo to the model."""
    steps = ctx.cfg.val_dataloader.dataset.pipeline
    parts = [f'{model_size(steps)} pixels']
    resizes = (s.interpolation for s in steps if 'interpolation' in s)
    parts += list(resizes)[:1]
    part = ctx.cfg.get('data_preprocessor') or {}
    parts += [f'{key} {list(part[key])}' for key in ('mean', 'std')]
    return ', '.join(parts)


def _short_path(path: str) -> str:
    if '://' in path:
        return path
    whole = Path(path).resolve()
    if whole.is_relative_to(Path.cwd()):
        return str(whole.relative_to(Path.cwd()))
    return str(whole)


def _seed(ctx: CheckContext) -> str:
    seed = ctx.cfg.randomness.get('seed')
    return 'not set: another one in each run' if seed is None else str(seed)
