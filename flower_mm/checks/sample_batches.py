"""A small batch of a data loader: the most unlike photos, step by step."""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from mmengine.config import ConfigDict
from mmengine.registry import FUNCTIONS, TRANSFORMS
from PIL import Image

from flower_mm.checks.building import build_error, quiet, reason
from flower_mm.checks.config_values import bare_name
from flower_mm.checks.context import CheckContext, Split
from flower_mm.checks.finding import Finding
from flower_mm.datasets.augmentation_seed import drawing
from flower_mm.datasets.load_photo import as_load_photo
from flower_mm.decoding import FORMATS
from flower_mm.errors import UserError

SAMPLE = 50  # photos whose headers are read, for the extremes among them
ENOUGH = 8e6  # pixels to load, beyond those of two photos
LOAD = "dict(type='LoadImageFromFile')"
# Wrappers that pass on what the dataset inside them gives.
PASSING = (
    'RepeatDataset',
    'ClassBalancedDataset',
    'ConcatDataset',
    'KFoldDataset',
)


def sample_batch(ctx: CheckContext, loader: str) -> Iterator[Finding]:
    """Yield what fails on the way; return the batch, None without one."""
    batch = None
    for place, cfg, dataset in _pipelines(ctx, loader):
        steps, failed = [], False
        for number, step in enumerate(cfg):
            scope = dataset.get('_scope_')
            with TRANSFORMS.switch_scope_and_registry(scope) as registry:
                error = build_error(registry.build, step)
                if error:
                    failed = True
                    step_place = f'{place}.{number}'
                    yield ctx.build_error(step_place, step, error).finding
                else:
                    with quiet():
                        steps.append(as_load_photo(registry.build(dict(step))))
        if failed or loader == 'test_dataloader':
            return None  # training does not read the test photos
        samples = []
        for number, info in enumerate(_extremes(ctx.splits[loader])):
            with drawing(0, number), quiet():
                sample = _through_steps(place, cfg, steps, info)
            if isinstance(sample, Finding):
                yield sample
                return None
            if sample is not None:
                samples.append(sample)
        batch = yield from _collate(ctx, loader, place, samples)
    return batch


def _pipelines(
    ctx: CheckContext, loader: str
) -> Iterator[tuple[str, list, ConfigDict]]:
    for place, dataset in ctx.parts(loader):
        pipeline = dataset.get('pipeline')
        if dataset.get('dataset') or dataset.get('datasets'):
            if bare_name(dataset.get('type')) not in PASSING or pipeline:
                return
        elif pipeline:
            yield f'{place}.pipeline', pipeline, dataset


def _extremes(split: Split) -> list[dict]:
    """Return the narrowest, the widest and the smallest of some photos.

    At least two of them differ if any photos do.
    """
    sizes = []
    step = -(-len(split.photos) // SAMPLE)
    for number in range(0, len(split.photos), step):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter('ignore')
                with Image.open(
                    split.photos[number], formats=FORMATS
                ) as image:
                    width, height = image.size
        except (OSError, ValueError, SyntaxError):
            continue  # other checks report it
        sizes.append((width / height, width * height, number))
    if not sizes:
        return []
    chosen = [
        min(sizes),
        max(sizes, key=lambda photo: (photo[0], -photo[1])),
        min(sizes, key=lambda photo: photo[1:]),
    ]
    infos, pixels = {}, 0
    for _, area, number in chosen:
        if len(infos) < 2 or pixels + area < ENOUGH:
            infos[number] = split.dataset.get_data_info(number)
            pixels += area
    infos = list(infos.values())
    return infos if len(infos) > 1 else infos * 2  # for batch norm


def _through_steps(
    place: str, cfg: list[ConfigDict], steps: list[Callable], info: dict
) -> dict | Finding | None:
    data = dict(info)
    for number, step in enumerate(steps):
        # A step may have put something in before it fails.
        before = dict(data) if isinstance(data, dict) else {}
        try:
            data = step(data)
        except (UserError, MemoryError):
            raise
        except Exception as error:
            photo = before.get('img_path')
            if not number and _loads(cfg[0]) and not _is_readable(photo):
                return None  # other checks report it
            fix = ''
            if 'img' not in before and not _loads(cfg[number]):
                fix = f'{LOAD} as the first step'
            message = f'{cfg[number].type} fails on a photo: {reason(error)}'
            return Finding('RUN002', f'{place}.{number}', message, fix)
        if data is None:
            return None  # MMEngine takes another photo in its place
    if isinstance(data, dict) and 'inputs' in data:
        return data
    last = bare_name(cfg[-1].get('type'))
    message = f'{last} as the last step gives no inputs for the model'
    fix = "dict(type='PackInputs') as the last step"
    return Finding('RUN002', f'{place}.{len(cfg) - 1}', message, fix)


def _loads(step: ConfigDict) -> bool:
    return bare_name(step.get('type')).startswith('Load')


def _is_readable(photo: str | None) -> bool:
    try:
        with Image.open(Path(photo), formats=FORMATS) as image:
            image.load()
    except Exception:
        return False
    return True


def _collate(
    ctx: CheckContext,
    loader: str,
    place: str,
    samples: list[dict],
) -> Iterator[Finding]:
    settled = ctx.cfg[loader]
    if not samples:
        return None
    if settled.get('batch_size') == 1:
        samples = samples[:1] * 2
    collate = dict(settled.get('collate_fn') or {'type': 'default_collate'})
    kind = collate.pop('type')
    function = FUNCTIONS.get(kind) if isinstance(kind, str) else kind
    try:
        function(samples, **collate)
    except Exception as error:
        shapes = {tuple(getattr(s['inputs'], 'shape', ())) for s in samples}
        sizes = sorted(' x '.join(map(str, shape[1:])) for shape in shapes)
        message = f'photos cannot be batched: {reason(error)}'
        if len(sizes) > 1:
            message = (
                f'photos of different sizes cannot be batched, such as '
                f'{sizes[0]} and {sizes[1]}'
            )
        fix = 'a resize or crop to one size before the last step'
        yield Finding('RUN003', place, message, fix)
        return None
    # Batch norm has no statistics of one photo while training.
    count = 2 if loader == 'train_dataloader' else 1
    return function(samples[:count], **collate)
