"""Is each part of a config of the kind that it has to be?

MMEngine finds out in the middle of building, in words of its own.
"""

from collections.abc import Iterator

from mmengine.config import Config

from flower_mm.checks.finding import Finding, stop
from flower_mm.checks.remedy import value_at

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
DICTS = (
    'model',
    'model.backbone',
    'data_preprocessor',
    *LOADERS,
    *(f'{loader}.dataset' for loader in LOADERS),
    *(f'{loader}.sampler' for loader in LOADERS),
    'optim_wrapper',
    'optim_wrapper.optimizer',
    'optim_wrapper.clip_grad',
    'optim_wrapper.paramwise_cfg',
    'optim_wrapper.paramwise_cfg.custom_keys',
    'train_cfg',
    'val_cfg',
    'test_cfg',
    'default_hooks',
    'auto_scale_lr',
    'randomness',
    'env_cfg',
    'visualizer',
)
# Lists of dictionaries; some may be one of them alone.
LISTS = (
    'custom_hooks',
    'visualizer.vis_backends',
    *(f'{loader}.dataset.pipeline' for loader in LOADERS),
)
ONE_OR_MORE = ('param_scheduler', 'val_evaluator', 'test_evaluator')
COUNTS = (
    'train_cfg.max_epochs',
    'train_cfg.val_interval',
    'auto_scale_lr.base_batch_size',
    'optim_wrapper.accumulative_counts',
    *(f'{loader}.batch_size' for loader in LOADERS),
)
CUSTOM = 'optim_wrapper.paramwise_cfg.custom_keys'
LENGTHS = ('begin', 'end', 'T_max', 'total_steps', 'step_size')
SEQUENCE = (list, tuple)
RATE = 'optim_wrapper.optimizer.lr'


def check_kinds(cfg: Config) -> Iterator[Finding]:
    """Where this finds something, nothing else can be looked at."""
    for path in DICTS:
        clips = path.endswith('clip_grad')
        mend = 'dict(max_norm=1.0)' if clips else 'dict(…)'
        yield from _is_of(cfg, path, dict, mend)
    for path in (*LISTS, *ONE_OR_MORE):
        kinds = (*SEQUENCE, dict) if path in ONE_OR_MORE else SEQUENCE
        yield from _is_of(cfg, path, kinds, '[dict(…), …]')
        for number, item in enumerate(_items(value_at(cfg, path))):
            if not isinstance(item, dict):
                yield _wrong(f'{path}.{number}', item, "dict(type='…')")
    for name, hook in _entries(cfg.get('default_hooks')):
        if not isinstance(hook, dict | None):
            place = f'default_hooks.{name}'
            yield _wrong(place, hook, "dict(type='…'), or None to switch off")
    for name, settings in _entries(value_at(cfg, CUSTOM)):
        if not isinstance(settings, dict):
            yield _wrong(f'{CUSTOM}.{name}', settings, 'dict(lr_mult=…)')
    for loader in LOADERS:
        found = cfg.get(loader)
        if isinstance(found, dict) and found and not found.get('dataset'):
            yield _wrong(f'{loader}.dataset', None, "dict(type='…')")
    for path in COUNTS:
        value = value_at(cfg, path)
        if value is not None and not (_is_whole(value) and value > 0):
            yield _wrong(path, value, 'a whole number from 1 on')
    yield from _schedulers(cfg)
    lr = value_at(cfg, RATE)
    if lr is not None and not (_is_number(lr) and lr >= 0):
        yield _wrong(RATE, lr, 'a number such as 1e-4, without quotes')


def _schedulers(cfg: Config) -> Iterator[Finding]:
    found = cfg.get('param_scheduler')
    several = enumerate(_items(found))
    rows = [(f'param_scheduler.{number}', item) for number, item in several]
    if isinstance(found, dict):
        rows = [('param_scheduler', found)]
    for place, scheduler in rows:
        for key in LENGTHS if isinstance(scheduler, dict) else ():
            value = scheduler.get(key)
            # Half an epoch is right, where it is converted to iterations.
            if value is not None and not _is_number(value):
                yield _wrong(f'{place}.{key}', value, 'a number')
        steps = value_at(scheduler, 'milestones')
        if steps is not None and not (
            isinstance(steps, SEQUENCE) and all(map(_is_number, steps))
        ):
            yield _wrong(f'{place}.milestones', steps, '[3, 6], say')


def _is_number(value: object) -> bool:
    return type(value) in (int, float)


def _is_whole(value: object) -> bool:
    return _is_number(value) and value % 1 == 0


def _is_of(
    cfg: Config, path: str, kinds: type | tuple, mend: str
) -> Iterator[Finding]:
    value = value_at(cfg, path)
    if value is not None and not isinstance(value, kinds):
        yield _wrong(path, value, mend)


def _items(value: object) -> list | tuple:
    return value if isinstance(value, SEQUENCE) else []


def _entries(value: object) -> list[tuple]:
    return list(value.items()) if isinstance(value, dict) else []


def _wrong(path: str, value: object, mend: str) -> Finding:
    return stop(f'{path} cannot be {str(value)[:60]!r}.', path, mend)
