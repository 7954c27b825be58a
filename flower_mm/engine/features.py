"""The features of photos: what the last layer of a model gets as input."""

import copy
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, DefaultSampler, default_collate
from mmengine.registry import TRANSFORMS
from torch import Tensor, nn
from torch.utils.data import ConcatDataset, DataLoader, Subset

from flower_mm.datasets.load_photo import as_load_photo
from flower_mm.models.structure import inputs_of


@torch.no_grad()
def features_of(
    model: nn.Module,
    layer: nn.Module,
    batches: DataLoader,
    precision: Callable[[], AbstractContextManager],
) -> Generator[tuple[Tensor, Tensor], None, None]:
    """Yield the inputs of the layer, and the labels, batch by batch."""
    preprocessor = model.get_submodule('data_preprocessor')
    was_training = model.training
    model.eval()
    try:
        with inputs_of(layer) as inputs:
            for batch in batches:
                data = preprocessor(batch, training=False)
                with precision():
                    model(data['inputs'], mode='tensor')
                labels = torch.cat([s.gt_label for s in data['data_samples']])
                features = inputs.pop()
                yield features, labels.to(features.device)
    finally:
        model.train(was_training)


def plain_photos(
    dataset: Any, cfg: Config, most: int | None = None, seed: int = 0
) -> Any:
    """The photos of a dataset, each once, prepared as for validation.

    Of more than `most`, that many are drawn at random.
    """
    loader = cfg.get('val_dataloader') or cfg.test_dataloader
    steps = [TRANSFORMS.build(step) for step in loader.dataset.pipeline]
    photos = _seen_by(dataset, Compose(list(map(as_load_photo, steps))))
    if most is None or len(photos) <= most:
        return photos
    drawn = np.random.default_rng(seed).permutation(len(photos))
    return Subset(photos, np.sort(drawn[:most]).tolist())


def plain_batches(photos: Any, cfg: Config, workers: int) -> DataLoader:
    """This process's share of the photos, in batches of validation."""
    loader = cfg.get('val_dataloader') or cfg.test_dataloader
    return DataLoader(
        photos,
        batch_size=loader.batch_size,
        sampler=DefaultSampler(photos, shuffle=False, round_up=False),
        num_workers=workers,
        collate_fn=default_collate,
    )


def _seen_by(dataset: Any, pipeline: Compose) -> Any:
    """The photos of a dataset, each once, with another pipeline."""
    if hasattr(dataset, 'datasets'):  # joined
        return ConcatDataset(
            [_seen_by(each, pipeline) for each in dataset.datasets]
        )
    if hasattr(dataset, 'dataset'):  # repeated or balanced
        return _seen_by(dataset.dataset, pipeline)
    view = copy.copy(dataset)
    view.pipeline = pipeline
    return view
