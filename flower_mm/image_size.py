"""The size of the photos that a model sees, in all pipelines of a config."""

import inspect
from collections.abc import Iterator, Sequence

from mmengine.config import Config

from flower_mm.errors import UserError
from flower_mm.registry import MODELS

# Transforms that decide the size of a photo, with the argument that does.
SIZES = {
    'CenterCrop': 'crop_size',
    'EfficientNetCenterCrop': 'crop_size',
    'EfficientNetRandomCrop': 'scale',
    'RandomCrop': 'crop_size',
    'RandomResizedCrop': 'scale',
    'Resize': 'scale',
    'ResizeEdge': 'scale',
    'torchvision/CenterCrop': 'size',
    'torchvision/RandomCrop': 'size',
    'torchvision/RandomResizedCrop': 'size',
    'torchvision/Resize': 'size',
}
# Transforms with sizes of their own.
OTHERS = ('GrowingCrop', 'RandomChoiceResize', 'TestTimeAug', 'Pad')
# Backbones with an `img_size` whose pretrained weights fit every size.
RESIZABLE = ('SwinTransformer', 'TimmBackbone', 'VisionTransformer')


def image_size_settings(
    cfg: Config, size: int, loaders: Sequence[str]
) -> dict[str, object]:
    """Return the config settings that give the model photos of a size.

    Args:
        cfg: The config that they are for.
        size: The side of the square photo in pixels.
        loaders: The data loaders whose pipelines are changed. Sizes before
            the final one keep their ratio to it.
    """
    if cfg.get('tta_pipeline'):
        raise _refusal('tta_pipeline has sizes of its own')
    settings = _backbone(cfg, size)
    for loader in loaders:
        if cfg.get(loader):
            for key, steps in _pipelines(cfg[loader], loader):
                settings |= _pipeline(key, steps, size)
    return settings


def model_size(pipeline: Sequence[dict]) -> str:
    """Return the size of the photos that a pipeline makes, as text."""
    for step in reversed(pipeline):
        value = step.get(SIZES.get(_name(step['type']), ''))
        if value:
            sides = (value, value) if isinstance(value, int) else value
            return ' x '.join(map(str, sides))
    return ''


def _pipeline(key: str, steps: Sequence[dict], size: int) -> dict[str, object]:
    sizes = list(_sizes(key, steps))
    if not sizes:
        raise _refusal(f'{key} has no transform that sets the size')
    name, last, final = sizes[-1]
    square = final if isinstance(final, int) else final[0]
    if name.endswith('ResizeEdge') or final not in (
        square,
        (square, square),
        [square, square],
    ):
        raise _refusal(f'{last} leaves photos that are not square')
    settings: dict[str, object] = {}
    for _, place, value in sizes:
        if isinstance(value, int):
            settings[place] = round(value * size / square)
        else:
            settings[place] = tuple(round(v * size / square) for v in value)
    return settings


def _sizes(
    key: str, steps: Sequence[dict]
) -> Iterator[tuple[str, str, int | Sequence[int]]]:
    """Yield type, key and value of each size in a pipeline."""
    for number, step in enumerate(steps):
        name = _name(step['type'])
        if name in OTHERS:
            raise _refusal(f'{key}.{number} is {name}, with its own sizes')
        argument = SIZES.get(name)
        if argument and argument in step:
            yield name, f'{key}.{number}.{argument}', step[argument]


def _pipelines(part: object, key: str) -> Iterator[tuple[str, Sequence]]:
    """Yield each pipeline in a data loader, with its key."""
    entries = []
    if isinstance(part, dict):
        entries = list(part.items())
    elif isinstance(part, (list, tuple)):
        entries = list(enumerate(part))
    for name, value in entries:
        if name == 'pipeline':
            yield f'{key}.{name}', value
        else:
            yield from _pipelines(value, f'{key}.{name}')


def _backbone(cfg: Config, size: int) -> dict[str, object]:
    backbone = cfg.model.get('backbone') or {}
    kind = backbone.get('type')
    name = _name(kind)
    made = MODELS.get(kind) if isinstance(kind, str) else kind
    arguments = inspect.signature(made).parameters if made else {}
    if 'img_size' not in arguments:
        return {}
    if name not in RESIZABLE:
        raise _refusal(f'{name} is built for one image size')
    if 'patch_size' in arguments:
        patch = backbone.get('patch_size', arguments['patch_size'].default)
        if size % patch:
            raise UserError(
                '--image-size must be a multiple of the patch size '
                f'{patch} of {name}, got {size}'
            )
    return {'model.backbone.img_size': size}


def _name(kind: object) -> str:
    """Return the name of a type in a config, without its scope."""
    return str(getattr(kind, '__name__', kind)).rpartition('.')[2]


def _refusal(reason: str) -> UserError:
    return UserError(
        f'--image-size cannot change this config: {reason}.\n'
        'Set the sizes in the config file, or by --cfg-options.'
    )
