"""How photos reach the model: order, colours, scale, augmentation."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from flower_mm.checks.config_values import set_options
from flower_mm.checks.context import CheckContext
from flower_mm.checks.finding import Finding
from flower_mm.checks.pretrained_weights import uses_weights
from flower_mm.config import LOADERS, bare_name
from flower_mm.timm_record import has_timm_backbone, pixel_values, record_of

# ImageNet's, in the order of RGB and for values from 0 to 255.
MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
PLACE = 'data_preprocessor'
TOLERANCE = 2.0  # of 255; records round 127 to 127.5
# Steps that scale photos before the preprocessor.
SCALING = ('Normalize', 'ToTensor', 'ConvertImageDtype', 'ToDtype')
CHANGING = (
    'ColorJitter',
    'QuickJitter',
    'RandAugment',
    'AutoAugment',
    'AugMix',
    'Lighting',
)


def check(ctx: CheckContext) -> Iterator[Finding]:
    yield from _order(ctx)
    yield from _random_validation(ctx)
    yield from _normalised_twice(ctx)
    if uses_weights(ctx):
        yield from _greyscale(ctx)
        yield from _normalisation(ctx)
        yield from _record(ctx)


def _order(ctx: CheckContext) -> Iterator[Finding]:
    sampler = ctx.cfg.train_dataloader.get('sampler') or {}
    if sampler.get('shuffle', True) or ctx.iterations < 2:
        return
    changes = np.diff(ctx.train.labels)
    if np.any(changes < 0) and np.count_nonzero(changes) > changes.size / 4:
        return  # a list that was shuffled once
    place = 'train_dataloader.sampler.shuffle'
    message = 'photos are read in the order of their list, class by class'
    yield Finding('DATA019', place, message, set_options({place: True}))


def _random_validation(ctx: CheckContext) -> Iterator[Finding]:
    for loader in LOADERS[1:]:
        names = [
            name
            for _, name, step in ctx.steps(loader)
            if ('Random' in name or name in CHANGING)
            and step.get('prob', step.get('p', 1)) != 0
        ]
        if names:
            fix = f'remove {", ".join(dict.fromkeys(names))}'
            if any('Crop' in name for name in names):
                fix += "; dict(type='CenterCrop', crop_size=…) instead"
            message = 'random augmentation changes the result each time'
            place = f'{loader}.dataset.pipeline'
            yield Finding('DATA020', place, message, fix)
            return  # usually both have the same


def _normalised_twice(ctx: CheckContext) -> Iterator[Finding]:
    mean = (ctx.cfg.get(PLACE) or {}).get('mean')
    for loader in LOADERS[:2]:
        for place, name, _ in ctx.steps(loader):
            if name == 'Normalize' and mean:
                message = f'photos are normalised here and by {PLACE}'
                yield Finding('PRE004', place, message, 'remove this step')


def _greyscale(ctx: CheckContext) -> Iterator[Finding]:
    places = [
        f'{place}.color_type'
        for loader in LOADERS
        for place, _, step in ctx.steps(loader)
        if step.get('color_type') == 'grayscale'
    ]
    if places:
        message = 'greyscale photos, and the weights were trained on colours'
        fix = set_options(dict.fromkeys(places, 'color'))
        yield Finding('PRE001', places[0], message, fix)


def _normalisation(ctx: CheckContext) -> Iterator[Finding]:
    """Compare scale and channel order with those of pretrained weights.

    CLIP and others have numbers of their own, and RegNet and MobileViT have
    blue first; all of them are for values from 0 to 255.
    """
    inside = ctx.cfg.model.get(PLACE)
    part = inside or ctx.cfg.get(PLACE) or {}
    place = f'model.{PLACE}' if inside else PLACE
    steps = list(ctx.steps('train_dataloader'))
    kind = bare_name(part.get('type', 'ClsDataPreprocessor'))
    stock = ctx.cfg.model.get('type') == 'ImageClassifier'
    scaled = any(name in SCALING for _, name, _ in steps)
    mean, std = _channels(part.get('mean'), 0.0), _channels(part.get('std'), 1)
    known = kind == 'ClsDataPreprocessor' and stock
    if scaled or not known or not mean or not std:
        return
    message = ''
    if not any(mean) and set(std) == {1}:
        message = 'photos are not normalised, and those of the weights were'
    elif max(map(abs, mean)) <= 1 and max(std) <= 1:
        message = (
            f'mean {mean[0]} and std {std[0]} are for values from 0 to 1, '
            'and these are from 0 to 255'
        )
    elif not part.get('to_rgb') and mean[0] > mean[2]:
        rgb = any(
            step.get('channel_order') == 'rgb' or 'PIL' in name
            for _, name, step in steps
        )
        if not rgb:
            message = 'blue comes first, and the weights expect red first'
            fix = set_options({f'{place}.to_rgb': True})
            yield Finding('PRE003', f'{place}.to_rgb', message, fix)
        return
    if message:
        values = {'mean': MEAN, 'std': STD, 'to_rgb': True}
        fix = set_options({f'{place}.{k}': v for k, v in values.items()})
        yield Finding('PRE002', place, message, fix)


def _record(ctx: CheckContext) -> Iterator[Finding]:
    """Compare with timm's record of the pretrained weights."""
    if not has_timm_backbone(ctx.cfg):
        return
    record = record_of(ctx.cfg.model.backbone.model_name)
    part = ctx.cfg.get(PLACE) or {}
    expected, differs = {}, False
    for key, default in (('mean', 0.0), ('std', 1.0)):
        expected[key] = pixel_values(getattr(record, key))
        actual = _channels(part.get(key), default) or expected[key]
        pairs = zip(actual, expected[key], strict=True)
        differs |= any(abs(one - other) > TOLERANCE for one, other in pairs)
    if differs:
        message = "mean and std differ from timm's record of the weights"
        fix = set_options({f'{PLACE}.{k}': v for k, v in expected.items()})
        yield Finding('PRE005', PLACE, message, fix)


def _channels(value: Any, default: float) -> list[float] | None:
    """Return three numbers, None where the value is no number."""
    if value is None:
        return [default] * 3
    numbers = list(value) if isinstance(value, (list, tuple)) else [value]
    if not all(type(number) in (int, float) for number in numbers):
        return None
    return numbers if len(numbers) == 3 else numbers[:1] * 3
