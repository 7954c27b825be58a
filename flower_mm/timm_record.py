"""What timm records of a network: name, preprocessing, number of features.

A config with a TimmBackbone has 'auto' for values that follow from the
network and its pretrained weights. `fill_in_auto` replaces them.
"""

import difflib
from functools import cache
from typing import TYPE_CHECKING, Any

from mmengine.config import Config, ConfigDict

from flower_mm.errors import UserError, printable

if TYPE_CHECKING:
    from timm.models import PretrainedCfg

AUTO = 'auto'
BACKBONE = 'TimmBackbone'


def require_name(name: object) -> None:
    """Raise a UserError with the nearest names for an unknown network.

    `timm.create_model` would take addresses and folders as well.
    """
    import timm

    known = sorted({*timm.list_models(), *timm.list_pretrained()})
    if name in known:
        return
    near = difflib.get_close_matches(str(name), known, 5, 0.5)
    hint = f'Nearest: {", ".join(near)}' if near else ''
    raise UserError(
        f'invalid model_name: expected a network of timm, got '
        f'{printable(repr(name), 100)}\n'
        + (hint or "All names: python -c 'import timm; timm.list_models()'")
    )


def record_of(name: str) -> 'PretrainedCfg':
    """Return the record of the pretrained weights of a network in timm."""
    import timm
    from timm.models import PretrainedCfg

    require_name(name)
    # Default values for a user's own network without a record, as timm does.
    return timm.get_pretrained_cfg(name) or PretrainedCfg()


def pixel_values(shares: tuple[float, ...]) -> list[float]:
    """Values from 0 to 255, where timm has 0 to 1."""
    return [round(255 * share, 4) for share in shares]


@cache
def count_features(name: str) -> int:
    """The number of features that the classifier of a network gets."""
    import timm
    import torch

    # Without memory for the weights and without initialising them.
    with torch.device('meta'):
        network: Any = timm.create_model(name, num_classes=0)
    return network.head_hidden_size


def count_parameters(name: str) -> int:
    """The parameters of a network without its classifier."""
    import timm
    import torch

    with torch.device('meta'):
        network = timm.create_model(name, num_classes=0)
    return sum(weight.numel() for weight in network.parameters())


def has_timm_backbone(cfg: Config) -> bool:
    part = cfg.get('model')
    for key in ('backbone', 'type'):  # a check reports other kinds of values
        part = part.get(key) if isinstance(part, dict) else None
    return str(part).rpartition('.')[2] == BACKBONE


def fill_in_auto(cfg: Config) -> None:
    """Replace each 'auto' that follows from the name of the network."""
    if not has_timm_backbone(cfg):
        return
    backbone, head = cfg.model.backbone, cfg.model.get('head') or {}
    name = backbone.get('model_name')
    record = record_of(name)
    side = _side(name, record)
    if backbone.get('img_size') == AUTO:
        backbone.img_size = side
    if head.get('in_channels') == AUTO:
        head['in_channels'] = count_features(name)
    preprocessor = cfg.get('data_preprocessor') or {}
    for key in ('mean', 'std'):
        if preprocessor.get(key) == AUTO:
            preprocessor[key] = pixel_values(getattr(record, key))
    hook = (cfg.get('default_hooks') or {}).get('pretrained') or {}
    if hook.get('weights') == AUTO:
        # timm's names differ from the table's: efficientnet_b0 of the table
        # is timm's tf_efficientnet_b0.
        hook['weights'] = f'timm/{name}'
    _fill_in_steps(cfg._cfg_dict, record, side)


def _side(name: str, record: 'PretrainedCfg') -> int:
    height, width = record.input_size[-2:]
    if height != width or record.crop_mode not in ('center', 'squash'):
        raise UserError(
            f'{name} expects photos of {width} x {height} pixels with crop '
            f'mode {record.crop_mode}: expected a square with crop mode '
            'center or squash.\nWrite a config with pipelines of its own.'
        )
    return height


def _fill_in_steps(part: object, record: 'PretrainedCfg', side: int) -> None:
    """Fill in the transforms in all pipelines."""
    if isinstance(part, (list, tuple)):
        for item in part:
            _fill_in_steps(item, record, side)
    if not isinstance(part, dict):
        return
    for item in part.values():
        _fill_in_steps(item, record, side)
    if part.get('interpolation') == AUTO:
        part['interpolation'] = record.interpolation
    if part.get('crop_size') == AUTO:
        part['crop_size'] = side
    if part.get('scale') == AUTO:
        _fill_in_scale(part, record, side)


def _fill_in_scale(
    step: ConfigDict, record: 'PretrainedCfg', side: int
) -> None:
    if not str(step.get('type')).endswith('ResizeEdge'):
        step['scale'] = side
        return
    # As timm's transforms_imagenet_eval. Above 1 it would pad with black.
    scale = max(side, int(side / record.crop_pct))
    step['scale'] = scale
    if record.crop_mode == 'squash':
        # Both sides, whatever the shape of the photo.
        step.pop('edge', None)
        step.update(type='Resize', scale=(scale, scale), keep_ratio=False)
