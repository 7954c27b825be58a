from flower_mm.datasets.flower import FlowerDataset
from flower_mm.datasets.transforms import GrowingCrop

__all__ = ['FlowerDataset', 'GrowingCrop']
