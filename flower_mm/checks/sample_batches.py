"""A small batch of a data loader: the most unlike photos, step by step."""

import warnings
from collections.abc import Callable, Iterator

from mmengine.config import ConfigDict
from mmengine.registry import FUNCTIONS, TRANSFORMS
from PIL import Image

from flower_mm import photo_bytes
from flower_mm.checks.building import build_error, quiet, reason
from flower_mm.checks.context import CheckContext, Split
from flower_mm.checks.finding import Finding, FindingError
from flower_mm.config import bare_name
from flower_mm.datasets.augmentation_seed import drawing
from flower_mm.datasets.load_photo import as_load_photo
from flower_mm.decoding import PILLOW_FORMATS
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


def sample_batch(ctx: CheckContext, loader: str) -> dict | None:
    """Return a batch of a data loader, None where it cannot be known.

    Raises a FindingError for a step that fails.
    """
    batch = None
    for place, dataset in _datasets(ctx, loader):
        steps = _build_steps(ctx, place, dataset)
        if loader == 'test_dataloader':
            continue  # training does not read the test photos
        samples = []
        for number, info in enumerate(_extremes(ctx.splits[loader])):
            with drawing(0, number), quiet():
                sample = _through_steps(place, dataset.pipeline, steps, info)
            if sample is not None:
                samples.append(sample)
        if samples:
            batch = _collate(ctx, loader, place, samples)
    return batch


def _datasets(
    ctx: CheckContext, loader: str
) -> Iterator[tuple[str, ConfigDict]]:
    """Yield the datasets with pipelines, each with the pipeline's place."""
    for place, dataset in ctx.parts(loader):
        pipeline = dataset.get('pipeline')
        if dataset.get('dataset') or dataset.get('datasets'):
            if bare_name(dataset.get('type')) not in PASSING or pipeline:
                return
        elif pipeline:
            yield f'{place}.pipeline', dataset


def _build_steps(
    ctx: CheckContext, place: str, dataset: ConfigDict
) -> list[Callable]:
    steps = []
    for number, step in enumerate(dataset.pipeline):
        scope = dataset.get('_scope_')
        with TRANSFORMS.switch_scope_and_registry(scope) as registry, quiet():
            if error := build_error(registry.build, step):
                raise ctx.build_error(f'{place}.{number}', step, error)
            steps.append(as_load_photo(registry.build(dict(step))))
    return steps


def _extremes(split: Split) -> list[dict]:
    """Return the narrowest, the widest and the smallest of some photos.

    At least two of them differ if any photos do.
    """
    sizes = []
    step = -(-len(split.photos) // SAMPLE)
    for number in range(0, len(split.photos), step):
        size = size_of(split.photos[number])
        if size:
            width, height = size
            sizes.append((width / height, width * height, number))
    if not sizes:
        return []
    chosen = [
        min(sizes),
        max(sizes, key=lambda photo: (photo[0], -photo[1])),
        min(sizes, key=lambda photo: photo[1:]),
    ]
    infos: dict[int, dict] = {}
    pixels = 0
    for _, area, number in chosen:
        if len(infos) < 2 or pixels + area < ENOUGH:
            infos[number] = split.dataset.get_data_info(number)
            pixels += area
    several = list(infos.values())
    return several if len(several) > 1 else several * 2  # for batch norm


def size_of(photo: str) -> tuple[int, int] | None:
    """Return width and height; None if the header cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            with (
                photo_bytes.opened(photo) as file,
                Image.open(file, formats=PILLOW_FORMATS) as image,
            ):
                return image.size
    except (OSError, ValueError, SyntaxError):
        return None  # other checks report it


def _through_steps(
    place: str, cfg: list[ConfigDict], steps: list[Callable], info: dict
) -> dict | None:
    """Return what the pipeline makes of a photo, None if it takes another."""
    data = dict(info)
    for number, step in enumerate(steps):
        # A step may have put something in before it fails.
        before = dict(data) if isinstance(data, dict) else {}
        try:
            data = step(data)
        except (UserError, MemoryError):
            raise
        except Exception as error:
            loads = bare_name(cfg[number].get('type')).startswith('Load')
            if not number and loads and not _is_readable(info['img_path']):
                return None  # other checks report it
            fix = ''
            if 'img' not in before and not loads:
                fix = f'{LOAD} as the first step'
            message = f'{cfg[number].type} fails on a photo: {reason(error)}'
            finding = Finding('RUN002', f'{place}.{number}', message, fix)
            raise FindingError(finding) from error
        if data is None:
            return None  # MMEngine takes another photo in its place
    if isinstance(data, dict) and 'inputs' in data:
        return data
    last = bare_name(cfg[-1].get('type'))
    message = f'{last} as the last step gives no inputs for the model'
    fix = "dict(type='PackInputs') as the last step"
    where = f'{place}.{len(cfg) - 1}'
    raise FindingError(Finding('RUN002', where, message, fix))


def _is_readable(photo: str) -> bool:
    try:
        with (
            photo_bytes.opened(photo) as file,
            Image.open(file, formats=PILLOW_FORMATS) as image,
        ):
            image.load()
    except Exception:
        return False
    return True


def _collate(
    ctx: CheckContext, loader: str, place: str, samples: list[dict]
) -> dict:
    cfg = ctx.cfg[loader]
    if cfg.get('batch_size') == 1:
        samples = samples[:1] * 2
    collate = dict(cfg.collate_fn)
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
        finding = Finding('RUN003', place, message, fix)
        raise FindingError(finding) from error
    # Batch norm has no statistics of one photo while training.
    count = 2 if loader == 'train_dataloader' else 1
    return function(samples[:count], **collate)
