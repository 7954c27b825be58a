"""Photos as a training would augment them."""

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope

from flower_mm.config import datasets, read_config
from flower_mm.datasets.augmentation_seed import drawing
from flower_mm.datasets.flower_dataset import BrokenPhotoError, read_photo
from flower_mm.datasets.load_photo import as_load_photo
from flower_mm.engine.hooks.report import is_bgr
from flower_mm.errors import UserError
from flower_mm.packaged_configs import config_path
from flower_mm.prepare.photo import Photo
from flower_mm.registry import TRANSFORMS
from flower_mm.report.train_batch import PHOTOS, draw_sheet

SEED = 0


def augmented_batch(config: str, photos: Sequence[Photo]) -> bytes | None:
    """Return a JPEG of the first readable photos, None without any."""
    cfg = read_config(config_path(config))
    dataset = next(datasets(cfg, ('train_dataloader',)), None)
    if not dataset or not dataset.get('pipeline'):
        raise UserError(f'{config} has no pipeline of train')
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        steps = [as_load_photo(TRANSFORMS.build(s)) for s in dataset.pipeline]
    shown: list[np.ndarray] = []
    for i, photo in enumerate(photos):
        if len(shown) == PHOTOS:
            break
        info = {
            'img_path': photo.file,
            'gt_label': photo.label,
            'progress': 0.0,
        }
        with suppress(BrokenPhotoError):
            info = read_photo(steps[:1], info)
            with drawing(SEED, 0, i):
                inputs = Compose(steps[1:])(info)['inputs']
            pixels = inputs.permute(1, 2, 0).numpy()
            shown.append(pixels[..., ::-1] if is_bgr(cfg) else pixels)
    return draw_sheet(shown) if shown else None
