"""FlowerDataset and its transforms, which the data loaders run."""

from flower_mm.datasets.flower_dataset import FlowerDataset
from flower_mm.datasets.transforms import GrowingCrop

__all__ = ['FlowerDataset', 'GrowingCrop']
