"""What drives a run: importing this registers it all."""

from flower_mm.engine.amp import Bf16OptimWrapper
from flower_mm.engine.broken import BrokenPhotosHook
from flower_mm.engine.checkpoint import CheckpointHook
from flower_mm.engine.draws import EpochSeedHook
from flower_mm.engine.ema import EitherWeightsValLoop
from flower_mm.engine.groups import FewGroups
from flower_mm.engine.head_first import HeadFirstHook
from flower_mm.engine.metrics import CrossEntropy
from flower_mm.engine.numbers import FiniteHook
from flower_mm.engine.pretrained import PretrainedHook
from flower_mm.engine.progress import ProgressHook
from flower_mm.engine.record import RunRecordHook
from flower_mm.engine.report import ReportHook
from flower_mm.engine.runner import FlowerRunner
from flower_mm.engine.tensorboard import GroupedTensorboardVisBackend

__all__ = [
    'Bf16OptimWrapper',
    'BrokenPhotosHook',
    'CheckpointHook',
    'CrossEntropy',
    'EitherWeightsValLoop',
    'EpochSeedHook',
    'FewGroups',
    'FiniteHook',
    'FlowerRunner',
    'GroupedTensorboardVisBackend',
    'HeadFirstHook',
    'PretrainedHook',
    'ProgressHook',
    'ReportHook',
    'RunRecordHook',
]
