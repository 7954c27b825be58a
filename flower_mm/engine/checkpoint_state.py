"""The state of a run in epoch_N.pth, as tensors and plain values."""

import re
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dist import all_reduce
from mmengine.hooks import EarlyStoppingHook
from mmengine.logging import HistoryBuffer
from mmengine.runner import Runner
from mmengine.runner.checkpoint import weights_to_cpu

from flower_mm import __version__
from flower_mm.environment import versions
from flower_mm.models.structure import unwrapped
from flower_mm.weights.best_checkpoint import plain


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    paths = [
        path
        for path in folder.glob('epoch_*.pth')
        # Neither a copy with a similar name nor a folder.
        if re.fullmatch(r'epoch_\d+', path.stem) and path.is_file()
    ]
    return sorted(paths, key=number_of)


def number_of(checkpoint: Path) -> int:
    """The number of epochs that a checkpoint has completed."""
    return int(checkpoint.stem.removeprefix('epoch_'))


def collect_state(runner: Runner, epoch: int, run: dict) -> dict:
    """Everything that a run needs to resume, but unfinished gradients.

    Runner.save_checkpoint would store objects, and format the config as
    Python text each time, in which Ctrl-C is reported as a syntax error.
    """
    hub = runner.message_hub.state_dict()
    runtime_info = plain(hub['runtime_info'])
    runtime_info.pop('cfg', None)
    state = {
        'meta': plain(
            {
                'epoch': epoch,
                'iter': runner.iter,
                'seed': runner.seed,
                'dataset_meta': runner.train_dataloader.dataset.metainfo,
                'cfg': config_as_data(runner.cfg),
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
            'runtime_info': runtime_info,
            'resumed_keys': plain(hub['resumed_keys']),
        },
        'optimizer': runner.optim_wrapper.state_dict(),
        'param_schedulers': [
            # OneCycleLR's has a function, which building it creates again.
            {k: v for k, v in part.state_dict().items() if not callable(v)}
            for part in runner.param_schedulers or []
        ],
    }
    stopping = _early_stopping(runner)
    if stopping:
        state['early_stopping'] = {
            'wait_count': stopping.wait_count,
            'best_score': float(stopping.best_score),
            'stop_training': runner.train_loop.stop_training,
        }
    # EMAHook adds its average.
    runner.call_hook('before_save_checkpoint', checkpoint=state)
    return state


def restore_state(runner: Runner, checkpoint: dict) -> None:
    """Restore what MMEngine's Runner does not restore itself."""
    model = unwrapped(runner.model)
    for name, gradient in checkpoint.get('gradients', {}).items():
        weight = model.get_parameter(name)
        weight.grad = gradient.to(weight.device)
    stopping = _early_stopping(runner)
    if stopping and 'early_stopping' in checkpoint:
        saved = checkpoint['early_stopping']
        stopping.wait_count = saved['wait_count']
        stopping.best_score = saved['best_score']
        runner.train_loop.stop_training = saved['stop_training']
    logs = checkpoint['message_hub']['log_scalars']
    for name, value in logs.items():
        logs[name] = HistoryBuffer(*(part.numpy() for part in value))


def unfinished_gradients(runner: Runner) -> dict[str, torch.Tensor]:
    """The gradients of a step that the next epoch will complete.

    There are some where gradients are accumulated over a number of batches by
    which the epoch does not divide. Every process has to call this.
    """
    wrapper = runner.optim_wrapper
    if wrapper._accumulative_counts == 1 or wrapper.should_update():
        return {}
    gradients = {
        name: weight.grad.detach().cpu().clone()
        for name, weight in unwrapped(runner.model).named_parameters()
        if weight.grad is not None
    }
    if runner.distributed:
        # Each process has its own; all resume with the mean, which the next
        # step takes anyway.
        for gradient in gradients.values():
            all_reduce(gradient, 'mean')
    return gradients


def config_as_data(cfg: Config) -> dict:
    """A config as plain values, without the modules that it imports."""
    values = plain(cfg.to_dict())
    values.pop('custom_imports', None)
    return values


def _early_stopping(runner: Runner) -> EarlyStoppingHook | None:
    """MMEngine's hook, which does not save how long it has waited."""
    return next(
        (h for h in runner.hooks if isinstance(h, EarlyStoppingHook)), None
    )
