"""What a run keeps: how large, for how long, and whether there is room."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import ConfigDict
from mmengine.hooks import CheckpointHook as TheirHook
from mmengine.registry import HOOKS

from flower_mm.checks.case import Case
from flower_mm.checks.finding import Finding, note, stop, warn
from flower_mm.config import walk
from flower_mm.engine.checkpoint_state import checkpoints

HOOK = 'default_hooks.checkpoint'
# Numbers that an optimizer keeps for each weight; SGD's is its momentum.
STATES = {
    'SGD': 0,
    'Adagrad': 1,
    'Lion': 1,
    'RMSprop': 1,
    'AdamW': 2,
    'Adam': 2,
}
MUCH = 1e9  # bytes of checkpoints that are worth a word
TIGHT = 0.8  # of what is free


def check(case: Case) -> Iterator[Finding]:
    hook = (case.cfg.get('default_hooks') or {}).get('checkpoint')
    if hook is None and _named(case):
        yield note(
            'No checkpoint and no best.pth will be kept.',
            HOOK,
            "dict(type='CheckpointHook', interval=1, max_keep_ckpts=2)",
        )
        return
    hook = hook or ConfigDict(type='CheckpointHook')  # MMEngine adds its own
    theirs = is_theirs(case, hook)
    if theirs and case.is_flower_run and not hook.get('save_best'):
        yield warn(
            "MMEngine's CheckpointHook keeps no best epoch unless it is told "
            'to.',
            HOOK,
            f'--cfg-options {HOOK}.type=flower_mm.CheckpointHook '
            f'{HOOK}.max_keep_ckpts=2 keeps best.pth, without the optimizer',
        )
    weights, one = _weights(case), _checkpoint(case, hook)
    count = _count(case, hook, theirs)
    best = one if theirs and hook.get('save_best') else weights
    best *= _bests(hook)
    need = one * count + 2 * best
    # Neither that of epoch 0 nor the one being written is there in the end.
    most = hook.get('max_keep_ckpts', -1 if theirs else 1)
    kept = min(_written(case, hook, theirs), most if most > 0 else count)
    if kept > 3 and one * kept > MUCH:
        yield warn(
            f'{kept} checkpoints of {_size(one)} are kept, {_size(need)} in '
            f'all; {_size(one - weights)} of each are for going on, not for '
            'use.',
            f'{HOOK}.max_keep_ckpts',
            f'--cfg-options {HOOK}.max_keep_ckpts=2',
        )
    # With 1 or 2 kept and one being written.
    less = {most: one * (most + 1) + 2 * best for most in (2, 1)}
    yield from _room(case, need, less)


def written(case: Case) -> float:
    """Bytes that an epoch writes where each is better than those before."""
    hook = (case.cfg.get('default_hooks') or {}).get('checkpoint')
    if hook is None:
        return 0.0
    one = _checkpoint(case, hook)
    best = one if is_theirs(case, hook) else _weights(case)
    return one / max(1, hook.get('interval', 1)) + _bests(hook) * best


def _bests(hook: ConfigDict) -> int:
    """How many metrics have a best file."""
    metrics = hook.get('save_best', '')
    return len(metrics) if isinstance(metrics, (list, tuple)) else 1


def _checkpoint(case: Case, hook: ConfigDict) -> int:
    weights = _weights(case)
    return weights + _optimizer(case, hook) + _average(case, weights)


def _named(case: Case) -> bool:
    return 'checkpoint' in (case.cfg.get('default_hooks') or {})


def is_theirs(case: Case, hook: ConfigDict) -> bool:
    """Whether the name stands for MMEngine's hook, not for ours."""
    scope = case.cfg.get('default_scope') or 'mmengine'
    with HOOKS.switch_scope_and_registry(scope) as registry:
        found = registry.get(hook.type)
    return found is not None and issubclass(found, TheirHook)


def _weights(case: Case) -> int:
    return sum(
        tensor.numel() * tensor.element_size()
        for tensor in case.model.state_dict().values()
    )


def _optimizer(case: Case, hook: ConfigDict) -> int:
    if hook.get('save_optimizer') is False:
        return 0
    optimizer = case.cfg.optim_wrapper.get('optimizer') or {}
    states = STATES.get(optimizer.get('type'), 2)
    if optimizer.get('type') in ('SGD', 'RMSprop'):
        states += bool(optimizer.get('momentum'))
    return states * sum(
        weight.numel() * weight.element_size()
        for weight in case.model.parameters()
        if weight.requires_grad
    )


def _average(case: Case, weights: int) -> int:
    hooks = [case.cfg.get('default_hooks'), case.cfg.get('custom_hooks')]
    averaged = any(
        str(part.get('type')).endswith('EMAHook') for part in walk(hooks)
    )
    return weights if averaged else 0


def _written(case: Case, hook: ConfigDict, theirs: bool) -> int:
    """How many checkpoints of epochs the run writes."""
    epochs = case.cfg.train_cfg.get('max_epochs', 1)
    interval = hook.get('interval', -1 if theirs else 1)
    # The last one is written in any case.
    return -(-epochs // interval) if interval > 0 else 1


def _count(case: Case, hook: ConfigDict, theirs: bool) -> int:
    """How many checkpoints lie there at the most, one being written."""
    # Ours begins with one of epoch 0.
    every = _written(case, hook, theirs) + (not theirs)
    most = hook.get('max_keep_ckpts', -1 if theirs else 1)
    return every if most < 1 else min(every, most + 1)


def _room(case: Case, need: int, less: dict[int, int]) -> Iterator[Finding]:
    folder = Path(case.cfg.work_dir).absolute()
    if case.cfg.get('resume'):
        need -= sum(path.stat().st_size for path in checkpoints(folder))
    there = next(path for path in (folder, *folder.parents) if path.is_dir())
    disk = shutil.disk_usage(there)
    free = disk.free
    if not disk.total:
        return  # no disk at all, as /proc
    if need > free:
        mend = '--work-dir FOLDER on another disk'
        fitting = [most for most, size in less.items() if size <= free]
        if fitting:
            mend += f', or --cfg-options {HOOK}.max_keep_ckpts={fitting[0]}'
        yield stop(
            f'the checkpoints take {_size(need)}, and {_size(free)} are free '
            f'in {there}.',
            'work_dir',
            mend,
        )
    elif need > TIGHT * free:
        yield warn(
            f'the checkpoints take {_size(need)} of the {_size(free)} that '
            f'are free in {there}.',
            'work_dir',
            'make room, or --work-dir FOLDER on another disk',
        )


def _size(count: float) -> str:
    return f'{count / 1e9:.1f} GB' if count > 5e8 else f'{count / 1e6:.0f} MB'
