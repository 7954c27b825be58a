"""Train and test: importing this registers the engine's parts in MMEngine."""

from flower_mm.engine.hooks.atomic_checkpoint import AtomicCheckpointHook
from flower_mm.engine.hooks.finite_loss import FiniteLossHook
from flower_mm.engine.hooks.frozen_statistics import FrozenStatisticsHook
from flower_mm.engine.hooks.head_first import HeadFirstHook
from flower_mm.engine.hooks.known_photos import KnownPhotosHook
from flower_mm.engine.hooks.pretrained import PretrainedHook
from flower_mm.engine.hooks.progress import (
    GroupedTensorboardVisBackend,
    ProgressHook,
)
from flower_mm.engine.hooks.report import ReportHook
from flower_mm.engine.hooks.run_record import RunRecordHook
from flower_mm.engine.hooks.train_dataset import (
    BrokenPhotosHook,
    EpochSeedHook,
)
from flower_mm.engine.metrics import CrossEntropy
from flower_mm.engine.optim_wrappers import (
    Bf16OptimWrapper,
    MergedGroupsConstructor,
)
from flower_mm.engine.runner import FlowerRunner
from flower_mm.engine.validation_loop import EMAValLoop

__all__ = [
    'AtomicCheckpointHook',
    'Bf16OptimWrapper',
    'BrokenPhotosHook',
    'CrossEntropy',
    'EMAValLoop',
    'EpochSeedHook',
    'FiniteLossHook',
    'FlowerRunner',
    'FrozenStatisticsHook',
    'GroupedTensorboardVisBackend',
    'HeadFirstHook',
    'KnownPhotosHook',
    'MergedGroupsConstructor',
    'PretrainedHook',
    'ProgressHook',
    'ReportHook',
    'RunRecordHook',
]
