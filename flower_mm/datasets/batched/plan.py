"""What a pipeline does, translated for whole batches."""

from functools import partial

import torch
from mmcv.transforms import CenterCrop, RandomFlip, Resize
from mmpretrain.datasets.transforms import (
    ColorJitter,
    PackInputs,
    RandomErasing,
    RandomResizedCrop,
    ResizeEdge,
)
from torch import Tensor

from flower_mm.datasets.batched import change, look
from flower_mm.datasets.batched.draws import Draws
from flower_mm.datasets.batched.view import View
from flower_mm.datasets.loading import LoadPhoto, as_load_photo
from flower_mm.datasets.transforms import GrowingCrop, QuickJitter
from flower_mm.errors import UserError

LOOKS = {
    RandomResizedCrop: look.crop,
    GrowingCrop: look.crop,
    RandomFlip: look.flip,
    ResizeEdge: look.edge,
    Resize: look.resize,
    CenterCrop: look.centre,
}
CHANGES = {
    ColorJitter: change.jitter,
    QuickJitter: change.jitter,
    RandomErasing: change.erase,
}


class CannotError(UserError):
    """A loader that only ordinary workers can be."""


class Plan:
    """A pipeline between loading and packing, as what it does to a batch.

    Args:
        steps: Its transforms, built.
    """

    def __init__(self, steps: list) -> None:
        _require(len(steps) > 1, steps)
        first, *between, last = steps
        _require(
            type(as_load_photo(first)) is LoadPhoto and not first.to_float32,
            first,
        )
        _require(
            type(last) is PackInputs
            and last.input_key == 'img'
            and not last.algorithm_keys,
            last,
        )
        self._looks, self._changes = [], []
        for number, step in enumerate(between, 1):
            kind = type(step)
            if kind in CHANGES:
                done = partial(CHANGES[kind], step, number)
                self._changes.append(done)
                continue
            # A changed picture mirrored is a mirrored one changed.
            early = kind is RandomFlip or not self._changes
            _require(kind in LOOKS and early and _is_plain(step), step)
            self._looks.append(partial(LOOKS[kind], step, number))

    def view(self, sizes: Tensor, draws: Draws, progress: float) -> View:
        """What is seen of photos of these sizes (N x 2)."""
        view = View.whole(sizes)
        for step in self._looks:
            view = step(view, draws, progress)
        return view

    def size(self, sizes: Tensor, progress: float) -> list[int]:
        """Height and width that photos have in the end."""
        draws = Draws(0, 0, torch.zeros(len(sizes), dtype=torch.int64))
        return self.view(sizes, draws, progress).size[0].int().tolist()

    def require_one_size(self, sizes: Tensor) -> None:
        """Stop where photos of these sizes would make no batch."""
        draws = Draws(0, 0, torch.arange(len(sizes)))
        ends = self.view(sizes, draws, 0.0).size
        if len(ends.unique(dim=0)) > 1:
            raise CannotError(
                'the pipeline gives photos of different sizes, which make no '
                "batch.\nPut dict(type='RandomResizedCrop', scale=224) or a "
                'ResizeEdge before a CenterCrop into it'
            )

    def changed(self, photos: Tensor, draws: Draws) -> Tensor:
        for step in self._changes:
            photos = step(photos, draws)
        return photos


def _require(fits: bool, step: object) -> None:
    if not fits:
        text = ' '.join(str(step).split())
        raise CannotError(
            f'{text[:200]}: this step of a pipeline, or one with these '
            'settings at this place, cannot run on the device.\n'
            'Let workers load: on_device=False in that dataloader'
        )


def _is_plain(step: object) -> bool:
    """Whether a step has none of the settings that are unknown here."""
    return (
        getattr(step, 'interpolation', 'bilinear') == 'bilinear'
        and getattr(step, 'backend', 'cv2') == 'cv2'
        and getattr(step, 'scale', 0) is not None
        and not getattr(step, 'keep_ratio', False)
        and not getattr(step, 'auto_pad', False)
    )
