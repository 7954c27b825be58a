"""The config as a whole: kinds of values, sections, runner, flags, paths."""

import argparse
import os.path
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config

from flower_mm.auto_schedule import AUTO, require_epochs
from flower_mm.checks.codes import Severity
from flower_mm.checks.config_source import ConfigSource, read_sources
from flower_mm.checks.config_values import shown, value_at
from flower_mm.checks.finding import Finding
from flower_mm.checks.setting_names import MIGRATION, OLD_KEYS
from flower_mm.checks.unknown_keys import check_keys
from flower_mm.checks.unused_names import check_names
from flower_mm.config import LOADERS, bare_name, datasets

REQUIRED = ('model', 'train_dataloader', 'optim_wrapper', 'train_cfg')
# MMEngine requires all of a row, or none.
ROWS = [
    [f'{split}_{part}' for part in ('dataloader', 'cfg', 'evaluator')]
    for split in ('val', 'test')
]
PERSONAL = re.compile(r'/(home|Users|root)/\S|~[^/\s]*/|[A-Za-z]:[\\/]')


def _is_number(value: object) -> bool:
    return type(value) in (int, float)


def _is_count(value: Any) -> bool:
    return _is_number(value) and value % 1 == 0 and value > 0


def _is_list(value: object) -> bool:
    return isinstance(value, (list, tuple))


def _is_dict(value: object) -> bool:
    return isinstance(value, dict)


def _is_list_of_dicts(value: object) -> bool:
    return isinstance(value, (list, tuple)) and all(map(_is_dict, value))


# What is expected, how that is tested, and where; `*` is any key.
KINDS = (
    (
        'dict(…)',
        _is_dict,
        (
            'model model.backbone data_preprocessor optim_wrapper '
            'optim_wrapper.optimizer optim_wrapper.clip_grad '
            'optim_wrapper.paramwise_cfg '
            'optim_wrapper.paramwise_cfg.custom_keys '
            'optim_wrapper.paramwise_cfg.custom_keys.* train_cfg val_cfg '
            'test_cfg default_hooks default_hooks.* auto_scale_lr randomness '
            'env_cfg visualizer'
        ),
    ),
    (
        'dict(…)',
        _is_dict,
        ' '.join(
            f'{loader}{key}'
            for loader in LOADERS
            for key in ('', '.dataset', '.sampler')
        ),
    ),
    (
        '[dict(…), …]',
        _is_list_of_dicts,
        'custom_hooks visualizer.vis_backends '
        + ' '.join(f'{loader}.dataset.pipeline' for loader in LOADERS),
    ),
    (
        'dict(…) or [dict(…), …]',
        lambda value: _is_dict(value) or _is_list_of_dicts(value),
        'param_scheduler val_evaluator test_evaluator',
    ),
    (
        "a whole number of at least 1, or 'auto'",
        lambda value: value == AUTO or _is_count(value),
        'train_cfg.max_epochs train_cfg.val_interval',
    ),
    (
        'a whole number of at least 1',
        _is_count,
        'auto_scale_lr.base_batch_size optim_wrapper.accumulative_counts '
        + ' '.join(f'{loader}.batch_size' for loader in LOADERS),
    ),
    (
        # Half an epoch is right where it is converted to iterations.
        'a number',
        _is_number,
        ' '.join(
            f'{scheduler}.{key}'
            for scheduler in ('param_scheduler', 'param_scheduler.*')
            for key in ('T_max', 'total_steps', 'step_size')
        ),
    ),
    (
        "a number, or 'auto'",
        lambda value: value == AUTO or _is_number(value),
        'param_scheduler.begin param_scheduler.end '
        'param_scheduler.*.begin param_scheduler.*.end',
    ),
    (
        'a list of numbers such as [3, 6]',
        lambda value: _is_list(value) and all(map(_is_number, value)),
        'param_scheduler.milestones param_scheduler.*.milestones',
    ),
    (
        "a number such as 1e-4, without quotes, or 'auto'",
        lambda value: value == AUTO or (_is_number(value) and value >= 0),
        'optim_wrapper.optimizer.lr',
    ),
)


def check(cfg: Config, args: argparse.Namespace) -> Iterator[Finding]:
    """Check a config as it was read, without the command line."""
    wrong = list(_kinds(cfg))
    if wrong:
        yield from wrong
        return
    sources = read_sources(cfg.filename)
    missing = [key for key in REQUIRED if not cfg.get(key)]
    if missing:
        yield _missing(cfg, missing)
    yield from check_names(cfg, args, sources)
    yield from _local_paths(cfg, args, sources)
    if value_at(cfg, 'randomness.seed') is None and args.seed is None:
        yield Finding(
            'CFG010',
            'randomness.seed',
            'not set, so the run cannot be repeated',
            '--seed 0',
        )
    if missing:
        return
    require_epochs(cfg)
    yield from _sections(cfg, args)
    yield from check_keys(cfg, args.cfg_options or {})
    if place := _sharded(cfg):
        yield Finding(
            'CFG016',
            place,
            f'{shown(value_at(cfg, place))}: training with FSDP, DeepSpeed '
            'or another strategy of FlexibleRunner is not supported, since '
            'averaging (EMAHook), resuming and best.pth need the whole model '
            'in each process',
            "runner_type='FlowerRunner' without it; for less memory: "
            '--amp, --accumulate 4, or model.backbone.lora_rank=8 of a '
            'TimmBackbone',
        )
    elif cfg.get('runner_type') != 'FlowerRunner':
        yield Finding(
            'CFG012',
            'runner_type',
            "MMEngine's own Runner will train: it writes no best.pth, "
            'run.json or learning curves',
            "add 'flower_mm::_base_/flower.py' to _base_, without schedule "
            'and datasets of your own',
        )


def _sharded(cfg: Config) -> str | None:
    """Return the setting that would split the model, if there is one."""
    wrapper = value_at(cfg, 'model_wrapper_cfg.type') or ''
    if 'FullyShardedDataParallel' in bare_name(wrapper):
        return 'model_wrapper_cfg.type'
    if cfg.get('strategy'):
        return 'strategy.type'
    is_flexible = bare_name(cfg.get('runner_type')) == 'FlexibleRunner'
    return 'runner_type' if is_flexible else None


def _kinds(cfg: Config) -> Iterator[Finding]:
    for expected, is_right, paths in KINDS:
        for pattern in paths.split():
            for path, value in _values(dict(cfg), pattern.split('.'), ''):
                if value is not None and not is_right(value):
                    yield Finding(
                        'CFG007',
                        path,
                        f'invalid value: expected {expected}, got '
                        f'{shown(value)}',
                    )
    for loader in LOADERS:
        part = cfg.get(loader)
        if isinstance(part, dict) and part and not part.get('dataset'):
            message = "missing: expected dict(type='…', …)"
            yield Finding('CFG008', f'{loader}.dataset', message)


def _values(
    part: Any, keys: list[str], path: str
) -> Iterator[tuple[str, Any]]:
    """Yield all values that a path with `*` stands for."""
    if not keys:
        yield path[1:], part
        return
    first, *rest = keys
    items: Iterable[tuple[Any, Any]] = ()
    if _is_list(part):
        items = enumerate(part)
    elif isinstance(part, dict):
        items = part.items()
        if first == '*' and 'type' in part:
            items = ()  # it is one part, not a group of them
    for key, value in list(items):
        if first in ('*', str(key)):
            yield from _values(value, rest, f'{path}.{key}')


def _missing(cfg: Config, missing: list[str]) -> Finding:
    fix = "start from _base_ = 'flower_mm::flower/resnet50_flower.py'"
    message = f'missing section: {", ".join(missing)}'
    if any(name in cfg for name in OLD_KEYS):
        message += '; this is a config of MMClassification 0.x'
        fix = f'migrate it as in {MIGRATION}, or {fix}'
    return Finding('CFG008', missing[0], message, fix)


def _sections(cfg: Config, args: argparse.Namespace) -> Iterator[Finding]:
    for row in ROWS[1:] if args.no_validate else ROWS:
        lacking = [key for key in row if cfg.get(key) is None]
        if 0 < len(lacking) < len(row):
            yield Finding(
                'CFG008',
                lacking[0],
                f'missing section: {row[0]}, {row[1]} and {row[2]} are '
                'required together',
                f'{lacking[0]} = dict(…), or all of them None',
            )
    for loader in LOADERS:
        part = cfg.get(loader)
        if part and not part.get('sampler') and not part.get('batch_sampler'):
            shuffle = loader == 'train_dataloader'
            yield Finding(
                'CFG008',
                f'{loader}.sampler',
                'missing: MMEngine requires a sampler',
                f"sampler=dict(type='DefaultSampler', shuffle={shuffle})",
                Severity.WARNING if loader == 'test_dataloader' else None,
            )


def _local_paths(
    cfg: Config, args: argparse.Namespace, sources: list[ConfigSource]
) -> Iterator[Finding]:
    """Find personal paths in the user's own files."""
    decided = set()
    if args.data_root:
        decided = {str(part.data_root) for part in datasets(cfg)}
    if args.work_dir:
        decided.add(cfg.get('work_dir'))
    for source in sources:
        for text, line in () if source.packaged else source.strings():
            if not PERSONAL.match(text) or text in decided:
                continue
            # `~name` of somebody else stays as it is.
            exists = Path(os.path.expanduser(text)).exists()  # noqa: PTH111
            # The work_dir is created where it is missing.
            if text == cfg.get('work_dir'):
                exists = Path(text).parent.exists()
            decided.add(text)
            yield Finding(
                'CFG009',
                f'{source.path}:{line}',
                f'{shown(text)} exists on this machine only'
                if exists
                else f'{shown(text)} does not exist here',
                'a path relative to the working folder; for the photos: '
                '--data FOLDER',
                Severity.NOTE if exists else Severity.WARNING,
            )
