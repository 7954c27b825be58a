"""Stop a run whose loss or weights contain NaN or Inf."""

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

WENT_BACK = 'went_back'  # in the message hub and in run.json
SHOWN = 3  # photos named on the screen; run.json has all


class NotFiniteError(UserError):
    """The loss or the weights contain NaN or Inf; run.json has `facts`."""

    def __init__(self, text: str, facts: dict) -> None:
        super().__init__(text)
        self.facts = facts


@HOOKS.register_module(name=['FiniteLossHook', 'FiniteHook'])
class FiniteLossHook(Hook):
    """Stop at the first loss that is NaN or Inf.

    Checkpoints are written after whole epochs, so that no checkpoint holds
    weights that such a loss has changed.

    Args:
        retries: How often to return to the last checkpoint instead, with a
            lower learning rate.
        factor: The factor of the learning rate for each retry.
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
        # RuntimeInfoHook has synchronised with the device already.
        loss = outputs['loss'].item()
        if _in_any_process(runner, not math.isfinite(loss)):
            photos = [
                sample.get('img_path', '?')
                for sample in data_batch['data_samples']
            ]
            self._stop(runner, f'the loss is {loss}', loss, photos)

    def after_train_epoch(self, runner) -> None:
        """Check the weights: the last step may have followed a finite loss."""
        weights = unwrapped(runner.model).state_dict().values()
        finite = [w.isfinite().all() for w in weights if w.is_floating_point()]
        if _in_any_process(runner, not bool(torch.stack(finite).all())):
            self._stop(runner, 'the weights contain NaN or Inf', math.nan, [])

    def _stop(
        self, runner, problem: str, loss: float, photos: list[str]
    ) -> None:
        rate = runner.optim_wrapper.get_lr()['lr'][0]
        done = runner.iter - runner.epoch * len(runner.train_dataloader)
        # The loop increments its counter after its hooks.
        iteration = done + 1 if photos else done
        facts = {
            'what': problem,
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
            f'{problem} in iteration {iteration} of epoch '
            f'{runner.epoch + 1}, at learning rate {rate:.1e}'
            + (f', with {batch}' if batch else '')
            + '.\nMost often the learning rate is too high: '
            f'--lr {rate * self.factor:.0e}\n'
            'or return to the last checkpoint and lower it automatically: '
            '--retry-nan 2',
            facts,
        )


def _in_any_process(runner: Runner, here: bool) -> bool:
    """Whether any process has the problem: all have to stop together."""
    if not runner.distributed:
        return here
    flag = torch.tensor(float(here), device=get_device())
    all_reduce(flag, 'max')
    return bool(flag)
