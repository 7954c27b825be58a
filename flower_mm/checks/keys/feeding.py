"""How photos reach the model: in what order, in what colours, changed how."""

from collections.abc import Iterator

import numpy as np
from mmengine.config import ConfigDict

from flower_mm.checks.case import Case
from flower_mm.checks.finding import Finding, warn
from flower_mm.checks.remedy import option, setting
from flower_mm.checks.weights import uses_weights
from flower_mm.config import LOADERS, walk

# ImageNet's, in the order of RGB and on the scale of photos.
MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
PLACE = 'data_preprocessor'
# Steps that bring photos to another scale before the preprocessor.
SCALING = ('Normalize', 'ToTensor', 'ConvertImageDtype', 'ToDtype')
CHANGING = (
    'ColorJitter',
    'QuickJitter',
    'RandAugment',
    'AutoAugment',
    'AugMix',
    'Lighting',
)


def check(case: Case) -> Iterator[Finding]:
    yield from _order(case)
    yield from _at_random(case)
    if uses_weights(case):
        yield from _grey(case)
        yield from _normalised(case)


def _order(case: Case) -> Iterator[Finding]:
    sampler = case.cfg.train_dataloader.get('sampler') or {}
    if sampler.get('shuffle', True) or case.iterations < 2:
        return
    changes = np.diff(case.splits['train_dataloader'].labels)
    if np.any(changes < 0) and np.count_nonzero(changes) > changes.size / 4:
        return  # a list that was shuffled once
    yield warn(
        'Training goes through the photos in the order of their list, so '
        'class after class.',
        'train_dataloader.sampler.shuffle',
        option('train_dataloader.sampler.shuffle', True),
    )


def _at_random(case: Case) -> Iterator[Finding]:
    for loader in LOADERS[1:]:
        names = [
            name
            for _, name, step in _steps(case, loader)
            if ('Random' in name or name in CHANGING)
            and step.get('prob', step.get('p', 1)) != 0
        ]
        if not names:
            continue
        crop = any('Crop' in name for name in names)
        mend = f'take {", ".join(dict.fromkeys(names))} out'
        if crop:
            mend += "; dict(type='CenterCrop', crop_size=…) takes the middle"
        yield warn(
            f'The photos of {loader.removesuffix("_dataloader")} are changed '
            'at random, so that a figure is another each time.',
            f'{loader}.dataset.pipeline',
            mend,
        )
        return  # mostly both have the same


def _grey(case: Case) -> Iterator[Finding]:
    found = [
        f'{place}.color_type'
        for loader in LOADERS
        for place, _, step in _steps(case, loader)
        if step.get('color_type') == 'grayscale'
    ]
    if found:
        yield warn(
            'Photos are read without their colours, and the weights have '
            'learned from colours.',
            found[0],
            f'--cfg-options {" ".join(f"{name}=color" for name in found)}',
        )


def _normalised(case: Case) -> Iterator[Finding]:
    """On the scale and with the colours that the weights were made with.

    Those of CLIP and others have numbers of their own, and RegNet and
    MobileViT have blue first; all of them are on the scale of photos.
    """
    inside = case.cfg.model.get(PLACE)
    found = inside or case.cfg.get(PLACE) or {}
    place = f'model.{PLACE}' if inside else PLACE
    steps = list(_steps(case, 'train_dataloader'))
    if case.cfg.model.get('type') != 'ImageClassifier' or (
        str(found.get('type', 'ClsDataPreprocessor')).rpartition('.')[2]
        != 'ClsDataPreprocessor'
        or any(name in SCALING for _, name, _ in steps)
    ):
        return
    mean = _three(found.get('mean'), 0.0)
    std = _three(found.get('std'), 1.0)
    if not mean or not std:
        return
    what = ''
    if not any(mean) and set(std) == {1}:
        what = (
            'The photos are not normalised, and those that the weights have '
            'learned from were.'
        )
    elif max(map(abs, mean)) <= 1 and max(std) <= 1:
        what = (
            f'mean and std are for photos from 0 to 1 ({mean[0]} and '
            f'{std[0]}), and these are from 0 to 255.'
        )
    elif (
        not found.get('to_rgb')
        and mean[0] > mean[2]
        and not any(
            step.get('channel_order') == 'rgb' or 'PIL' in name
            for _, name, step in steps
        )
    ):
        yield warn(
            'Photos are given with blue first, and the weights have learned '
            'from red first.',
            f'{place}.to_rgb',
            option(f'{place}.to_rgb', True),
        )
    if what:
        yield warn(
            what,
            place,
            f'{option(f"{place}.mean", MEAN)} {setting(f"{place}.std", STD)} '
            f'{setting(f"{place}.to_rgb", True)}',
        )


def _steps(case: Case, loader: str) -> Iterator[tuple[str, str, ConfigDict]]:
    """Each step of a loader's pipeline: its place, its name and itself."""
    dataset = (case.cfg.get(loader) or {}).get('dataset')
    for part in walk(dataset):
        place = f'{loader}.dataset.pipeline'
        for number, step in enumerate(part.get('pipeline') or []):
            name = step.get('type')
            name = str(getattr(name, '__name__', name))
            bare = name.rpartition('.')[2].rpartition('/')[2]
            yield f'{place}.{number}', bare, step


def _three(value: object, default: float) -> list[float] | None:
    """A number for each colour; None where these are none."""
    if value is None:
        return [default] * 3
    numbers = list(value) if isinstance(value, (list, tuple)) else [value]
    if not all(type(number) in (int, float) for number in numbers):
        return None
    return numbers if len(numbers) == 3 else numbers[:1] * 3
