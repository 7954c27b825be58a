"""What the checks look at: a config, its photos and its model, read once."""

import argparse
import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset
from mmengine.device import get_device
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, init_default_scope
from mmpretrain.models import BaseSelfSupervisor

from flower_mm.annotations import prepare_command
from flower_mm.checks.building import (
    ModelError,
    build_finding,
    build_model,
    quiet,
)
from flower_mm.checks.config_values import parts_of
from flower_mm.checks.finding import Finding, FindingError
from flower_mm.config import LOADERS, ResolvedRun, bare_name, datasets, walk
from flower_mm.engine.resolved_run import resolve_training
from flower_mm.errors import UserError
from flower_mm.launcher import processes
from flower_mm.registry import MODELS


@dataclass(frozen=True)
class Split:
    """The photos of one data loader, as its dataset lists them."""

    loader: str  # train_dataloader and so on
    photos: list[str]
    labels: np.ndarray
    classes: list[str]
    dataset: BaseDataset  # without a pipeline

    @property
    def name(self) -> str:
        return self.loader.removesuffix('_dataloader')


@dataclass
class CheckContext:
    """A training command before it starts.

    `as_read` is the config without command line and dataset. `thorough`
    allows checks that take seconds. The rehearsal notes the `metrics` of the
    validation by name, and the bytes of `activations` that training keeps for
    each photo.
    """

    args: argparse.Namespace
    as_read: Config
    run: ResolvedRun
    device: str
    thorough: bool = False
    metrics: frozenset[str] | None = None
    activations: float = 0.0

    @property
    def cfg(self) -> Config:
        return self.run.cfg

    @property
    def classes(self) -> list[str]:
        return list(self.run.classes)

    @property
    def root(self) -> Path:
        return self.run.data_root

    @property
    def prepare(self) -> str:
        """The command that prepares the dataset again."""
        return prepare_command(self.root)

    @cached_property
    def splits(self) -> dict[str, Split]:
        """The photos of each data loader.

        A test split that cannot be read is left out: training does not read
        it.
        """
        splits = {}
        for loader in LOADERS:
            if not self.cfg.get(loader):
                continue
            try:
                splits[loader] = self.read_split(loader)
            except UserError:
                if loader != 'test_dataloader':
                    raise
        return splits

    @property
    def train(self) -> Split:
        return self.splits['train_dataloader']

    @property
    def distinct_splits(self) -> list[Split]:
        """The splits; without a test split, testing reads val."""
        train, *others = self.splits.values()
        if len(others) == 2 and set(others[0].photos) == set(others[1].photos):
            others.pop()
        return [train, *others]

    def read_split(self, loader: str) -> Split:
        """Build the dataset of a data loader and list its photos."""
        self.enter_scope()
        plain = copy.deepcopy(self.cfg[loader].dataset)
        for part in walk(plain):
            if 'pipeline' in part or 'data_root' in part:
                # Nothing is loaded here, and one process need not share it.
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
        except UserError as error:
            message, _, fix = str(error).partition('\n')
            raise FindingError(
                Finding('DATA004', self.list_of(loader), message, fix)
            ) from error
        except Exception as error:
            machine = (OSError, RuntimeError, MemoryError)
            if self.is_flower(loader) and isinstance(error, machine):
                raise
            wrong = self.build_error(f'{loader}.dataset', plain, error)
            if wrong.finding.code == 'RUN001':
                fix = self.as_prepared(loader)
                wrong = FindingError(replace(wrong.finding, fix=fix))
            raise wrong from error

    def build_error(
        self, place: str, part: object, error: Exception
    ) -> FindingError:
        given = self.args.cfg_options
        return FindingError(build_finding(self.cfg, given, place, part, error))

    def as_prepared(self, loader: str) -> str:
        """How a data loader reads what prepare_dataset.py wrote."""
        split = loader.removesuffix('_dataloader')
        return (
            f"{loader}.dataset=dict(_delete_=True, type='flower_mm."
            f"FlowerDataset', data_root=…, split='{split}', pipeline=…) reads "
            'a prepared folder'
        )

    def enter_scope(self) -> None:
        init_default_scope(self.cfg.get('default_scope', 'flower_mm'))

    @property
    def is_flower_run(self) -> bool:
        """Whether our Runner trains; MMEngine's has no hooks of ours."""
        return self.cfg.get('runner_type') == 'FlowerRunner'

    def is_flower(self, loader: str) -> bool:
        """Whether FlowerDataset reads, and checks, the list of photos."""
        return any(self.flowers(loader))

    def flowers(self, loader: str) -> Iterator[tuple[str, ConfigDict]]:
        """Yield each FlowerDataset of a data loader, inside wrappers too."""
        for place, part in self.parts(loader):
            if str(part.get('type')).endswith('FlowerDataset'):
                yield place, part

    def parts(self, loader: str) -> Iterator[tuple[str, ConfigDict]]:
        """Yield each dataset of a data loader, wrappers before others."""
        cfg = self.cfg.get(loader) or {}
        for place, part in parts_of(cfg.get('dataset'), f'{loader}.dataset'):
            if 'type' in part and '.pipeline.' not in place:
                yield place, part

    def steps(self, loader: str) -> Iterator[tuple[str, str, ConfigDict]]:
        """Yield place, class name and config of each pipeline step."""
        for place, part in self.parts(loader):
            for number, step in enumerate(part.get('pipeline') or []):
                name = bare_name(step.get('type'))
                yield f'{place}.pipeline.{number}', name, step

    def list_of(self, loader: str) -> str:
        """Return the file that lists the photos of a data loader."""
        for dataset in datasets(self.cfg, (loader,)):
            name = dataset.get('ann_file')
            if not name and str(dataset.type).endswith('FlowerDataset'):
                name = f'{dataset.get("split", "train")}.txt'
            if name:
                return str(Path(dataset.data_root) / name)
        return f'{loader}.dataset'

    @cached_property
    def size(self) -> tuple[int, int]:
        """Height and width of the training photos at the model's input."""
        height_width = (224, 224)
        for _, _, step in self.steps('train_dataloader'):
            if 'edge' in step:
                continue  # ResizeEdge leaves the other side open
            for size in sizes_of(step):
                height_width = size[-1], size[0]
        return height_width

    @cached_property
    def model(self) -> BaseModel:
        """The model, without initial weights."""
        self.enter_scope()
        cfg = copy.deepcopy(self.cfg.model)
        cfg.setdefault('data_preprocessor', self.cfg.data_preprocessor)
        try:
            return build_model(cfg)
        except ModelError as error:
            raise self.build_error(
                error.place, error.part, error.error
            ) from error

    @cached_property
    def processes(self) -> int:
        return processes(self.cfg.get('launcher', 'none'))

    @cached_property
    def batch(self) -> int:
        """Photos in an optimizer step, over all processes."""
        return (
            (self.cfg.train_dataloader.get('batch_size') or 1)
            * self.processes
            * self.cfg.optim_wrapper.get('accumulative_counts', 1)
        )

    @cached_property
    def iterations(self) -> int:
        """Batches an epoch, in each process."""
        loader = self.cfg.train_dataloader
        share = -(-len(self.train.photos) // self.processes)
        if loader.get('drop_last'):
            return max(1, share // loader.batch_size)
        return max(1, -(-share // loader.batch_size))


def open_context(
    cfg: Config,
    args: argparse.Namespace,
    thorough: bool = False,
    all_ranks: bool = False,
) -> CheckContext:
    """Resolve a training; see `run.examine` for the arguments."""
    kind = (cfg.get('model') or {}).get('type')
    kind = MODELS.get(kind) if isinstance(kind, str) else kind
    if isinstance(kind, type) and issubclass(kind, BaseSelfSupervisor):
        raise FindingError(
            Finding(
                'RUN001',
                'model.type',
                f'{kind.__name__} is trained without labels: expected a '
                'classifier',
                'the config of an ImageClassifier, which may load the '
                'weights of such a training',
            )
        )
    run = resolve_training(cfg, args, all_ranks)
    return CheckContext(args, cfg, run, get_device(), thorough)


def sizes_of(step: ConfigDict) -> Iterator[Sequence[int]]:
    """Yield the sizes in pixels of a step, width first, or one for both.

    GrowingCrop has several; the last one is that of the last epochs.
    """
    for side in step.get('scales') or []:
        yield [side]
    for key in ('scale', 'size', 'crop_size'):
        given = step.get(key)
        size = given if isinstance(given, (list, tuple)) else [given]
        # Other steps have a range of ratios under this name.
        if size and all(isinstance(side, int) for side in size):
            yield size
