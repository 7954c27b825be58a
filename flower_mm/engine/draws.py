"""Seeding each epoch from (seed, epoch), whatever happened before it."""

from collections.abc import Iterator

from mmengine.dataset import BaseDataset
from mmengine.dist import get_rank
from mmengine.hooks import DistSamplerSeedHook

from flower_mm.datasets.draws import seed_generators
from flower_mm.datasets.flower import FlowerDataset
from flower_mm.registry import HOOKS


@HOOKS.register_module()
class EpochSeedHook(DistSamplerSeedHook):
    """Tell sampler, photos and model which epoch their draws belong to.

    MMEngine tells only the sampler; its photos repeat their augmentation
    when workers are started anew each epoch, and its dropout and mixup depend
    on all draws before, so that a resumed run is another run.
    """

    def before_train_epoch(self, runner) -> None:
        super().before_train_epoch(runner)
        for dataset in _flower_datasets(runner.train_dataloader.dataset):
            dataset.set_epoch(runner.seed, runner.epoch)
        # Each process of a distributed run has its own dropout.
        seed_generators(runner.seed, runner.epoch, get_rank())


def _flower_datasets(dataset: BaseDataset) -> Iterator[FlowerDataset]:
    """Look through wrappers such as ClassBalancedDataset."""
    if isinstance(dataset, FlowerDataset):
        yield dataset
    for inner in getattr(
        dataset, 'datasets', [getattr(dataset, 'dataset', 0)]
    ):
        if inner:
            yield from _flower_datasets(inner)
