"""Seeding each epoch from (seed, epoch), whatever happened before it."""

import torch
from mmengine.dist import get_rank
from mmengine.hooks import DistSamplerSeedHook

from flower_mm.datasets.augmentation_seed import seed_generators
from flower_mm.datasets.flower_dataset import flower_datasets
from flower_mm.registry import HOOKS


@HOOKS.register_module()
class EpochSeedHook(DistSamplerSeedHook):
    """Tell sampler, photos and model which epoch their draws belong to.

    MMEngine tells only the sampler; its photos repeat their augmentation
    when workers are started anew each epoch, and its dropout and mixup depend
    on all draws before, so that a resumed run is another run.
    """

    def before_train(self, runner) -> None:
        # A loader draws a seed each time it starts workers, but not where
        # they persist; from the generator of dropout and mixup, otherwise.
        runner.train_dataloader.generator = torch.Generator()

    def before_train_epoch(self, runner) -> None:
        super().before_train_epoch(runner)
        for dataset in flower_datasets(runner.train_dataloader.dataset):
            dataset.set_epoch(runner.seed, runner.epoch, runner.max_epochs)
        # Each process of a distributed run has its own dropout.
        seed_generators(runner.seed, runner.epoch, get_rank())
        # And, where the model is on a GPU, its device has.
        torch.manual_seed(torch.initial_seed())
