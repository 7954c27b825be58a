"""The dataset of training, validation and test."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from mmengine.dataset import Compose
from mmpretrain.datasets import BaseDataset

from flower_mm.annotations import (
    iter_annotations,
    photos_folder,
    read_classes,
)
from flower_mm.commands import command
from flower_mm.datasets.augmentation_seed import drawing
from flower_mm.datasets.decoded_cache import (
    DecodedPhotos,
    open_cache,
    require_side,
    shrink,
)
from flower_mm.datasets.load_photo import use_decoder
from flower_mm.datasets.packed_infos import PackedInfos
from flower_mm.decoding import BadPhotoError
from flower_mm.errors import UserError
from flower_mm.layout import DatasetDir
from flower_mm.registry import DATASETS
from flower_mm.shard_index import ShardError

# A split of any size may have this number of broken photos, a larger one a
# tenth. With more the disk is probably broken.
FEW = 3


class BrokenPhotoError(UserError):
    """A photo that cannot be loaded."""


@DATASETS.register_module()
class FlowerDataset(BaseDataset):
    """A split of a folder that `flower-mm prepare` wrote.

    The classes are those of classes.txt, in its order. The annotation file is
    validated when the dataset is built. The augmentation of a photo is a
    function of (seed, epoch, index).

    Args:
        data_root: The folder with classes.txt, train.txt and train/.
        split: The name of the split, of its list and of its folder.
        ann_file: A list other than that of the split, relative to
            `data_root`.
        broken: The action for a photo that cannot be loaded: 'stop', or in
            training 'skip', which takes another photo of its class.
        decode_once: Keep the decoded photos in a file in the dataset, larger
            ones reduced to this shorter side; 0 decodes them in each epoch.
            Photos that are not reduced have bit-identical pixels. Reducing
            averages areas, which differs from bilinear resizing alone: by 3.9
            of 255 in the mean for photos four times as large with a grain of
            8 grey levels.
        kwargs: The arguments of MMPretrain's BaseDataset, such as `pipeline`.
    """

    data_list: list[dict] | PackedInfos

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
                "invalid broken of a dataset: expected 'stop' or 'skip', got "
                f'{broken!r}'
            )
        self.split = split
        self.decode_once = require_side(decode_once)
        self.skips = broken == 'skip' and not kwargs.get('test_mode')
        # In shared memory, so that persistent workers see a new epoch.
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
        # 1 for each skipped photo; in shared memory, since workers set it.
        self.skipped = torch.zeros(len(self), dtype=torch.uint8)
        self.skipped.share_memory_()

    def load_data_list(self) -> list[dict] | PackedInfos:
        folder = Path(self.img_prefix)
        photos = iter_annotations(
            Path(self.ann_file),
            folder,
            list(self.CLASSES),
            # A run that skipped a photo can be resumed after its deletion.
            may_lack=self.skips,
            root=Path(self.data_root),
        )
        infos = (
            {'img_path': str(folder / photo.name), 'gt_label': photo.label}
            for photo in photos
        )
        if self.serialize_data and self._indices is None:
            return PackedInfos(infos)
        return list(infos)

    def _serialize_data(self) -> tuple[np.ndarray, np.ndarray]:
        if isinstance(self.data_list, PackedInfos):
            packed, self.data_list = self.data_list, []
            return packed.arrays()
        return super()._serialize_data()

    def get_subset_(self, indices: Sequence[int] | int) -> None:
        super().get_subset_(indices)
        self.decoded = None  # the photos have other indices

    def get_subset(self, indices: Sequence[int] | int) -> 'FlowerDataset':
        subset = super().get_subset(indices)
        subset.decoded = None
        return subset

    def set_epoch(self, seed: int, epoch: int, epochs: int = 0) -> None:
        """Set the key of the random augmentation parameters."""
        self._now[0], self._now[1], self._now[2] = seed, epoch, epochs

    def skipped_photos(self) -> list[str]:
        """Return the names of the skipped photos, as `--check` prints them."""
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
        """Raise UserError if more than a tenth of the photos were skipped."""
        count = int(self.skipped.sum())
        if count > max(FEW, len(self) // 10):
            raise UserError(
                f'too many to skip: {count} of the {len(self)} photos in '
                f'{self.ann_file} are broken.\n{last}' + self._advice
            )

    @property
    def now(self) -> tuple[int, int, int]:
        """The seed, the epoch and the number of epochs."""
        seed, epoch, epochs = self._now.tolist()
        return seed, epoch, epochs

    def prepare_data(self, idx: int) -> dict:
        seed, epoch, epochs = self.now
        with drawing(seed, epoch, idx):
            photo = self.load(idx)
            photo['progress'] = epoch / epochs if epochs else 0.0
            return Compose(self.pipeline.transforms[1:])(photo)

    def load(self, idx: int) -> dict:
        """Read this photo, or another of its class if it is skipped."""
        for candidate in self.candidates(idx):
            try:
                return self._read(candidate)
            except ShardError as error:
                # `message_of` finds the text of this type in a worker's.
                raise UserError(str(error)) from error
            except BrokenPhotoError as error:
                if not self.skips:
                    advice = self._advice
                    if not self.test_mode:
                        advice += '\nTo train without them: --skip-broken'
                    raise UserError(f'{error}\n{advice}') from error
                self.skipped[candidate] = 1
                self.require_few_skipped(f'The last one: {error}\n')
        raise UserError(
            'all photos of the class '
            f'{self.CLASSES[self._labels[idx]]} are broken.\n' + self._advice
        )

    def candidates(self, idx: int) -> Iterator[int]:
        """Yield this photo, then others of its class in random order."""
        yield idx
        others = np.flatnonzero(self._labels == self._labels[idx])
        # numpy is seeded for this photo and epoch.
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
            # The same pixels as in the file.
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
                return None  # reported when it is loaded

        return open_cache(
            Path(self.data_root),
            self.split,
            [self.get_data_info(idx)['img_path'] for idx in range(len(self))],
            self.decode_once,
            load,
            repr(steps[0]),
        )

    @property
    def _advice(self) -> str:
        return 'List the broken photos: ' + command(
            'prepare', '--check', self.data_root
        )


def read_photo(steps: list, info: dict) -> dict:
    """Run the first step of a pipeline, which reads the file.

    Its exceptions mean a broken photo, except for a lack of memory and for a
    missing key, which means that the step does not read files.
    """
    path = info['img_path']
    try:
        photo = Compose(steps)(info)
    except (MemoryError, ShardError):
        raise
    except BadPhotoError as error:
        raise BrokenPhotoError(
            f'{path} could not be loaded: {error}'
        ) from error
    except Exception as error:
        if isinstance(error, KeyError) and error.args[0] not in info:
            raise UserError(
                'invalid first step of the pipeline: expected '
                f'LoadImageFromFile, got {type(steps[0]).__name__}, which '
                f'needs {error}'
            ) from error
        raise BrokenPhotoError(
            f'{path} could not be loaded: '
            f'{type(error).__name__}: {str(error)[:200]}'
        ) from error
    if photo is None:
        raise BrokenPhotoError(f'{path} could not be loaded: empty file')
    return photo


def flower_datasets(dataset: object) -> Iterator[FlowerDataset]:
    """Yield the datasets inside wrappers such as ClassBalancedDataset."""
    if isinstance(dataset, FlowerDataset):
        yield dataset
    for inner in getattr(
        dataset, 'datasets', [getattr(dataset, 'dataset', 0)]
    ):
        if inner:
            yield from flower_datasets(inner)
