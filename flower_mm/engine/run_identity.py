"""Compare the run in a checkpoint with the run that would resume it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config

from flower_mm.annotations import OTHER_PHOTOS, lists_sha256
from flower_mm.config import data_root
from flower_mm.errors import UserError
from flower_mm.weights.best_checkpoint import plain

# Keys whose values decide about the weights.
DECISIVE = (
    'model',
    'data_preprocessor',
    'train_dataloader',
    'val_dataloader',
    'train_cfg',
    'val_cfg',
    'val_evaluator',
    'optim_wrapper',
    'param_scheduler',
    'auto_scale_lr',
    'custom_hooks',
    'default_hooks.ema',
    'default_hooks.frozen_statistics',
    'default_hooks.head_first',
    'randomness',
)
# Former names of types.
RENAMED = {
    'EitherWeightsValLoop': 'EMAValLoop',
    'FewGroups': 'MergedGroupsConstructor',
}
# Keys in these that do not change the weights, at any level.
FREE = (
    'num_workers',
    'persistent_workers',
    'pin_memory',
    'prefetch_factor',
    'data_root',
    'broken',
)
SHOWN = 8  # differences printed; the others are counted


def identity(cfg: Config, processes: int) -> dict:
    """What a checkpoint stores about its run, besides the config."""
    return {'photos': lists_sha256(data_root(cfg)), 'processes': processes}


def differences(meta: dict, cfg: Config, processes: int) -> list[str]:
    """How the run in a checkpoint differs from the one that resumes it."""
    then, noted = meta.get('cfg'), meta.get('run')
    if not isinstance(then, dict) or not isinstance(noted, dict):
        return ['the checkpoint has no record of its config and photos']
    changes = []
    if meta['epoch'] > cfg.train_cfg.max_epochs:
        changes.append(
            f'epoch {meta["epoch"]} is beyond train_cfg.max_epochs='
            f'{cfg.train_cfg.max_epochs}'
        )
    now = identity(cfg, processes)
    if noted.get('photos') != now['photos']:
        changes.append(f'{OTHER_PHOTOS}{data_root(cfg)} have changed')
    if noted.get('processes') != processes:
        changes.append(
            f'{noted.get("processes")!r} process(es) then, {processes} now'
        )
    # Plain values only: the checkpoint may come from somebody else.
    old = dict(_decisive(plain(then)))
    new = decisive_values(cfg)
    return changes + [
        f'{key} was {_shown(old, key)}, is {_shown(new, key)}'
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]


def decisive_values(cfg: Config) -> dict[str, object]:
    """The values of a config that decide about the weights, by their keys."""
    return dict(_decisive(plain(cfg.to_dict())))


def require_same(path: Path, changes: list[str]) -> None:
    """Raise UserError with the differences, if there are any."""
    if not changes:
        return
    more = len(changes) - SHOWN
    shown = changes[:SHOWN] + ([f'… and {more} more'] if more > 0 else [])
    raise UserError(
        f'{path} belongs to a run with other settings:\n  '
        + '\n  '.join(shown)
        + '\nUndo these changes, or resume with them: --resume-anyway'
    )


def _decisive(cfg: dict) -> Iterator[tuple[str, object]]:
    for name in DECISIVE:
        part: Any = cfg
        for key in name.split('.'):
            part = part.get(key) if isinstance(part, dict) else None
        yield from _flat(name, part)


def _flat(name: str, part: object) -> Iterator[tuple[str, object]]:
    """Each value in a part of a config, with its key."""
    if isinstance(part, dict):
        items = [(k, v) for k, v in part.items() if k not in FREE]
    elif isinstance(part, (list, tuple)):
        items = list(enumerate(part))
    else:
        if isinstance(part, str):
            part = RENAMED.get(part, part)
        if part is not None:
            yield name, part
        return
    for key, value in items:
        yield from _flat(f'{name}.{key}', value)


def _shown(values: dict, key: str) -> str:
    return repr(values[key])[:60] if key in values else 'not set'
