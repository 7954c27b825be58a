"""Losses and weights that are no numbers: stop, or go back and slow down."""

import math
from pathlib import Path

import torch
from mmengine.device import get_device
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner

from flower_mm.errors import UserError
from flower_mm.models.structure import unwrapped
from flower_mm.registry import HOOKS

WENT_BACK = 'went_back'  # what the run's record calls it
SHOWN = 3  # photos named on the screen; run.json has all


class NotFiniteError(UserError):
    """The loss or the weights are NaN or infinite; `facts` is for run.json."""

    def __init__(self, text: str, facts: dict) -> None:
        super().__init__(text)
        self.facts = facts


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stop at the first loss that is no number, and before such weights stay.

    A checkpoint and best.pth are written of whole epochs only, so that
    neither ever holds weights from behind such a loss.

    Args:
        retries: How often to go back to the last checkpoint instead, with a
            lower rate.
        factor: What the rate is multiplied by each time.
    """

    # Before anything is logged or averaged.
    priority = 'HIGH'

    def __init__(self, retries: int = 0, factor: float = 0.1) -> None:
        self.retries = retries
        self.factor = factor

    def before_train(self, runner) -> None:
        hub = runner.message_hub
        if WENT_BACK not in hub.runtime_info:
            hub.update_info(WENT_BACK, [])

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        # RuntimeInfoHook has waited for this number already.
        loss = outputs['loss'].item()
        if _in_any_process(runner, not math.isfinite(loss)):
            photos = [
                sample.get('img_path', '?')
                for sample in data_batch['data_samples']
            ]
            self._stop(runner, f'the loss is {loss}', loss, photos)

    def after_train_epoch(self, runner) -> None:
        """A last step may spoil the weights when its loss was still sound."""
        weights = unwrapped(runner.model).state_dict().values()
        sound = [w.isfinite().all() for w in weights if w.is_floating_point()]
        if _in_any_process(runner, not bool(torch.stack(sound).all())):
            self._stop(runner, 'the weights are no numbers', math.nan, [])

    def _stop(self, runner, what: str, loss: float, photos: list[str]) -> None:
        rate = runner.optim_wrapper.get_lr()['lr'][0]
        done = runner.iter - runner.epoch * len(runner.train_dataloader)
        # The loop counts up after its hooks.
        iteration = done + 1 if photos else done
        facts = {
            'what': what,
            'epoch': runner.epoch + 1,
            'iteration': iteration,
            'rate': rate,
            'loss': str(loss),
            'photos': photos,
        }
        names = ['/'.join(Path(path).parts[-2:]) for path in photos]
        batch = ', '.join(names[:SHOWN])
        if len(photos) > SHOWN:
            batch += f' and {len(photos) - SHOWN} more, see run.json'
        raise NotFiniteError(
            f'{what} in iteration {iteration} of epoch {runner.epoch + 1}, at '
            f'a rate of {rate:.1e}'
            + (f', with {batch}' if batch else '')
            + '.\nMost often the rate is too high: --cfg-options '
            f'optim_wrapper.optimizer.lr={rate * self.factor:.0e}\n'
            'or go back to the last checkpoint and slow down by itself: '
            '--retry-nan 2',
            facts,
        )


def _in_any_process(runner: Runner, here: bool) -> bool:
    """All processes of a run stop together, or those left would wait."""
    if not runner.distributed:
        return here
    flag = torch.tensor(float(here), device=get_device())
    all_reduce(flag, 'max')
    return bool(flag)
