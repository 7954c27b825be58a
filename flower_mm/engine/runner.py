"""MMEngine's Runner with short output, safe loading and exact resuming."""

import logging
from functools import partial
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.logging import MMLogger
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import RUNNERS
from mmengine.runner import BaseLoop, Runner
from torch.utils.data import DataLoader

from flower_mm.config import resolve
from flower_mm.datasets.load_photo import use_decoder
from flower_mm.engine.checkpoint_validation import (
    StateError,
    check_optimizer_state,
    check_states,
)
from flower_mm.engine.resume import fast_forward, fit
from flower_mm.engine.validation_loop import averages
from flower_mm.errors import UserError
from flower_mm.models.float32_head import classify_in_float32
from flower_mm.models.memory_format import use_channels_last
from flower_mm.models.structure import unwrapped
from flower_mm.process_resources import begin_lean
from flower_mm.weights.load_into_model import (
    check_whole,
    load_backbone,
    load_whole,
)
from flower_mm.weights.read_checkpoint import read_checkpoint
from flower_mm.weights.safe_loading import safe_loading

MMENGINES_HOOKS = (
    'runtime_info',
    'timer',
    'sampler_seed',
    'logger',
    'param_scheduler',
    'checkpoint',
)
_NO_AVERAGE = (
    'warning: {} has no averaged weights (ema_state_dict): the average '
    'starts as a copy of its state_dict.\nTo average since the first epoch, '
    'resume from a checkpoint that has them, or start anew without --resume'
)


@RUNNERS.register_module()
class FlowerRunner(Runner):
    """The Runner of our configs (`runner_type`).

    It is registered at the root, where MMPretrain's own tools look it up, so
    that our configs run with them as well.
    """

    @classmethod
    @safe_loading()
    def from_cfg(cls, cfg: Config) -> 'FlowerRunner':
        return super().from_cfg(resolve(cfg).cfg)

    train = safe_loading()(Runner.train)
    val = safe_loading()(Runner.val)
    test = safe_loading()(Runner.test)

    def say(self, text: str) -> None:
        """Log a line and print it, in the first process only."""
        self.logger.info(text)
        if is_main_process():
            print(text, flush=True)

    def build_logger(self, *args, **kwargs) -> MMLogger:
        """Write MMEngine's log to its file; print errors only."""
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.setLevel(logging.ERROR)
            # A full disk is reported once, not for each line of the log.
            handler.handleError = lambda record: None
        return logger

    def register_default_hooks(self, hooks: dict | None = None) -> None:
        """Let a config switch off any default hook by None.

        MMEngine does so for its own hooks only.
        """
        ours = {
            name: hook
            for name, hook in (hooks or {}).items()
            if hook is not None or name in MMENGINES_HOOKS
        }
        super().register_default_hooks(ours)

    def register_hooks(self, *args, **kwargs) -> None:
        """Run hooks with `comes_last` after the config's own hooks.

        MMEngine's priorities end at LOWEST, where its EarlyStoppingHook is,
        after any default hook.
        """
        super().register_hooks(*args, **kwargs)
        self._hooks.sort(key=lambda hook: getattr(hook, 'comes_last', False))

    @staticmethod
    def build_dataloader(
        dataloader: DataLoader | dict,
        seed: int | None = None,
        diff_rank_seed: bool = False,
    ) -> DataLoader:
        """MMEngine's, whose photos our decoder reads."""
        if isinstance(dataloader, DataLoader):
            return dataloader
        loader = Runner.build_dataloader(dataloader, seed, diff_rank_seed)
        use_decoder(loader.dataset)
        loader.worker_init_fn = partial(begin_lean, loader.worker_init_fn)
        return loader

    def wrap_model(self, model_wrapper_cfg, model):
        # Some backbones freeze their stages in train(), and wrappers read
        # which weights need gradients.
        model.train()
        model = use_channels_last(model)
        classify_in_float32(model)
        if self.distributed and get_device() == 'cpu':
            # MMEngine passes the number of a GPU, which torch refuses.
            return MMDistributedDataParallel(
                model,
                broadcast_buffers=False,
                find_unused_parameters=self.cfg.get(
                    'find_unused_parameters', False
                ),
            )
        return super().wrap_model(model_wrapper_cfg, model)

    def load_checkpoint(
        self,
        filename: str,
        map_location='cpu',
        strict: bool = False,
        revise_keys: list | None = None,
    ) -> dict:
        """Read a checkpoint as data, and require that it fits the model.

        A new run with `load_from` loads the backbone only, as from pretrained
        weights. Resuming and testing load every tensor.
        """
        model = unwrapped(self.model)
        training = isinstance(self._train_loop, BaseLoop)
        if training and not self._resume:
            match = load_backbone(model, Path(filename))
            self.say(f'weights: {match} from {filename}')
            return {}
        checkpoint = read_checkpoint(Path(filename))
        if self._resume and 'ema_state_dict' not in checkpoint:
            for _ in averages(self):
                self.say(_NO_AVERAGE.format(filename))
        if self._resume and self.cfg.get('resume_anyway'):
            unfit = fit(checkpoint, self)
            if unfit:
                self.say(
                    f'{len(unfit)} tensors do not fit and keep their initial '
                    f'values, such as {unfit[0]}'
                )
        check_whole(model, checkpoint, filename)
        if self._resume and not self.cfg.get('resume_anyway'):
            check_states(checkpoint, self)
        elif self._resume and 'optimizer' in checkpoint:
            check_optimizer_state(checkpoint, self)
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        # EMAHook may have exchanged the average and the plain weights.
        load_whole(model, checkpoint, filename)
        self._has_loaded = True
        return checkpoint

    def resume(self, filename: str, **kwargs) -> None:
        """Resume a checkpoint, with --resume-anyway under new settings.

        MMEngine restores the schedule and the optimizer's settings of the
        checkpoint, whatever the config says.
        """
        try:
            if self.cfg.get('resume_anyway'):
                self._resume_anyway(filename)
            else:
                super().resume(filename, **kwargs)
        except StateError as error:
            raise UserError(
                f'{filename} cannot be resumed: {error}'
            ) from error
        except (UserError, OSError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            # MMEngine's errors on an invalid checkpoint.
            reason = str(error).strip().splitlines() or ['']
            raise UserError(
                f'{filename} cannot be resumed: {type(error).__name__}: '
                f'{reason[0][:200]}'
            ) from error

    def _resume_anyway(self, filename: str) -> None:
        groups = self.optim_wrapper.param_groups
        now = [{k: v for k, v in g.items() if k != 'params'} for g in groups]
        super().resume(filename, resume_param_scheduler=False)
        groups = self.optim_wrapper.param_groups
        for group, settings in zip(groups, now, strict=True):
            group.update(settings)
        changes = self.message_hub.runtime_info.get('resumed_although', [])
        self.message_hub.update_info(
            'resumed_although', changes + list(self.cfg.resume_anyway)
        )
        self.train_loop._iter = self.epoch * len(self.train_dataloader)
        # Schedules end at max_epochs. A crafted number of epochs would take
        # hours.
        fast_forward(self, min(self.epoch, self.max_epochs))
