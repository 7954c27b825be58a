"""Checkpoints that are whole or not there, and hold plain values only."""

from pathlib import Path

import torch
from mmengine.dist import master_only
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import EMAHook, Hook
from mmengine.logging import HistoryBuffer
from mmengine.model import is_model_wrapper

from flower_mm import __version__
from flower_mm.datasets.annotations import describe
from flower_mm.engine.ema import METRIC
from flower_mm.engine.environment import versions
from flower_mm.files import replacing
from flower_mm.registry import HOOKS
from flower_mm.weights.best import plain, write_best


class AtomicBackend(LocalBackend):
    """MMEngine's local files, written beside their place and renamed."""

    def put(self, obj: bytes, filepath: str) -> None:
        with replacing(filepath) as file:
            file.write(obj)


register_backend('atomic', AtomicBackend, force=True)


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
        max_keep_ckpts: How many of them stay.
        save_best: The metric that decides about best.pth; larger is better.
    """

    # After the hooks that log and average, so that a checkpoint has it all.
    priority = 'VERY_LOW'

    def __init__(
        self,
        interval: int = 1,
        max_keep_ckpts: int = 1,
        save_best: str = METRIC,
    ) -> None:
        self.interval = interval
        self.max_keep_ckpts = max_keep_ckpts
        self.save_best = save_best

    def before_train(self, runner) -> None:
        if runner.epoch == 0:
            self._save(runner, epoch=0)

    def after_train_epoch(self, runner) -> None:
        # The loop counts up after this hook.
        if not _validates(runner, runner.epoch + 1):
            self._epoch_is_over(runner, runner.epoch + 1)

    def after_val_epoch(self, runner, metrics: dict | None = None) -> None:
        if 'best_score' not in runner.message_hub.runtime_info or (
            metrics[self.save_best] > runner.message_hub.get_info('best_score')
        ):
            runner.message_hub.update_info(
                'best_score', float(metrics[self.save_best])
            )
            runner.message_hub.update_info('best_epoch', runner.epoch)
            self._write_best(runner, metrics)
        self._epoch_is_over(runner, runner.epoch)

    def _epoch_is_over(self, runner, epoch: int) -> None:
        if epoch % self.interval == 0 or epoch == runner.max_epochs:
            self._save(runner, epoch)

    def _save(self, runner, epoch: int) -> None:
        name = f'epoch_{epoch}.pth'
        # Every process takes part: optimizer states may be spread over them.
        runner.save_checkpoint(
            runner.work_dir,
            name,
            meta={'epoch': epoch, 'iter': runner.iter},
            backend_args={'backend': 'atomic'},
        )
        self._drop_old(runner, name)

    @master_only
    def _drop_old(self, runner, name: str) -> None:
        folder = Path(runner.work_dir)
        # For MMEngine's own tools; ours look at the files themselves.
        with replacing(folder / 'last_checkpoint', 'w') as file:
            file.write(str(folder / name))
        for path in checkpoints(folder)[: -self.max_keep_ckpts]:
            path.unlink()

    @master_only
    def _write_best(self, runner, metrics: dict) -> None:
        model = (
            runner.model.module
            if is_model_wrapper(runner.model)
            else runner.model
        )
        weights = model.state_dict()
        used = runner.message_hub.get_info('val_weights')
        if used == 'ema':
            weights = _averaged(runner, weights)
        data = runner.cfg.val_dataloader.dataset
        classes = list(runner.val_dataloader.dataset.metainfo['classes'])
        write_best(
            Path(runner.work_dir) / 'best.pth',
            weights,
            {
                'classes': classes,
                # Where MMPretrain's inferencer looks for them.
                'dataset_meta': {'classes': classes},
                'cfg': runner.cfg.to_dict(),
                'preprocessing': {
                    'pipeline': data.pipeline,
                    'data_preprocessor': runner.cfg.data_preprocessor,
                },
                'metrics': metrics,
                'epoch': runner.epoch,
                'weights': used,
                'dataset_sha256': describe(Path(data.data_root)).get('sha256'),
                'seed': runner.seed,
                'versions': versions(),
                'flower_mm': __version__,
            },
        )

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Turn MMEngine's log objects into arrays of plain numbers."""
        hub = checkpoint['message_hub']
        hub['log_scalars'] = {
            name: [torch.from_numpy(part) for part in buffer.data]
            for name, buffer in hub['log_scalars'].items()
        }
        for key in ('runtime_info', 'resumed_keys'):
            hub[key] = plain(hub[key])
        checkpoint['meta'] = plain(checkpoint['meta'])
        checkpoint['meta']['cfg'] = plain(runner.cfg.to_dict())
        hub['runtime_info'].pop('cfg', None)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        hub = checkpoint.get('message_hub')
        if not hub:
            return
        for name, value in hub['log_scalars'].items():
            if isinstance(value, list):
                hub['log_scalars'][name] = HistoryBuffer(
                    *(part.numpy() for part in value)
                )


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    return sorted(folder.glob('epoch_*.pth'), key=number_of)


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


def _averaged(runner, plain_weights: dict) -> dict:
    """The EMA's weights, with what it does not average from the model."""
    hook = next(h for h in runner.hooks if isinstance(h, EMAHook))
    return plain_weights | dict(hook.ema_model.module.state_dict())
