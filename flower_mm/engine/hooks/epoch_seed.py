"""Seed each epoch from (seed, epoch), independently of what ran before."""

import torch
from mmengine.dist import get_rank
from mmengine.hooks import DistSamplerSeedHook

from flower_mm.datasets.augmentation_seed import seed_generators
from flower_mm.datasets.flower_dataset import flower_datasets
from flower_mm.registry import HOOKS


@HOOKS.register_module()
class EpochSeedHook(DistSamplerSeedHook):
    """Seed sampler, augmentation and model for each epoch.

    MMEngine seeds the sampler alone. Its augmentation repeats itself where
    workers start anew in each epoch, and its dropout and mixup depend on all
    earlier random numbers, so that a resumed run differs.
    """

    def before_train(self, runner) -> None:
        # A loader draws a seed whenever it starts workers. By default it
        # draws from the generator of dropout and mixup.
        runner.train_dataloader.generator = torch.Generator()

    def before_train_epoch(self, runner) -> None:
        super().before_train_epoch(runner)
        for dataset in flower_datasets(runner.train_dataloader.dataset):
            dataset.set_epoch(runner.seed, runner.epoch, runner.max_epochs)
        # Each process of a distributed run has its own dropout.
        seed_generators(runner.seed, runner.epoch, get_rank())
        # The generator of the device, where the model is on a GPU.
        torch.manual_seed(torch.initial_seed())
