"""Record the photos that could not be loaded while a run was training."""

from mmengine.dist import all_reduce
from mmengine.hooks import Hook

from flower_mm.datasets.flower_dataset import flower_datasets
from flower_mm.registry import HOOKS

SKIPPED = 'skipped_photos'  # in the message hub and in run.json
NAMED = 5  # photos named on the screen; the rest is counted


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
