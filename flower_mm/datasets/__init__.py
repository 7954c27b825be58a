from flower_mm.datasets.flower import FlowerDataset

__all__ = ['FlowerDataset']
