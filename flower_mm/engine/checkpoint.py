"""Checkpoints that are whole or not there, and hold plain values only."""

import math
import re
from io import BytesIO
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dist import all_reduce, is_main_process, master_only
from mmengine.hooks import EarlyStoppingHook, Hook
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import weights_to_cpu

from flower_mm import __version__
from flower_mm.datasets.annotations import describe
from flower_mm.engine.checkpoint_settings import (
    require_numbers,
    require_values,
)
from flower_mm.engine.criterion import METRIC, Criterion, criteria
from flower_mm.engine.ema import averages, use_keys_of_model
from flower_mm.engine.identity import identity
from flower_mm.engine.pretrained import PRETRAINED
from flower_mm.environment import versions
from flower_mm.errors import UserError, message_of
from flower_mm.files import replacing, write_whole
from flower_mm.models.structure import unwrapped
from flower_mm.registry import HOOKS
from flower_mm.weights.best_checkpoint import plain, write_best
from flower_mm.weights.read_checkpoint import read_checkpoint


@HOOKS.register_module()
class CheckpointHook(Hook):
    """Keep the last checkpoint and best.pth; neither is ever half written.

    MMEngine's hook of this name deletes the old file before the new one
    stands, saves before validation, so that a resumed run does not know its
    best, and stores objects that torch refuses to load. This one saves when
    an epoch is over, validation included, and first of all before the first
    epoch, so that every interrupted run can be resumed.

    Args:
        interval: Epochs between two checkpoints; the last is always kept.
        max_keep_ckpts: How many of them stay; all, where it is below 1.
        save_best: The metric that decides about best.pth. 'auto' is top-1, or
            the first metric. The first of several decides about best.pth, the
            others about best_METRIC.pth. None keeps neither.
        rule, greater_keys, less_keys: As in MMEngine. A metric that they say
            nothing about is better where it is larger.
        save_begin: The epoch from which the interval counts.
        published_keys: Accepted without effect, and so is save_last=False.
        by_epoch, save_optimizer, …: checkpoint_settings.py has their values.
    """

    # After those that log, average and stop: a checkpoint has it all.
    comes_last = True

    def __init__(
        self,
        interval: int = 1,
        max_keep_ckpts: int = 1,
        save_best: str | list[str] | None = METRIC,
        rule: str | list[str] | None = None,
        greater_keys: str | list[str] | None = None,
        less_keys: str | list[str] | None = None,
        save_begin: int = 0,
        by_epoch: bool = True,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        save_last: bool = True,
        published_keys: str | list[str] | None = None,
        out_dir: str | None = None,
        filename_tmpl: str | None = None,
        backend_args: dict | None = None,
        file_client_args: dict | None = None,
    ) -> None:
        require_numbers(interval, max_keep_ckpts, save_begin)
        require_values(
            by_epoch=by_epoch,
            save_optimizer=save_optimizer,
            save_param_scheduler=save_param_scheduler,
            out_dir=out_dir,
            filename_tmpl=filename_tmpl,
            backend_args=backend_args,
            file_client_args=file_client_args,
        )
        self.interval = interval
        self.max_keep_ckpts = max_keep_ckpts
        self.save_begin = save_begin
        self.criteria = criteria(save_best, rule, greater_keys, less_keys)
        self.notes = []
        if not save_last:
            self.notes.append(
                'save_last=False has no effect: the last epoch is kept, so '
                'that a run that has ended can be told from one that stopped'
            )
        if published_keys:
            self.notes.append(
                'published_keys has no effect: best.pth holds the weights and '
                'their metadata, without the optimizer'
            )

    def before_train(self, runner) -> None:
        for note in self.notes:
            runner.say(note)
        # What is trained on now, whatever becomes of the lists meanwhile.
        self.identity = identity(runner.cfg, runner.world_size)
        for average in averages(runner):
            use_keys_of_model(average)
        here = f'epoch_{runner.epoch}.pth'
        if runner.epoch == 0:
            self.save(runner, epoch=0)
        elif (Path(runner.work_dir) / here).exists():
            # The run may have been killed between a new one and the old.
            self._drop_old(runner, here)
        # What a best file of an epoch to come has to be beaten by.
        self.ahead = {}
        for criterion in self.criteria:
            self._know_best(runner, criterion)

    def _know_best(self, runner, criterion: Criterion) -> None:
        """Compare what the checkpoint says of best.pth with the file.

        A run that is resumed from before its best epoch comes to it again;
        until then best.pth is not given up for less.
        """
        hub = runner.message_hub.runtime_info
        best = Path(runner.work_dir) / criterion.file
        there = False
        if runner._resume and best.is_file():
            try:
                epoch, metrics = _measured(best)
                there = True
                if epoch > runner.epoch:
                    known = criterion.among(metrics)
                    score = known.score_in(metrics)
                    self.ahead[best.name] = known.in_order(score)
            except UserError as error:
                runner.say(f'{best} cannot be used: {message_of(error)}')
        score, epoch, metric = criterion.keys
        # MMEngine's own hook notes a score of another kind.
        known = isinstance(hub.get(score), float) and isinstance(
            hub.get(epoch), int
        )
        if score in hub and not (known and there):
            runner.say(f'no {best} of this run: the best counts from now on')
            for key in (score, epoch, metric):
                hub.pop(key, None)

    def after_train_epoch(self, runner) -> None:
        # The loop counts up after this hook.
        if not _validates(runner, runner.epoch + 1):
            self._epoch_is_over(runner, runner.epoch + 1)

    def after_val_epoch(self, runner, metrics: dict | None = None) -> None:
        hub = runner.message_hub
        for criterion in self.criteria:
            chosen = criterion.among(metrics)
            score = chosen.score_in(metrics)
            value = chosen.in_order(score)
            if not value > chosen.so_far(hub.runtime_info):
                continue
            for key, noted in zip(
                chosen.keys, (score, runner.epoch, chosen.metric), strict=True
            ):
                hub.update_info(key, noted)
            if value >= self.ahead.get(chosen.file, -math.inf):
                self.ahead.pop(chosen.file, None)
                self._write_best(runner, metrics, chosen.file)
        self._epoch_is_over(runner, runner.epoch)

    def _epoch_is_over(self, runner, epoch: int) -> None:
        since = epoch - self.save_begin
        due = self.interval > 0 and since >= 0 and since % self.interval == 0
        if due or epoch == runner.max_epochs:
            self.save(runner, epoch)

    def save(self, runner, epoch: int) -> None:
        """Write what the run is now as that epoch's, and drop old ones."""
        name = f'epoch_{epoch}.pth'
        # Every process takes part in the first, the first writes.
        gradients = _unfinished_gradients(runner)
        if is_main_process():
            found = _state(runner, epoch, self.identity)
            if gradients:
                found['gradients'] = gradients
            content = BytesIO()
            torch.save(found, content)
            write_whole(Path(runner.work_dir) / name, content.getbuffer())
        self._drop_old(runner, name)

    @master_only
    def _drop_old(self, runner, name: str) -> None:
        folder = Path(runner.work_dir)
        # For MMEngine's own tools; ours look at the files themselves.
        with replacing(folder / 'last_checkpoint', 'w') as file:
            file.write(str(folder / name))
        if self.max_keep_ckpts < 1:
            return
        for path in checkpoints(folder)[: -self.max_keep_ckpts]:
            path.unlink()

    @master_only
    def _write_best(self, runner, metrics: dict, name: str) -> None:
        weights = unwrapped(runner.model).state_dict()
        used = runner.message_hub.get_info('val_weights')
        if used == 'ema':
            weights = _averaged(runner, weights)
        data = runner.cfg.val_dataloader.dataset
        classes = list(runner.val_dataloader.dataset.metainfo['classes'])
        write_best(
            Path(runner.work_dir) / name,
            weights,
            {
                'classes': classes,
                # Where MMPretrain's inferencer looks for them.
                'dataset_meta': {'classes': classes},
                'cfg': as_data(runner.cfg),
                'preprocessing': {
                    'pipeline': data.pipeline,
                    'data_preprocessor': runner.cfg.data_preprocessor,
                },
                'metrics': metrics,
                'epoch': runner.epoch,
                'weights': used,
                'dataset_sha256': describe(Path(data.data_root)).get('sha256'),
                'seed': runner.seed,
                # Whose licence, perhaps, holds for what came of them.
                PRETRAINED: runner.message_hub.get_info(PRETRAINED, None),
                'versions': versions(),
                'flower_mm': __version__,
            },
        )

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        if not runner._resume:
            return
        model = unwrapped(runner.model)
        for name, gradient in checkpoint.get('gradients', {}).items():
            weight = model.get_parameter(name)
            weight.grad = gradient.to(weight.device)
        stopping = _early_stopping(runner)
        if stopping and 'early_stopping' in checkpoint:
            kept = checkpoint['early_stopping']
            stopping.wait_count = kept['wait_count']
            stopping.best_score = kept['best_score']
            runner.train_loop.stop_training = kept['stop_training']
        logs = checkpoint['message_hub']['log_scalars']
        for name, value in logs.items():
            logs[name] = HistoryBuffer(*(part.numpy() for part in value))


def _measured(best: Path) -> tuple[int, dict]:
    """The epoch and the metrics that a best.pth notes."""
    meta = read_checkpoint(best).get('meta')
    epoch, metrics = (
        meta.get(key) if isinstance(meta, dict) else None
        for key in ('epoch', 'metrics')
    )
    if type(epoch) is not int or not isinstance(metrics, dict):
        raise UserError(f'{best} does not note its epoch and metrics')
    return epoch, metrics


def _state(runner, epoch: int, run: dict) -> dict:
    """All that a run goes on from, as tensors and plain values.

    Runner.save_checkpoint would put objects in, and format the config as
    Python text each time, in which a Ctrl-C is taken for a broken config.
    """
    hub = runner.message_hub.state_dict()
    found = {
        'meta': plain(
            {
                'epoch': epoch,
                'iter': runner.iter,
                'seed': runner.seed,
                'dataset_meta': runner.train_dataloader.dataset.metainfo,
                'cfg': as_data(runner.cfg),
                'run': run,
                'versions': versions(),
                'flower_mm': __version__,
            }
        ),
        'state_dict': weights_to_cpu(unwrapped(runner.model).state_dict()),
        'message_hub': {
            'log_scalars': {
                name: [torch.from_numpy(part) for part in buffer.data]
                for name, buffer in hub['log_scalars'].items()
            },
            'runtime_info': plain(hub['runtime_info']),
            'resumed_keys': plain(hub['resumed_keys']),
        },
        'optimizer': runner.optim_wrapper.state_dict(),
        'param_schedulers': [
            # OneCycleLR's has a function, which building it brings back.
            {k: v for k, v in one.state_dict().items() if not callable(v)}
            for one in runner.param_schedulers or []
        ],
    }
    found['message_hub']['runtime_info'].pop('cfg', None)
    stopping = _early_stopping(runner)
    if stopping:
        found['early_stopping'] = {
            'wait_count': stopping.wait_count,
            'best_score': float(stopping.best_score),
            'stop_training': runner.train_loop.stop_training,
        }
    # EMAHook adds its average.
    runner.call_hook('before_save_checkpoint', checkpoint=found)
    return found


def as_data(cfg: Config) -> dict:
    """A config as plain values, less what it would import to be run."""
    found = plain(cfg.to_dict())
    found.pop('custom_imports', None)
    return found


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    found = [
        path
        for path in folder.glob('epoch_*.pth')
        # Not a copy under a like name, nor a folder.
        if re.fullmatch(r'epoch_\d+', path.stem) and path.is_file()
    ]
    return sorted(found, key=number_of)


def number_of(checkpoint: Path) -> int:
    """How many epochs a checkpoint has behind it."""
    return int(checkpoint.stem.removeprefix('epoch_'))


def _validates(runner, epoch: int) -> bool:
    """Whether the loop validates after `epoch`, by MMEngine's rule."""
    loop = runner.train_loop
    return (
        runner.val_loop is not None
        and epoch >= loop.val_begin
        and (epoch % loop.val_interval == 0 or epoch == loop.max_epochs)
    )


def _unfinished_gradients(runner) -> dict[str, torch.Tensor]:
    """What is summed up for a step that the next epoch will complete.

    Where gradients are accumulated and an epoch does not divide by it.
    """
    wrapper = runner.optim_wrapper
    if wrapper._accumulative_counts == 1 or wrapper.should_update():
        return {}
    found = {
        name: weight.grad.detach().cpu().clone()
        for name, weight in unwrapped(runner.model).named_parameters()
        if weight.grad is not None
    }
    if runner.distributed:
        # Each process has its own; all go on from the mean, which the next
        # step takes anyway.
        for gradient in found.values():
            all_reduce(gradient, 'mean')
    return found


def _early_stopping(runner) -> EarlyStoppingHook | None:
    """MMEngine's hook, which forgets at each start how long it has waited."""
    return next(
        (h for h in runner.hooks if isinstance(h, EarlyStoppingHook)), None
    )


def _averaged(runner, plain_weights: dict) -> dict:
    """The EMA's weights, with what it does not average from the model."""
    average = next(averages(runner))
    return plain_weights | dict(average.module.state_dict())
