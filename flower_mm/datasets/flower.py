"""The dataset that training, validation and test read."""

import warnings
from pathlib import Path

import torch
from mmpretrain.datasets import BaseDataset

from flower_mm.datasets.annotations import (
    photos_folder,
    read_annotations,
    read_classes,
)
from flower_mm.datasets.draws import drawing
from flower_mm.errors import UserError
from flower_mm.registry import DATASETS

# mmcv says this for every ColorJitter, in every worker; nothing is amiss.
warnings.filterwarnings('ignore', "Only use 'alpha' for pillow backend")


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
        kwargs: What MMPretrain's BaseDataset takes, `pipeline` above all.
    """

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        ann_file: str = '',
        **kwargs,
    ) -> None:
        self.split = split
        # Shared memory: workers that outlive an epoch see the next one.
        self._seed_and_epoch = torch.zeros(2, dtype=torch.int64)
        self._seed_and_epoch.share_memory_()
        super().__init__(
            ann_file=ann_file or f'{split}.txt',
            data_root=data_root,
            data_prefix=str(photos_folder(Path(data_root), split).absolute()),
            metainfo={'classes': read_classes(Path(data_root))},
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        folder = Path(self.img_prefix)
        photos = read_annotations(
            Path(self.ann_file), folder, list(self.CLASSES)
        )
        return [
            {'img_path': str(folder / photo.name), 'gt_label': photo.label}
            for photo in photos
        ]

    def set_epoch(self, seed: int, epoch: int) -> None:
        """Say which run and epoch the next draws belong to."""
        self._seed_and_epoch[0] = seed
        self._seed_and_epoch[1] = epoch

    def prepare_data(self, idx: int) -> dict:
        seed, epoch = self._seed_and_epoch.tolist()
        try:
            with drawing(seed, epoch, idx):
                return super().prepare_data(idx)
        except Exception as error:
            raise self._explained(idx, error) from error

    def _explained(self, idx: int, error: Exception) -> Exception:
        """Tell a broken photo from a pipeline that cannot work."""
        info = self.get_data_info(idx)
        path = info['img_path']
        try:
            self.pipeline.transforms[0](info)
        except Exception as broken:
            return UserError(
                f'{path} could not be loaded: '
                f'{type(broken).__name__}: {str(broken)[:200]}\n'
                'See which photos are broken: python '
                f'tools/prepare_dataset.py --check --out {self.data_root}'
            )
        return error
