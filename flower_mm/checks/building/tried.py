"""Do real photos get through the pipelines, and out of them in one size?

Otherwise a worker of the loader tells, in the middle of training.
"""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.registry import TRANSFORMS, init_default_scope
from PIL import Image

from flower_mm.checks.building.assemble import reason
from flower_mm.checks.case import Case, Split
from flower_mm.checks.finding import Finding, stop
from flower_mm.checks.quiet import quiet
from flower_mm.config import LOADERS
from flower_mm.datasets.augmentation_seed import drawing
from flower_mm.datasets.load_photo import as_load_photo
from flower_mm.decoding import FORMATS
from flower_mm.errors import UserError

SAMPLE = 50  # photos whose headers are read, for the extremes among them
ENOUGH = 8e6  # pixels to load, beyond those of two photos
LOAD = "dict(type='LoadImageFromFile')"
PACK = "dict(type='PackInputs')"
# Wrappers that hand on what the dataset inside them gives.
PASSING = (
    'RepeatDataset',
    'ClassBalancedDataset',
    'ConcatDataset',
    'KFoldDataset',
)


class _StepError(Exception):
    """A step of a pipeline that a photo does not get through."""

    def __init__(self, number: int, data: dict, why: Exception) -> None:
        super().__init__(number)
        self.number, self.data, self.why = number, data, why


def check(case: Case) -> Iterator[Finding]:
    init_default_scope(case.settled.get('default_scope', 'flower_mm'))
    told = set()  # the same steps are often those of several loaders
    for loader in LOADERS[:2]:
        if loader not in case.splits:
            continue
        photos = _extremes(case.splits[loader])
        for place, pipeline, steps in _pipelines(case, loader):
            found = _try(case, place, pipeline, steps, photos)
            what = found and found.what.partition(':')[0]
            if what and what not in told:
                told.add(what)
                yield found


def _pipelines(
    case: Case, loader: str
) -> Iterator[tuple[str, list[ConfigDict], list[Callable]]]:
    """Each pipeline of a loader with its place, as far as it can be built."""
    for place, dataset in case.parts(loader):
        inside = dataset.get('dataset') or dataset.get('datasets')
        if inside:
            kind = _name(dataset).rpartition('.')[2]
            if kind not in PASSING or dataset.get('pipeline'):
                return
        elif dataset.get('pipeline'):
            steps = _built(dataset)
            if steps:
                yield f'{place}.pipeline', dataset.pipeline, steps


def _built(dataset: ConfigDict) -> list[Callable]:
    try:
        with (
            quiet(),
            warnings.catch_warnings(),
            TRANSFORMS.switch_scope_and_registry(
                dataset.get('_scope_')
            ) as registry,
        ):
            warnings.simplefilter('ignore')
            steps = [registry.build(dict(step)) for step in dataset.pipeline]
            return [as_load_photo(step) for step in steps]
    except Exception:
        return []  # told where each step is built alone


def _extremes(split: Split) -> list[dict]:
    """The narrowest, the widest and the smallest of a few photos.

    Two of them differ wherever photos do.
    """
    found = []
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
            continue  # told with the photos
        found.append((width / height, width * height, number))
    if not found:
        return []
    chosen = [
        min(found),
        max(found, key=lambda photo: (photo[0], -photo[1])),
        min(found, key=lambda photo: photo[1:]),
    ]
    infos, pixels = {}, 0
    for _, area, number in chosen:
        if len(infos) < 2 or pixels + area < ENOUGH:
            infos[number] = split.dataset.get_data_info(number)
            pixels += area
    return list(infos.values())


def _try(
    case: Case,
    place: str,
    pipeline: list[ConfigDict],
    steps: list[Callable],
    photos: list[dict],
) -> Finding | None:
    """What a pipeline does to a few photos, where it is not to be."""
    shapes, unread = [], []
    for number, info in enumerate(photos):
        try:
            with drawing(0, number), quiet(), warnings.catch_warnings():
                warnings.simplefilter('ignore')
                out = _through(steps, info)
        except _StepError as error:
            if not error.number and _loads(pipeline[0]):
                unread.append(error)  # the photo may be at fault
                continue
            return _failed(place, pipeline, error)
        if out is None:
            continue  # MMEngine takes another photo in its place
        if not isinstance(out, dict) or 'inputs' not in out:
            return _unpacked(place, pipeline, out)
        if isinstance(out['inputs'], torch.Tensor):
            shapes.append(tuple(out['inputs'].shape))
    whole = [error for error in unread if _is_whole(error.data['img_path'])]
    if whole and len(whole) == len(photos):
        return _failed(place, pipeline, whole[0])
    if len(set(shapes)) > 1:
        return _sizes(case, place, pipeline, shapes)
    return None


def _through(steps: list[Callable], info: dict) -> dict | None:
    data = dict(info)
    for number, step in enumerate(steps):
        # A step may have put something in before it fails.
        before = dict(data) if isinstance(data, dict) else {}
        try:
            data = step(data)
        except (UserError, MemoryError):
            raise
        except Exception as error:
            raise _StepError(number, before, error) from error
        if data is None:
            return None
    return data


def _loads(step: ConfigDict) -> bool:
    return _name(step).rpartition('.')[2].startswith('Load')


def _name(part: ConfigDict) -> str:
    """Its type, which in configs of the new style is a class."""
    kind = part.get('type')
    return getattr(kind, '__name__', str(kind))


def _is_whole(photo: str) -> bool:
    try:
        with Image.open(Path(photo), formats=FORMATS) as image:
            image.load()
    except Exception:
        return False
    return True


# --- what is said ------------------------------------------------------------


def _failed(
    place: str, pipeline: list[ConfigDict], error: _StepError
) -> Finding:
    step = pipeline[error.number]
    kind = _name(step)
    image = error.data.get('img')
    first = pipeline[0]
    mend = f'settings with which {kind} takes what the steps before it give'
    if image is None and not _loads(step):
        mend = f'{LOAD} as the first step'
    elif kind.startswith('torchvision/') and isinstance(image, np.ndarray):
        mend = (
            "dict(type='NumpyToPIL', to_rgb=True) before the steps of "
            "torchvision, and dict(type='PILToNumpy', to_bgr=True) after them"
        )
    elif (
        first.get('to_float32')
        and isinstance(image, np.ndarray)
        and image.dtype == np.float32
    ):
        mend = (
            f'--cfg-options {place}.0.to_float32=False, for {kind} takes '
            'photos of whole numbers'
        )
    return stop(
        f'A photo does not get through {kind}: {reason(error.why)}',
        f'{place}.{error.number}',
        mend,
    )


def _unpacked(place: str, pipeline: list[ConfigDict], out: object) -> Finding:
    last = _name(pipeline[-1])
    if isinstance(out, dict) and 'img' not in out:
        return stop(
            'No step of the pipeline loads the photo.',
            f'{place}.0',
            f'{LOAD} as the first step',
        )
    return stop(
        f'The pipeline ends with {last}, and what it gives is not packed for '
        'the model.',
        f'{place}.{len(pipeline) - 1}',
        f'{PACK} as the last step',
    )


def _sizes(
    case: Case, place: str, pipeline: list[ConfigDict], shapes: list[tuple]
) -> Finding | None:
    loader = place.partition('.')[0]
    cfg = case.settled[loader]
    collate = (cfg.get('collate_fn') or {}).get('type')
    # A photo on its own is a batch; other functions may fill photos up.
    if cfg.get('batch_size') == 1 or collate != 'default_collate':
        return None
    one, two, *_ = sorted({' x '.join(map(str, s[1:])) for s in shapes})
    side = min(*case.size, *(s for shape in shapes for s in shape[-2:]))
    last = _name(pipeline[-1])
    crops = [
        name
        for name in map(_name, pipeline)
        if name.rpartition('.')[2] in ('CenterCrop', 'RandomCrop')
    ]
    if crops:
        # The photo is smaller than what is cut out of it.
        mend = (
            f"dict(type='ResizeEdge', scale=…, edge='short') before "
            f'{crops[0]}, no smaller than what that cuts out'
        )
    elif loader == 'train_dataloader':
        mend = f"dict(type='RandomResizedCrop', scale={side}) before {last}"
    else:
        mend = f"dict(type='CenterCrop', crop_size={side}) before {last}"
    return stop(
        f'{loader} gives photos of different sizes, such as {one} and {two}, '
        'which make no batch.',
        place,
        mend,
    )
