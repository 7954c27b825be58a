"""The dataset that training, validation and test read."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from mmengine.dataset import Compose
from mmpretrain.datasets import BaseDataset

from flower_mm.annotations import (
    photos_folder,
    read_annotations,
    read_classes,
)
from flower_mm.commands import command
from flower_mm.datasets.augmentation_seed import drawing
from flower_mm.datasets.decoded_cache import (
    DecodedPhotos,
    decoded,
    require_side,
    shrink,
)
from flower_mm.datasets.load_photo import use_decoder
from flower_mm.decoding import BadPhotoError
from flower_mm.errors import UserError
from flower_mm.layout import DatasetDir
from flower_mm.registry import DATASETS

# That many photos may break in a split of any size; in a larger one a tenth.
# With more of them it is the disk that broke.
FEW = 3


class BrokenPhotoError(UserError):
    """A photo that cannot be loaded."""


@DATASETS.register_module()
class FlowerDataset(BaseDataset):
    """A folder that `tools/prepare_dataset.py` made, one split of it.

    The classes are those of classes.txt, in its order. The annotation file
    is checked whole when the dataset is built. A photo's augmentation is a
    function of (seed, epoch, index) alone.

    Args:
        data_root: The folder with classes.txt, train.txt, train/ and so on.
        split: Which split: it names both `split`.txt and the folder.
        ann_file: Another annotation file than `split`.txt, relative to
            `data_root`.
        broken: What to do about a photo that can no longer be loaded: 'stop',
            or, while training, 'skip' it: another photo of its class stands
            in for it, and `skipped` has it.
        decode_once: Keep the photos decoded in a file beside the dataset,
            shrunk to this shorter side where they are larger; 0 decodes
            them each time. Photos that are not larger give the same pixels
            bit for bit. Larger ones are averaged over areas first, and
            differ then from bilinear resizing alone: those four times as
            large, with grain of 8 grey levels, by 3.9 of 255 in the mean.
        kwargs: What MMPretrain's BaseDataset takes, `pipeline` above all.
    """

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        ann_file: str = '',
        broken: str = 'stop',
        decode_once: int | None = 0,
        **kwargs,
    ) -> None:
        if broken not in ('stop', 'skip'):
            raise UserError(
                f"a dataset's `broken` is 'stop' or 'skip', not {broken!r}"
            )
        self.split = split
        self.decode_once = require_side(decode_once)
        self.skips = broken == 'skip' and not kwargs.get('test_mode')
        # Shared memory: workers that outlive an epoch see the next one.
        self._now = torch.zeros(3, dtype=torch.int64)
        self._now.share_memory_()
        super().__init__(
            ann_file=ann_file or DatasetDir.list_of(split),
            data_root=data_root,
            data_prefix=str(photos_folder(Path(data_root), split).absolute()),
            metainfo={'classes': read_classes(Path(data_root))},
            **kwargs,
        )
        use_decoder(self)
        self.decoded = self._decode() if self.decode_once else None
        # A byte a photo, 1 for those skipped; shared, for workers tell here.
        self.skipped = torch.zeros(len(self), dtype=torch.uint8)
        self.skipped.share_memory_()

    def load_data_list(self) -> list[dict]:
        folder = Path(self.img_prefix)
        photos = read_annotations(
            Path(self.ann_file),
            folder,
            list(self.CLASSES),
            # A run that skipped a photo can be resumed without it.
            may_lack=self.skips,
            root=Path(self.data_root),
        )
        return [
            {'img_path': str(folder / photo.name), 'gt_label': photo.label}
            for photo in photos
        ]

    def get_subset_(self, indices: Sequence[int] | int) -> None:
        super().get_subset_(indices)
        self.decoded = None  # its photos have other numbers

    def get_subset(self, indices: Sequence[int] | int) -> 'FlowerDataset':
        subset = super().get_subset(indices)
        subset.decoded = None
        return subset

    def set_epoch(self, seed: int, epoch: int, epochs: int = 0) -> None:
        """Say which run and epoch, of how many, the next draws belong to."""
        self._now[0], self._now[1], self._now[2] = seed, epoch, epochs

    def skipped_photos(self) -> list[str]:
        """Name the photos that were skipped so far, as `--check` does."""
        folder = Path(self.img_prefix)
        paths = (
            Path(self.get_data_info(idx)['img_path'])
            for idx in self.skipped.nonzero().flatten().tolist()
        )
        return [
            f'{self.split}/{path.relative_to(folder).as_posix()}'
            for path in paths
        ]

    def require_few_skipped(self, last: str = '') -> None:
        """Stop where so many photos were skipped that more must be wrong."""
        count = int(self.skipped.sum())
        if count > max(FEW, len(self) // 10):
            raise UserError(
                f'{count} of the {len(self)} photos that {self.ann_file} '
                f'lists could not be loaded, too many to skip.\n{last}'
                + self._advice
            )

    @property
    def now(self) -> tuple[int, int, int]:
        """Which seed, epoch, and number of epochs draws belong to."""
        seed, epoch, epochs = self._now.tolist()
        return seed, epoch, epochs

    def prepare_data(self, idx: int) -> dict:
        seed, epoch, epochs = self.now
        with drawing(seed, epoch, idx):
            photo = self.load(idx)
            photo['progress'] = epoch / epochs if epochs else 0.0
            return Compose(self.pipeline.transforms[1:])(photo)

    def load(self, idx: int) -> dict:
        """Read this photo or, if it is to be skipped, another of its class."""
        for candidate in self.candidates(idx):
            try:
                return self._read(candidate)
            except BrokenPhotoError as error:
                if not self.skips:
                    advice = self._advice
                    if not self.test_mode:
                        advice += '\nTo train without them: --skip-broken'
                    raise UserError(f'{error}\n{advice}') from error
                self.skipped[candidate] = 1
                self.require_few_skipped(f'The last: {error}\n')
        raise UserError(
            'no photo of the class '
            f'{self.CLASSES[self._labels[idx]]} could be loaded.\n'
            + self._advice
        )

    def candidates(self, idx: int) -> Iterator[int]:
        """This photo and, in an order that is drawn, others of its class."""
        yield idx
        others = np.flatnonzero(self._labels == self._labels[idx])
        # numpy is seeded for this photo in this epoch.
        yield from np.random.permutation(others[others != idx]).tolist()

    @cached_property
    def _labels(self) -> np.ndarray:
        return self.get_gt_labels()

    def _read(self, idx: int) -> dict:
        info = self.get_data_info(idx)
        pixels = self.decoded[idx] if self.decoded else None
        if pixels is None:
            info = read_photo(self.pipeline.transforms[:1], info)
            if not self.decoded:
                return info
            # As the file would have it.
            pixels = shrink(info['img'], self.decode_once)
        info['img'] = pixels
        info['img_shape'] = info['ori_shape'] = pixels.shape[:2]
        return info

    def _decode(self) -> DecodedPhotos | None:
        steps = self.pipeline.transforms[:1]

        def load(idx: int) -> np.ndarray | None:
            try:
                return read_photo(steps, self.get_data_info(idx))['img']
            except UserError:
                return None  # told when it is its turn

        return decoded(
            Path(self.data_root),
            self.split,
            [self.get_data_info(idx)['img_path'] for idx in range(len(self))],
            self.decode_once,
            load,
            repr(steps[0]),
        )

    @property
    def _advice(self) -> str:
        return 'See which photos are broken: ' + command(
            'prepare', '--check', self.data_root
        )


def read_photo(steps: list, info: dict) -> dict:
    """Do a pipeline's first step, the only one that sees the file.

    What the others raise is not the photo's fault, nor is full memory, nor
    that this step is none that loads, and asks for what is not there yet.
    """
    path = info['img_path']
    try:
        photo = Compose(steps)(info)
    except MemoryError:
        raise
    except BadPhotoError as error:
        raise BrokenPhotoError(
            f'{path} could not be loaded: {error}'
        ) from error
    except Exception as error:
        if isinstance(error, KeyError) and error.args[0] not in info:
            raise UserError(
                f'the first step of the pipeline is {type(steps[0]).__name__},'
                f" which asks for {error}: put dict(type='LoadImageFromFile') "
                'before it'
            ) from error
        raise BrokenPhotoError(
            f'{path} could not be loaded: '
            f'{type(error).__name__}: {str(error)[:200]}'
        ) from error
    if photo is None:
        raise BrokenPhotoError(f'{path} could not be loaded: it is empty')
    return photo


def flower_datasets(dataset: object) -> Iterator[FlowerDataset]:
    """Look through wrappers such as ClassBalancedDataset."""
    if isinstance(dataset, FlowerDataset):
        yield dataset
    for inner in getattr(
        dataset, 'datasets', [getattr(dataset, 'dataset', 0)]
    ):
        if inner:
            yield from flower_datasets(inner)
