"""The settings in which a config differs from its bases, for run.json."""

from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

from flower_mm.config import base_configs
from flower_mm.weights.best_checkpoint import plain

PARTS = (
    'model',
    'data_preprocessor',
    'train_dataloader',
    'val_dataloader',
    'train_cfg',
    'val_cfg',
    'val_evaluator',
    'optim_wrapper',
    'precision',
    'param_scheduler',
    'auto_scale_lr',
    'default_hooks',
    'custom_hooks',
    'randomness',
    'load_from',
)
# Keys that MMEngine and our tools set, by the dataset and the machine.
FILLED_IN = (
    '_scope_',
    'collate_fn',
    'num_classes',
    'persistent_workers',
    'pin_memory',
    'topk',
)


def changes(cfg: Config) -> dict:
    """The bases of a config file, and each setting that differs from them.

    This reads the files again, so that they have to be unchanged.
    """
    bases: list[str] = []
    base: dict[str, Any] = {}
    for name, config in base_configs(cfg):
        base |= config.to_dict()
        bases.append(name)
    if not bases:
        return {'bases': [], 'settings': []}
    base, run = (_chosen(plain(whole)) for whole in (base, cfg.to_dict()))
    if cfg.get('resume'):
        run['load_from'] = base.get('load_from')  # its own checkpoint
    settings: list[dict] = []
    for part in PARTS:
        settings += _differences(part, base.get(part), run.get(part))
    return {'bases': bases, 'settings': settings}


def _chosen(part: Any) -> Any:
    """A config without FILLED_IN."""
    if isinstance(part, dict):
        return {k: _chosen(v) for k, v in part.items() if k not in FILLED_IN}
    if isinstance(part, (list, tuple)):
        return [_chosen(item) for item in part]
    return part


def _differences(key: str, base: Any, run: Any) -> Iterator[dict]:
    """Each setting whose value differs; a missing key counts as None."""
    if base == run:
        return
    both = isinstance(base, dict) and isinstance(run, dict)
    if both or (base is None and _has_parts(run)):
        base = base or {}
        for name in base | run:
            yield from _differences(
                f'{key}.{name}', base.get(name), run.get(name)
            )
    else:
        yield {'key': key, 'base': base, 'run': run}


def _has_parts(value: object) -> bool:
    return isinstance(value, dict) and any(
        isinstance(part, dict) for part in value.values()
    )
