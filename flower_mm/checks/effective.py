"""What will run: the values that people most often think they changed."""

from collections.abc import Callable
from pathlib import Path

from mmengine.config import ConfigDict

from flower_mm.checks.case import Case
from flower_mm.checks.schedule.rate import (
    ImpossibleError,
    Rate,
    kind,
    short,
    unit_of,
)
from flower_mm.config import walk
from flower_mm.engine.distributed import processes
from flower_mm.environment import device_name
from flower_mm.weights.pretrained_table import local_path

SHOWN = 5  # classes


def effective(case: Case) -> list[tuple[str, str]]:
    """Name and value, a line each."""
    return [
        ('rate', _or_unknown(_rate, case)),
        ('epochs', _or_unknown(_epochs, case)),
        ('batch', _or_unknown(_batch, case)),
        ('classes', _or_unknown(_classes, case)),
        ('photos', _or_unknown(_photos, case)),
        ('weights', _or_unknown(_weights, case)),
        ('device', _or_unknown(_device, case)),
        ('seed', _or_unknown(_seed, case)),
    ]


def _or_unknown(show: Callable[[Case], str], case: Case) -> str:
    """What cannot be told here is among the findings, with its reason."""
    try:
        return show(case)
    except Exception:
        return 'unknown'


def _rate(case: Case) -> str:
    rate = Rate(case)
    if rate.optimizer is None:
        return 'one for each of several optimizers'
    try:
        curve = rate.curve(case.thorough)
    except ImpossibleError:
        curve = None
    highest, last = short(rate.base), ''
    if curve:
        last = short(float(f'{curve.last:.1g}'))
        if not 0.9 < curve.highest / (rate.base or 1) < 1.1:
            highest += f' (at most {short(curve.highest)})'
    words = [_in_words(s, last) for _, s in rate.schedulers]
    return ', '.join(
        [f'{kind(rate.optimizer)} {highest}', *(words or ['constant'])]
    )


def _in_words(scheduler: ConfigDict, last: str) -> str:
    name, unit = kind(scheduler), unit_of(scheduler)
    begin, end = scheduler.get('begin', 0), scheduler.get('end')
    gamma = scheduler.get('gamma', 0.1)
    to = f' to {last}' if last else ''
    if name in ('LinearLR', 'ConstantLR') and not begin and end:
        if end == 1:
            return f'warm-up over {unit} 1'
        return f'warm-up over {end} {unit}s'
    if name == 'MultiStepLR':
        steps = ', '.join(map(str, scheduler.get('milestones', [])))
        return f'times {gamma} after {unit} {steps}'
    if name == 'StepLR':
        size = scheduler.get('step_size')
        often = unit if size == 1 else f'{size} {unit}s'
        return f'times {gamma} every {often}'
    if name == 'ExponentialLR':
        return f'times {scheduler.get("gamma")} each {unit}{to}'
    if name == 'ReduceOnPlateauLR':
        return (
            f'times {scheduler.get("factor", 0.1)} after '
            f'{scheduler.get("patience", 10)} {unit}s without progress'
        )
    known = {
        'CosineAnnealingLR': 'cosine',
        'CosineRestartLR': 'cosine with restarts',
        'PolyLR': 'polynomial',
        'OneCycleLR': 'one cycle',
    }
    return f'{known.get(name, name)}{to}'


def _epochs(case: Case) -> str:
    return str(case.cfg.train_cfg.max_epochs)


def _batch(case: Case) -> str:
    text = f'{case.batch} photos a step'
    parts = case.cfg.optim_wrapper.get('accumulative_counts', 1)
    if parts > 1:
        text += f', in {parts} parts'
    many = processes(case.cfg.get('launcher', 'none'))
    if many > 1:
        text += f', over {many} processes'
    try:
        steps = max(1, case.iterations // parts)
    except Exception:
        return text
    return f'{text}, {steps} step{"s" * (steps > 1)} an epoch'


def _classes(case: Case) -> str:
    shown = case.classes[:SHOWN]
    if len(case.classes) > SHOWN:
        shown.append('…')
    return f'{len(case.classes)}: {", ".join(shown)}'


def _photos(case: Case) -> str:
    try:
        splits = list(case.splits.values())
    except Exception:
        return f'{case.root}, which cannot be read'
    counts = [
        f'{len(split.photos)} {split.name}'
        for split in splits
        # Where there is no test split, testing reads val.
        if split.name != 'test' or split.photos != splits[-2].photos
    ]
    return f'{case.root}: {", ".join(counts)}'


def _weights(case: Case) -> str:
    cfg = case.cfg
    if cfg.get('resume'):
        where = cfg.get('load_from') or f'the newest in {cfg.work_dir}'
        return f'a checkpoint to go on from: {where}'
    if cfg.get('load_from'):
        return _short_path(cfg.load_from)
    hook = (cfg.get('default_hooks') or {}).get('pretrained')
    if hook:
        if Path(hook.weights).suffix:
            return _short_path(hook.weights)
        path = local_path(hook.weights)
        missing = '' if path.is_file() else ', which is missing'
        return f'{hook.weights} ({path}{missing})'
    for part in walk(cfg.model):
        if part.get('type') == 'Pretrained':
            return _short_path(str(part.get('checkpoint')))
        if part.get('pretrained'):
            return str(part.pretrained)
    return 'none: from scratch'


def _short_path(path: str) -> str:
    """Without the detour that {{fileDirname}}/.. makes."""
    if '://' in path:
        return path
    whole = Path(path).resolve()
    if whole.is_relative_to(Path.cwd()):
        return str(whole.relative_to(Path.cwd()))
    return str(whole)


def _device(case: Case) -> str:
    return f'{case.device} ({device_name(case.device)})'


def _seed(case: Case) -> str:
    seed = (case.cfg.get('randomness') or {}).get('seed')
    return 'none: another one each time' if seed is None else str(seed)
