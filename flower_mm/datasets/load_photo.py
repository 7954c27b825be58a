"""The first step of a pipeline, which decodes photos as inference does."""

from collections.abc import Iterator
from typing import Any

import mmengine.fileio
import numpy as np
from mmcv.transforms import LoadImageFromFile

from flower_mm import shards
from flower_mm.decoding import BadPhotoError, decode
from flower_mm.errors import UserError


class LoadPhoto(LoadImageFromFile):
    """LoadImageFromFile of MMCV with the decoder of flower_mm.

    Configs name LoadImageFromFile, which `use_decoder` replaces.
    """

    def transform(self, results: dict) -> dict | None:
        try:
            pixels = self.decode(self._bytes_of(results['img_path']))
        except (OSError, BadPhotoError):
            if self.ignore_empty:
                return None
            raise
        results['img'] = pixels
        results['img_shape'] = results['ori_shape'] = pixels.shape[:2]
        return results

    def decode(self, data: bytes, **kwargs) -> np.ndarray:
        """Return the pixels of the bytes of a file."""
        pixels = decode(data, self.color_type, self.imdecode_backend, **kwargs)
        return pixels.astype(np.float32) if self.to_float32 else pixels

    def _bytes_of(self, path: str) -> bytes:
        data = shards.read(path)
        if data is not None:
            return data
        if self.file_client_args is None:
            return mmengine.fileio.get(path, backend_args=self.backend_args)
        client = mmengine.fileio.FileClient.infer_client(
            self.file_client_args, path
        )
        return client.get(path)


def as_load_photo(step: Any) -> Any:
    """Convert MMCV's LoadImageFromFile to LoadPhoto; keep other steps."""
    if type(step) is not LoadImageFromFile:
        return step
    if step.imdecode_backend not in ('cv2', 'pillow', 'turbojpeg'):
        raise UserError(
            'invalid imdecode_backend of LoadImageFromFile: expected cv2 or '
            f'pillow, got {step.imdecode_backend!r}'
        )
    loader = LoadPhoto.__new__(LoadPhoto)
    loader.__dict__.update(vars(step))
    return loader


def use_decoder(dataset: Any) -> None:
    """Replace LoadImageFromFile in a dataset and inside wrappers."""
    for inner in _inner_datasets(dataset):
        use_decoder(inner)
    steps = getattr(getattr(dataset, 'pipeline', None), 'transforms', None)
    if isinstance(steps, list):
        steps[:] = map(as_load_photo, steps)


def _inner_datasets(dataset: Any) -> Iterator[Any]:
    yield from getattr(dataset, 'datasets', ())
    if getattr(dataset, 'dataset', None) is not None:
        yield dataset.dataset
