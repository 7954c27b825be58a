"""The config in best.pth, checked as data before anything is built from it.

MMEngine builds whatever a config names: a `type` may be any function of any
module, some strings are evaluated, some types download. A file from elsewhere
gets none of that, but the parts of a classifier.
"""

import functools
import re
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import Registry

from flower_mm.errors import UserError
from flower_mm.registry import BATCH_AUGMENTS, MODELS, TRANSFORMS
from flower_mm.weights.read import read_checkpoint

SCOPES = ('flower_mm', 'mmpretrain', 'mmcls', 'mmcv', 'mmengine')
# Whose classes take plain values and do no more than compute. Of the heads
# one reads a pickle and one a list from wherever the config says.
HEADS = (
    'cls_head',
    'conformer_head',
    'deit_head',
    'efficientformer_head',
    'levit_head',
    'linear_head',
    'stacked_head',
    'vig_head',
    'vision_transformer_head',
)
MODULES = (
    'flower_mm',
    'mmcv.cnn',
    'mmcv.transforms',
    'mmengine.model',
    'mmengine.utils.dl_utils.parrots_wrapper',  # SyncBN
    'mmpretrain.datasets.transforms',
    'mmpretrain.models.backbones',
    'mmpretrain.models.classifiers.image',
    *(f'mmpretrain.models.heads.{head}' for head in HEADS),
    'mmpretrain.models.losses',
    'mmpretrain.models.necks',
    'mmpretrain.models.utils.attention',
    'mmpretrain.models.utils.batch_augments',
    'mmpretrain.models.utils.data_preprocessor',
    'mmpretrain.models.utils.norm',
    'torch.nn',
    'torchvision.transforms',
)
# But for this one, which downloads.
DOWNLOADS = ('mmpretrain.models.backbones.timm_backbone',)
# What MMPretrain's inferencer looks at.
PLACES = ('model', 'data_preprocessor', 'test_dataloader.dataset.pipeline')
# Initial values, which the file's weights replace.
LEFT_OUT = ('init_cfg', 'pretrained')


def config_of(path: str | Path) -> Config:
    """What predicting with this best.pth needs of its config, checked."""
    path = Path(path)
    meta = read_checkpoint(path).get('meta', {})
    config = meta.get('cfg')
    classes = (meta.get('dataset_meta') or {}).get('classes')
    if not isinstance(config, dict) or not classes:
        raise UserError(
            f'{path} holds no config as plain values or no classes, as '
            "flower_mm's best.pth does."
        )
    scope = config.get('default_scope', 'flower_mm')
    if scope not in SCOPES:
        raise UserError(f'{path} is refused: default_scope is {_short(scope)}')
    parts = []
    for place in PLACES:
        part = config
        for key in place.split('.'):
            part = part.get(key) if isinstance(part, dict) else None
        if not part or not isinstance(part, (dict, list, tuple)):
            raise UserError(
                f'{path} cannot predict: its config has no {place}'
            )
        try:
            parts.append(_checked(part, place))
        except _Strange as error:
            raise UserError(
                f'{path} is refused: its config {error}'
            ) from error
        except RecursionError as error:
            raise UserError(
                f'{path} is refused: its config is nested without end.'
            ) from error
    model, preprocessor, pipeline = parts
    tested = config.get('test_cfg')
    fp16 = isinstance(tested, dict) and tested.get('fp16') is True
    return Config(
        {
            'default_scope': scope,
            'model': model,
            'data_preprocessor': preprocessor,
            'test_dataloader': {'dataset': {'pipeline': pipeline}},
            'test_cfg': {'fp16': fp16},
            # Whether the machine was to choose.
            'precision': 'auto' if config.get('precision') == 'auto' else '',
        }
    )


class _Strange(Exception):  # noqa: N818
    """A value that a classifier's config does not have; says where."""


def _checked(part: object, place: str) -> object:
    """The same values; raises at the first that could do more than count."""
    if isinstance(part, (list, tuple)):
        return [_checked(item, f'{place}.{i}') for i, item in enumerate(part)]
    if isinstance(part, dict):
        kept = {}
        for key, value in part.items():
            if key in LEFT_OUT:
                continue
            where = f'{place}.{key}'
            # As MMEngine marks what comes from MMPretrain's own configs.
            if key == '_scope_' and value in SCOPES:
                continue
            # By other keys of that form it takes orders.
            if not isinstance(key, str) or key.startswith('_'):
                raise _Strange(f'has {where}')
            if key == 'type':
                value = _known(value, where)
            # MMPretrain evaluates this one as Python.
            if key == 'dtype' and not _is_dtype(value):
                raise _Strange(f'has {_short(value)} at {where}')
            kept[key] = _checked(value, where)
        return kept
    if part is None or isinstance(part, (str, int, float, bool)):
        return part
    raise _Strange(f'has a {type(part).__name__} at {place}')


def _known(name: object, place: str) -> str:
    """The name of a registered part of a classifier, without its scope."""
    scope, dot, bare = str(name).rpartition('.')
    plain = re.fullmatch(r'(torchvision/)?[A-Za-z]\w*', bare, re.ASCII)
    if not isinstance(name, str) or not plain or (dot and scope not in SCOPES):
        raise _Strange(f'names {_short(name)} at {place}, no registered type')
    classes = [
        part
        for registry in (MODELS, TRANSFORMS, BATCH_AUGMENTS)
        for part in _registered(registry, bare)
    ]
    if not classes or not all(map(_is_allowed, classes)):
        raise _Strange(
            f'names {_short(name)} at {place}, no part of a classifier'
        )
    return bare


def _registered(registry: Registry, name: str) -> list:
    """What the registry and those above have; it is not looked up further.

    `Registry.get` would go on to import a module of that name.
    """
    found = []
    while registry is not None:
        registry.import_from_location()
        if name in registry.module_dict:
            found.append(registry.module_dict[name])
        registry = registry.parent
    return found


def _is_allowed(part: object) -> bool:
    if isinstance(part, functools.partial):  # MMPretrain's, of torchvision's
        part = part.keywords['transform']
    return _is_within(part.__module__, MODULES) and not _is_within(
        part.__module__, DOWNLOADS
    )


def _is_within(module: str, packages: tuple[str, ...]) -> bool:
    return any(f'{module}.'.startswith(f'{name}.') for name in packages)


def _is_dtype(value: object) -> bool:
    return isinstance(getattr(torch, str(value), None), torch.dtype)


def _short(value: object) -> str:
    return repr(value)[:100]
