"""Checkpoints that are complete or absent, and hold plain values only."""

import math
from io import BytesIO
from pathlib import Path

import torch
from mmengine.dist import is_main_process, master_only
from mmengine.hooks import Hook

from flower_mm import __version__
from flower_mm.annotations import describe
from flower_mm.engine.calibrate import calibrate
from flower_mm.engine.checkpoint_state import (
    checkpoints,
    collect_state,
    config_as_data,
    restore_state,
    unfinished_gradients,
)
from flower_mm.engine.hooks.pretrained import PRETRAINED
from flower_mm.engine.metrics import Criterion, criteria, fix_of_setting
from flower_mm.engine.run_identity import identity
from flower_mm.engine.validation_loop import averages, use_keys_of_model
from flower_mm.environment import versions
from flower_mm.errors import UserError, message_of
from flower_mm.files import replacing, write_whole
from flower_mm.inference.calibration import KEY
from flower_mm.layout import RunDir
from flower_mm.models.low_rank import merge_low_rank_updates
from flower_mm.models.structure import unwrapped
from flower_mm.registry import HOOKS
from flower_mm.weights.best_checkpoint import TOP1, write_best
from flower_mm.weights.read_checkpoint import read_checkpoint

# Settings of MMEngine's hook that have fixed values here, and the reason.
FIXED: dict[str, tuple[list, str]] = {
    'by_epoch': ([True], 'checkpoints are of whole epochs'),
    'save_optimizer': ([True], 'a run resumes from each checkpoint'),
    'save_param_scheduler': ([True], 'a run resumes from each checkpoint'),
    'out_dir': ([None], 'name a folder for all results: --work-dir FOLDER'),
    'filename_tmpl': (
        [None, 'epoch_{}.pth'],
        'resuming looks for these names',
    ),
    'backend_args': ([None, {'backend': 'local'}], 'name a local folder'),
    'file_client_args': ([None, {'backend': 'disk'}], 'name a local folder'),
}


@HOOKS.register_module(name=['AtomicCheckpointHook', 'CheckpointHook'])
class AtomicCheckpointHook(Hook):
    """Keep the last checkpoint and best.pth, each replaced atomically.

    MMEngine's CheckpointHook deletes the old file before the new one is
    complete, saves before validation, so that a resumed run does not know its
    best score, and stores objects that torch refuses to load. This hook saves
    after validation, and once before the first epoch, so that every
    interrupted run can be resumed.

    best.pth is of the best epoch. If the mean of the weights of all steps is
    validated, it is of the last epoch within two standard errors of the best:
    this mean improves with each epoch, while the best of several measurements
    on few photos is the luckiest one.

    Args:
        interval: Epochs between two checkpoints; the last is always kept.
        max_keep_ckpts: The number of checkpoints to keep; below 1, all.
        save_best: The metric that chooses best.pth. 'auto' is top-1, or the
            first metric. Of several, the first chooses best.pth, each other
            one best_METRIC.pth. None writes neither.
        rule, greater_keys, less_keys: As in MMEngine. Larger values of a
            metric that they do not cover are better.
        save_begin: The epoch from which the interval counts.
        published_keys: Accepted without effect, as is save_last=False.
        by_epoch, save_optimizer, …: Only the values in FIXED.
    """

    # After hooks that log, average and stop, whose state is saved.
    comes_last = True

    def __init__(
        self,
        interval: int = 1,
        max_keep_ckpts: int = 1,
        save_best: str | list[str] | None = TOP1,
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
        _require_numbers(interval, max_keep_ckpts, save_begin)
        _require_fixed(
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
                'that a finished run differs from a stopped one'
            )
        if published_keys:
            self.notes.append(
                'published_keys has no effect: best.pth holds the weights and '
                'their metadata, without the optimizer'
            )

    def before_train(self, runner) -> None:
        for note in self.notes:
            runner.say(note)
        # The lists of photos may change while the run trains.
        self.identity = identity(runner.cfg, runner.world_size)
        for average in averages(runner):
            use_keys_of_model(average)
        here = f'epoch_{runner.epoch}.pth'
        if runner.epoch == 0:
            self.save(runner, epoch=0)
        elif (Path(runner.work_dir) / here).exists():
            # The run may have been killed before it deleted the old one.
            self._drop_old(runner, here)
        # Scores of best files from epochs after the current one.
        self.ahead: dict[str, float] = {}
        for criterion in self.criteria:
            self._compare_best(runner, criterion)

    def _compare_best(self, runner, criterion: Criterion) -> None:
        """Compare the best score in the checkpoint with the best file.

        A run that resumes before its best epoch reaches it again; until then a
        worse epoch does not replace best.pth.
        """
        hub = runner.message_hub.runtime_info
        best = Path(runner.work_dir) / criterion.file
        is_readable = False
        if runner._resume and best.is_file():
            try:
                epoch, metrics = _measured(best)
                is_readable = True
                if epoch > runner.epoch:
                    chosen = criterion.among(metrics)
                    score = chosen.score_in(metrics)
                    self.ahead[best.name] = chosen.in_order(score)
            except UserError as error:
                runner.say(f'{best} cannot be used: {message_of(error)}')
        score_key, epoch_key, _ = criterion.keys
        # MMEngine's own hook stores a score of another type.
        is_known = isinstance(hub.get(score_key), float) and isinstance(
            hub.get(epoch_key), int
        )
        if score_key in hub and not (is_known and is_readable):
            runner.say(
                f'no {best} of this run: the best epoch counts from now on'
            )
            for key in (*criterion.keys, criterion.highest_key):
                hub.pop(key, None)

    def after_train_epoch(self, runner) -> None:
        # The loop counts up after this hook.
        if not _validates(runner, runner.epoch + 1):
            self._epoch_is_over(runner, runner.epoch + 1)

    def after_val_epoch(self, runner, metrics: dict) -> None:
        hub = runner.message_hub
        for criterion in self.criteria:
            chosen = criterion.among(metrics)
            score = chosen.score_in(metrics)
            value = chosen.in_order(score)
            highest = chosen.so_far(hub.runtime_info)
            margin = _margin(runner.val_loop, chosen.metric)
            if not (value > highest or (margin and value >= highest - margin)):
                continue
            hub.update_info(
                chosen.highest_key, chosen.in_order(max(value, highest))
            )
            for key, noted in zip(
                chosen.keys, (score, runner.epoch, chosen.metric), strict=True
            ):
                hub.update_info(key, noted)
            if value >= self.ahead.get(chosen.file, -math.inf) - margin:
                self.ahead.pop(chosen.file, None)
                self._write_best(runner, metrics, chosen.file)
        self._epoch_is_over(runner, runner.epoch)

    def _epoch_is_over(self, runner, epoch: int) -> None:
        since = epoch - self.save_begin
        due = self.interval > 0 and since >= 0 and since % self.interval == 0
        if due or epoch == runner.max_epochs:
            self.save(runner, epoch)

    def save(self, runner, epoch: int) -> None:
        """Write the current state as that epoch's, and delete old ones."""
        name = f'epoch_{epoch}.pth'
        gradients = unfinished_gradients(runner)
        if is_main_process():
            state = collect_state(runner, epoch, self.identity)
            if gradients:
                state['gradients'] = gradients
            content = BytesIO()
            torch.save(state, content)
            write_whole(Path(runner.work_dir) / name, content.getbuffer())
        self._drop_old(runner, name)

    @master_only
    def _drop_old(self, runner, name: str) -> None:
        folder = Path(runner.work_dir)
        # For MMEngine's own tools; ours read the names of the files.
        with replacing(folder / RunDir.LAST_CHECKPOINT, 'w') as file:
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
            # What EMA does not average comes from the model.
            average = next(averages(runner))
            weights = weights | dict(average.module.state_dict())
        config = config_as_data(runner.cfg)
        # The sum of weights and LoRA's updates is a plain network.
        weights = merge_low_rank_updates(weights)
        (config['model'].get('backbone') or {}).pop('lora_rank', None)
        data = runner.cfg.val_dataloader.dataset
        classes = list(runner.val_dataloader.dataset.metainfo['classes'])
        write_best(
            Path(runner.work_dir) / name,
            weights,
            {
                'classes': classes,
                # Where MMPretrain's inferencer looks for them.
                'dataset_meta': {'classes': classes},
                'cfg': config,
                'preprocessing': {
                    'pipeline': data.pipeline,
                    'data_preprocessor': runner.cfg.data_preprocessor,
                },
                'metrics': metrics,
                KEY: _calibration(runner.val_loop),
                'epoch': runner.epoch,
                'weights': used,
                'dataset_sha256': describe(Path(data.data_root)).get('sha256'),
                'seed': runner.seed,
                # Their licence may hold for what was trained from them.
                PRETRAINED: runner.message_hub.get_info(PRETRAINED, None),
                'versions': versions(),
                'flower_mm': __version__,
            },
        )

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        if runner._resume:
            restore_state(runner, checkpoint)


def _margin(loop, metric: str) -> float:
    return getattr(loop, 'margin', 0.0) if metric == TOP1 else 0.0


def _calibration(loop) -> dict | None:
    predictions = getattr(loop, 'predictions', None)
    return calibrate(predictions) if predictions else None


def _measured(best: Path) -> tuple[int, dict]:
    """The epoch and the metrics in a best.pth."""
    meta = read_checkpoint(best).get('meta')
    epoch, metrics = (
        meta.get(key) if isinstance(meta, dict) else None
        for key in ('epoch', 'metrics')
    )
    if type(epoch) is not int or not isinstance(metrics, dict):
        raise UserError(f'{best} has no epoch or no metrics')
    return epoch, metrics


def _validates(runner, epoch: int) -> bool:
    """Whether the loop validates after `epoch`, by MMEngine's rule."""
    loop = runner.train_loop
    return (
        runner.val_loop is not None
        and epoch >= loop.val_begin
        and (epoch % loop.val_interval == 0 or epoch == loop.max_epochs)
    )


def _require_numbers(
    interval: float, max_keep_ckpts: int, save_begin: int
) -> None:
    for name, value, allowed, kinds, default in (
        ('interval', interval, interval != 0, (int, float), 1),
        ('max_keep_ckpts', max_keep_ckpts, True, (int,), 1),
        ('save_begin', save_begin, True, (int,), 0),
    ):
        if type(value) not in kinds or not allowed:
            raise UserError(
                f'invalid {name} of AtomicCheckpointHook: expected a number '
                f'of epochs or checkpoints, got {value!r}\n'
                f'{fix_of_setting(name, default)}'
            )


def _require_fixed(**settings: object) -> None:
    for name, value in settings.items():
        allowed, reason = FIXED[name]
        if value not in allowed:
            expected = ' or '.join(map(repr, allowed))
            raise UserError(
                f'invalid {name} of AtomicCheckpointHook: expected '
                f'{expected}, got {value!r}: {reason}\n'
                f'{fix_of_setting(name, allowed[0])}'
            )
