"""What the checks look at: a config, its photos and its model, read once."""

import argparse
import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from mmengine.config import Config, ConfigDict
from mmengine.registry import DATASETS, init_default_scope
from mmpretrain.models import BaseSelfSupervisor
from torch import nn
from torch.utils.data import Dataset

from flower_mm.checks.building.assemble import FoundError, assemble, reason
from flower_mm.checks.finding import Finding, stop
from flower_mm.checks.quiet import quiet
from flower_mm.config import LOADERS, datasets, settle, walk
from flower_mm.datasets.annotations import prepare_command, read_classes
from flower_mm.engine.distributed import processes
from flower_mm.errors import UserError
from flower_mm.registry import MODELS

# What FlowerDataset reads from its folder.
GIVEN = ('data_prefix', 'metainfo')


@dataclass(frozen=True)
class Split:
    """The photos of one loader, as its dataset finds them."""

    loader: str  # train_dataloader and so on
    photos: list[str]
    labels: np.ndarray
    classes: list[str]
    dataset: Dataset  # without a pipeline

    @property
    def name(self) -> str:
        return self.loader.removesuffix('_dataloader')


@dataclass
class Case:
    """A training command, before anything of it has begun.

    `cfg` is what would run, but for what classes.txt decides: that is in
    `settled`. `thorough` allows checks that take more than an instant.
    """

    args: argparse.Namespace
    cfg: Config
    device: str
    thorough: bool = False

    @cached_property
    def settled(self) -> Config:
        """The config with the number of classes in it, as it is built."""
        cfg = copy.deepcopy(self.cfg)
        kind = cfg.model.get('type')
        kind = MODELS.get(kind) if isinstance(kind, str) else kind
        if isinstance(kind, type) and issubclass(kind, BaseSelfSupervisor):
            finding = stop(
                f'{kind.__name__} learns from photos without labels, and what '
                'is trained here are classifiers.',
                'model.type',
                'a config of an ImageClassifier, which may begin with the '
                'weights that such a training left',
            )
            raise FoundError(finding)
        settle(cfg)
        return cfg

    @cached_property
    def classes(self) -> list[str]:
        """What classes.txt says."""
        return read_classes(self.root)

    @cached_property
    def root(self) -> Path:
        """The dataset folder of the training photos."""
        for dataset in datasets(self.cfg, ('train_dataloader',)):
            return Path(dataset.data_root)
        raise UserError('no dataset is named: --data-root FOLDER')

    @property
    def prepare(self) -> str:
        """The command that makes the dataset anew, from its photos."""
        return prepare_command(self.root)

    @cached_property
    def splits(self) -> dict[str, Split]:
        """The photos of each loader that the config has.

        What training needs and cannot be read raises its UserError; a test
        split that cannot be read is left out, for training does not ask.
        """
        found = {}
        for loader in LOADERS:
            if not self.settled.get(loader):
                continue
            try:
                found[loader] = self.read_split(loader)
            except UserError:
                if loader != 'test_dataloader':
                    raise
        return found

    def read_split(self, loader: str) -> Split:
        """Build a loader's dataset and list its photos."""
        init_default_scope(self.settled.get('default_scope', 'flower_mm'))
        plain = copy.deepcopy(self.settled[loader].dataset)
        for part in walk(plain):
            if 'pipeline' in part or 'data_root' in part:
                # Nothing is loaded here, and one process has no need to
                # share what it reads: that took a fifth of a second.
                part.update(pipeline=[], serialize_data=False)
                part.pop('decode_once', None)
        try:
            with quiet():
                dataset = DATASETS.build(plain)
            infos = [dataset.get_data_info(i) for i in range(len(dataset))]
            return Split(
                loader,
                [info['img_path'] for info in infos],
                np.array([info['gt_label'] for info in infos], dtype=int),
                list(dataset.metainfo.get('classes') or []),
                dataset,
            )
        except UserError:
            raise
        except Exception as error:
            kind = plain.get('type')
            what = f'{loader}.dataset ({kind}) cannot be read: {reason(error)}'
            if not self.is_flower(loader):
                # MMPretrain's datasets raise whatever they run into.
                raise UserError(
                    f'{what}\n{self.as_prepared(loader)}'
                ) from error
            if isinstance(error, (OSError, RuntimeError, MemoryError)):
                raise  # the machine's fault, which the run tells better
            finding = self.left_over or stop(
                what, f'{loader}.dataset', 'what FlowerDataset takes'
            )
            raise FoundError(finding) from error

    @cached_property
    def left_over(self) -> Finding | None:
        """Keys of another type of dataset that FlowerDataset sets itself."""
        left = [
            f'{place}.{key}'
            for loader in LOADERS
            if self.cfg.get(loader)
            for place, part in self.flowers(loader)
            for key in GIVEN
            if key in part
        ]
        if not left:
            return None
        loader = left[0].partition('.')[0]
        return stop(
            'FlowerDataset takes photos and classes from data_root and split '
            f'and cannot have beside them: {", ".join(left)}.',
            left[0],
            f'take it out. {self.as_prepared(loader)}',
        )

    def as_prepared(self, loader: str) -> str:
        """How a loader reads what tools/prepare_dataset.py made."""
        dataset = self.cfg[loader].dataset
        text = 'What tools/prepare_dataset.py made is read by: '
        if not any(key in dataset for key in (*GIVEN, 'ann_file')):
            option = f'{loader}.dataset.type=flower_mm.FlowerDataset'
            return f'{text}--cfg-options {option}'
        split = loader.removesuffix('_dataloader')
        return (
            f"{text}dataset=dict(type='flower_mm.FlowerDataset', data_root=…, "
            f"split='{split}', pipeline=…), with _delete_=True in it where "
            'a _base_ has the other keys'
        )

    @property
    def is_flower_run(self) -> bool:
        """Whether our Runner drives it; MMEngine's has no hooks of ours."""
        return self.cfg.get('runner_type') == 'FlowerRunner'

    def is_flower(self, loader: str) -> bool:
        """Whether a loader's list is read, and checked, by FlowerDataset."""
        return any(self.flowers(loader))

    def flowers(self, loader: str) -> Iterator[tuple[str, ConfigDict]]:
        """Each FlowerDataset of a loader and its place, inside wrappers."""
        for place, part in self.parts(loader):
            if str(part.get('type')).endswith('FlowerDataset'):
                yield place, part

    def parts(self, loader: str) -> Iterator[tuple[str, ConfigDict]]:
        """Each dataset of a loader and its place, wrappers before others."""
        waiting = [(f'{loader}.dataset', self.cfg[loader].dataset)]
        while waiting:
            place, part = waiting.pop()
            yield place, part
            if isinstance(part.get('dataset'), dict):
                waiting.append((f'{place}.dataset', part.dataset))
            for number, other in enumerate(part.get('datasets') or []):
                waiting.append((f'{place}.datasets.{number}', other))

    def list_of(self, loader: str) -> str:
        """Where the photos of a loader are listed, for findings."""
        for dataset in datasets(self.settled, (loader,)):
            name = dataset.get('ann_file')
            if not name and str(dataset.type).endswith('FlowerDataset'):
                name = f'{dataset.get("split", "train")}.txt'
            if name:
                return str(Path(dataset.data_root) / name)
        return f'{loader}.dataset'

    @cached_property
    def size(self) -> tuple[int, int]:
        """Height and width of what the model is given while training."""
        found = (224, 224)
        for dataset in walk(self.cfg.train_dataloader.dataset):
            for step in dataset.get('pipeline') or []:
                if 'edge' in step:
                    continue  # ResizeEdge leaves the other side open
                for size in sizes_of(step):
                    found = size[-1], size[0]
        return found

    @cached_property
    def model(self) -> nn.Module:
        """The model; its weights are whatever memory held."""
        init_default_scope(self.settled.get('default_scope', 'flower_mm'))
        cfg = copy.deepcopy(self.settled.model)
        cfg.setdefault('data_preprocessor', self.settled.data_preprocessor)
        return assemble(cfg)

    @cached_property
    def batch(self) -> int:
        """Photos in one step of the optimizer, over all processes."""
        return (
            (self.cfg.train_dataloader.get('batch_size') or 1)
            * processes(self.cfg.get('launcher', 'none'))
            * self.cfg.optim_wrapper.get('accumulative_counts', 1)
        )

    @cached_property
    def iterations(self) -> int:
        """Batches an epoch, in each process."""
        loader = self.cfg.train_dataloader
        photos = len(self.splits['train_dataloader'].photos)
        share = -(-photos // processes(self.cfg.get('launcher', 'none')))
        if loader.get('drop_last'):
            return max(1, share // loader.batch_size)
        return max(1, -(-share // loader.batch_size))


def sizes_of(step: ConfigDict) -> Iterator[Sequence[int]]:
    """Sizes in pixels that a step names, width first, or one for both sides.

    GrowingCrop has several; the last one is that of the last epochs.
    """
    for side in step.get('scales') or []:
        yield [side]
    for key in ('scale', 'size', 'crop_size'):
        given = step.get(key)
        size = given if isinstance(given, (list, tuple)) else [given]
        # Others have a range of ratios under this name.
        if size and all(isinstance(side, int) for side in size):
            yield size
