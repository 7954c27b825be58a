"""Hooks of the training dataset: seeds of an epoch, and skipped photos."""

import torch
from mmengine.dist import all_reduce, get_rank
from mmengine.hooks import DistSamplerSeedHook, Hook

from flower_mm.datasets.augmentation_seed import seed_generators
from flower_mm.datasets.flower_dataset import flower_datasets
from flower_mm.registry import HOOKS

SKIPPED = 'skipped_photos'  # in the message hub and in run.json
NAMED = 5  # photos named on the screen; the rest is counted


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


@HOOKS.register_module()
class BrokenPhotosHook(Hook):
    """Collect what `FlowerDataset(broken='skip')` skipped in any process."""

    def after_train_epoch(self, runner) -> None:
        skipped = []
        for dataset in flower_datasets(runner.train_dataloader.dataset):
            if dataset.skips:
                all_reduce(dataset.skipped, 'max')
                dataset.require_few_skipped()
                skipped += dataset.skipped_photos()
        before = runner.message_hub.get_info(SKIPPED, [])
        new = [name for name in dict.fromkeys(skipped) if name not in before]
        if new:
            runner.message_hub.update_info(SKIPPED, before + new)
            runner.say(_line(new, len(before)))


def _line(new: list[str], before: int) -> str:
    count = '1 photo' if len(new) == 1 else f'{len(new)} photos'
    names = new[:NAMED]
    if len(new) > NAMED:
        names.append(f'and {len(new) - NAMED} more')
    line = f'skipped {count} that could not be loaded: {", ".join(names)}'
    return f'{line}; {before + len(new)} so far' if before else line
