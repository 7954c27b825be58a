"""What a run keeps, and whether the disk has room for it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import ConfigDict
from mmengine.hooks import CheckpointHook as StockCheckpointHook

from flower_mm.checks.codes import Severity
from flower_mm.checks.config_values import has_hook, scope_of, set_options
from flower_mm.checks.context import CheckContext
from flower_mm.checks.finding import Finding
from flower_mm.checks.registered_types import find_type
from flower_mm.engine.checkpoint_state import checkpoints

HOOK = 'default_hooks.checkpoint'
# Numbers that an optimizer keeps for each parameter, without momentum.
STATES = {'SGD': 0, 'Adagrad': 1, 'Lion': 1, 'RMSprop': 1}
MUCH = 1e9  # bytes of checkpoints
TIGHT = 0.8  # of the free space


def check(ctx: CheckContext) -> Iterator[Finding]:
    hooks = ctx.cfg.get('default_hooks') or {}
    hook = hooks.get('checkpoint')
    if hook is None and 'checkpoint' in hooks:
        fix = "dict(type='CheckpointHook', interval=1, max_keep_ckpts=2)"
        yield Finding('DISK001', HOOK, 'no checkpoint, no best.pth', fix)
        return
    hook = hook or ConfigDict(type='CheckpointHook')  # MMEngine's default
    stock = is_stock(ctx, hook)
    if stock and ctx.is_flower_run and not hook.get('save_best'):
        yield Finding(
            'DISK002',
            HOOK,
            "MMEngine's CheckpointHook keeps no best epoch without save_best",
            set_options(
                {
                    f'{HOOK}.type': 'flower_mm.CheckpointHook',
                    f'{HOOK}.max_keep_ckpts': 2,
                }
            ),
        )
    weights, checkpoint = _weights(ctx), _checkpoint(ctx, hook)
    epochs = ctx.cfg.train_cfg.get('max_epochs', 1)
    interval = hook.get('interval', -1 if stock else 1)
    # The last one is written in any case.
    written = -(-epochs // interval) if interval > 0 else 1
    most = hook.get('max_keep_ckpts', -1 if stock else 1)
    best = checkpoint if stock and hook.get('save_best') else weights
    best *= _best_files(hook)
    # Ours starts with one of epoch 0; one more is being written.
    count = written + (not stock)
    count = count if most < 1 else min(count, most + 1)
    need = checkpoint * count + 2 * best
    kept = min(written, most if most > 0 else count)
    if kept > 3 and checkpoint * kept > MUCH:
        yield Finding(
            'DISK003',
            f'{HOOK}.max_keep_ckpts',
            f'{kept} checkpoints of {_size(checkpoint)} are kept, '
            f'{_size(need)} in all; {_size(checkpoint - weights)} of each are '
            'for resuming only',
            set_options({f'{HOOK}.max_keep_ckpts': 2}),
        )
    folder = Path(ctx.cfg.work_dir).absolute()
    if ctx.cfg.get('resume'):
        need -= sum(path.stat().st_size for path in checkpoints(folder))
    base = next(path for path in (folder, *folder.parents) if path.is_dir())
    disk = shutil.disk_usage(base)
    if disk.total and need > TIGHT * disk.free:
        fix = '--work-dir FOLDER on another disk'
        for fewer in (2, 1):
            if checkpoint * (fewer + 1) + 2 * best <= disk.free < need:
                fix += f'; or {set_options({f"{HOOK}.max_keep_ckpts": fewer})}'
                break
        yield Finding(
            'DISK004',
            'work_dir',
            f'the checkpoints take {_size(need)}, and {base} has '
            f'{_size(disk.free)} free',
            fix,
            None if need > disk.free else Severity.WARNING,
        )


def is_stock(ctx: CheckContext, hook: ConfigDict) -> bool:
    """Whether the type stands for MMEngine's hook and not for ours."""
    kind = find_type(hook.type, 'HOOKS', scope_of(ctx.cfg))
    return isinstance(kind, type) and issubclass(kind, StockCheckpointHook)


def _best_files(hook: ConfigDict) -> int:
    metrics = hook.get('save_best', '')
    return len(metrics) if isinstance(metrics, (list, tuple)) else 1


def _weights(ctx: CheckContext) -> int:
    return sum(t.nbytes for t in ctx.model.state_dict().values())


def _checkpoint(ctx: CheckContext, hook: ConfigDict) -> int:
    """Return the bytes of weights, their average and the optimizer state."""
    weights = size = _weights(ctx)
    if has_hook(ctx.cfg, 'EMAHook'):
        size += weights
    if hook.get('save_optimizer') is False:
        return size
    optimizer = ctx.cfg.optim_wrapper.get('optimizer') or {}
    name = optimizer.get('type')
    states = STATES.get(str(name), 2)
    if name in ('SGD', 'RMSprop'):
        states += bool(optimizer.get('momentum'))
    return size + states * sum(
        weight.nbytes
        for weight in ctx.model.parameters()
        if weight.requires_grad
    )


def _size(count: float) -> str:
    return f'{count / 1e9:.1f} GB' if count > 5e8 else f'{count / 1e6:.0f} MB'
