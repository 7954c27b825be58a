"""Validate the state in a checkpoint before a run resumes it.

`check_stored` checks the file alone, before anything is moved or built.
`check_states` compares it with the optimizer and the schedules of the run.
The weights are checked where they are loaded.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.runner import Runner

from flower_mm.engine.hooks.finite_loss import WENT_BACK
from flower_mm.engine.hooks.pretrained import INITIAL, PRETRAINED
from flower_mm.engine.hooks.train_dataset import SKIPPED
from flower_mm.errors import UserError

MOST = 1 << 40  # epochs and iterations
# Entries of the message hub that hooks read, with their types.
NOTED = {
    'best_metric': str,
    'val_weights': str,
    'head_first': dict,
    INITIAL: str,
    PRETRAINED: dict,
    WENT_BACK: list,
    SKIPPED: list,
    'resumed_although': list,
}
# Attributes of schedules that change in a run; the others are settings.
PROGRESS = frozenset(
    (
        'last_step',
        '_global_step',
        'base_values',
        '_last_value',
        'best',
        'num_bad_epochs',
        'cooldown_counter',
        'verbose',
    )
)
# States of an optimizer that have the shape of their weight.
AS_WEIGHTS = frozenset(
    (
        'exp_avg',
        'exp_avg_sq',
        'max_exp_avg_sq',
        'exp_inf',
        'momentum_buffer',
        'square_avg',
        'grad_avg',
        'acc_delta',
        'sum',
        'prev',
        'step_size',
    )
)
# States of which an optimizer takes the square root.
SQUARES = frozenset(('exp_avg_sq', 'max_exp_avg_sq', 'square_avg', 'sum'))
HIGHEST = 1e4  # times the initial learning rate


class StateError(UserError):
    """A value that makes a checkpoint unusable."""

    def __init__(self, field: str, expected: str, value: object) -> None:
        got = f'{value!r:.60}' if _is_short(value) else type(value).__name__
        super().__init__(f'invalid {field}: expected {expected}, got {got}')


def check_stored(checkpoint: dict) -> None:
    """Check what needs the checkpoint alone."""
    meta, hub = checkpoint['meta'], checkpoint['message_hub']
    epoch = _integer('meta.epoch', meta.get('epoch'), 0, MOST)
    iteration = _integer('meta.iter', meta.get('iter'), epoch, MOST)
    if meta.get('seed') is not None:
        _integer('meta.seed', meta['seed'], 0, 2**32 - 1)
    _check_hub(hub, epoch)
    average = checkpoint.get('ema_state_dict')
    if isinstance(average, dict) and 'steps' in average:
        _integer('ema_state_dict.steps', average['steps'], 0, iteration)
    _check_stopping(checkpoint.get('early_stopping'), epoch)
    gradients = checkpoint.get('gradients', {})
    for name, gradient in _typed('gradients', gradients, dict).items():
        _finite(f'gradients.{name}', gradient)
    optimizer = checkpoint['optimizer']
    states = _typed('optimizer.state', optimizer.get('state'), dict)
    for index, state in states.items():
        for key, value in _typed(
            f'optimizer.state.{index}', state, dict
        ).items():
            field = f'optimizer.state.{index}.{key}'
            if key == 'step':
                _integer(field, value, 0, iteration)
            elif value is not None:
                _finite(field, value)
                negative = value < 0
                if isinstance(negative, torch.Tensor):
                    negative = bool(negative.any())
                if negative and key in SQUARES:
                    raise StateError(field, 'numbers of 0 or more', value)
    base = optimizer.get('base_param_settings')
    if base is not None:
        field = 'optimizer.base_param_settings'
        _finite(f'{field}.lr', _typed(field, base, dict).get('lr'))
    groups = optimizer.get('param_groups')
    for number, group in enumerate(
        _typed('optimizer.param_groups', groups, list)
    ):
        _typed(f'optimizer.param_groups.{number}', group, dict)
    for number, state in enumerate(checkpoint['param_schedulers']):
        _typed(f'param_schedulers.{number}', state, dict)


def _check_hub(hub: dict, epoch: int) -> None:
    for part in ('log_scalars', 'runtime_info', 'resumed_keys'):
        _typed(f'message_hub.{part}', hub.get(part), dict)
    for name, parts in hub['log_scalars'].items():
        if not (
            isinstance(parts, (list, tuple))
            and len(parts) == 2
            and all(isinstance(part, torch.Tensor) for part in parts)
            and parts[0].shape == parts[1].shape
            and parts[0].ndim == 1
            and not any(
                part.is_complex() or part.dtype == torch.bool for part in parts
            )
        ):
            field = f'message_hub.log_scalars.{name}'
            raise StateError(field, 'values and their counts', parts)
    for name, resumed in hub['resumed_keys'].items():
        if resumed is not True:  # MMEngine asserts this later
            field = f'message_hub.resumed_keys.{name}'
            raise StateError(field, 'True', resumed)
    for name, value in hub['runtime_info'].items():
        field = f'message_hub.runtime_info.{name}'
        if name.startswith('best_score') and value is not None:
            _finite(field, value)
        elif name.startswith('best_epoch'):
            _integer(field, value, 0, epoch)
        elif name in NOTED and not (
            isinstance(value, NOTED[name])
            or (value is None and NOTED[name] is dict)
        ):
            raise StateError(field, NOTED[name].__name__, value)
    info = hub['runtime_info']
    for name, kind in (
        (SKIPPED, str),
        ('resumed_although', str),
        (WENT_BACK, dict),
    ):
        for item in info.get(name, []):
            if not isinstance(item, kind):
                field = f'message_hub.runtime_info.{name}'
                raise StateError(field, f'list of {kind.__name__}', item)
    for retry in info.get(WENT_BACK, []):
        field = f'message_hub.runtime_info.{WENT_BACK}.back_to'
        _typed(field, retry.get('back_to'), str)


def _check_stopping(state: Any, epoch: int) -> None:
    if state is None:
        return
    field = 'early_stopping'
    _typed(field, state, dict)
    _integer(f'{field}.wait_count', state.get('wait_count'), 0, epoch + 1)
    _number(f'{field}.best_score', state.get('best_score'))
    _typed(f'{field}.stop_training', state.get('stop_training'), bool)


def check_states(checkpoint: dict, runner: Runner) -> None:
    """Compare the optimizer's and the schedules' states with the run's."""
    meta = checkpoint['meta']
    iteration = meta['epoch'] * len(runner.train_dataloader)
    if meta['iter'] != iteration:
        raise StateError('meta.iter', str(iteration), meta['iter'])
    check_optimizer_state(checkpoint, runner)
    _check_groups(checkpoint['optimizer']['param_groups'], runner)
    schedules = runner.param_schedulers or []
    states = checkpoint['param_schedulers']
    if len(states) != len(schedules):
        raise StateError(
            'param_schedulers', f'{len(schedules)} schedules', len(states)
        )
    for number, (schedule, state) in enumerate(
        zip(schedules, states, strict=True)
    ):
        done = meta['epoch'] if schedule.by_epoch else meta['iter']
        _check_schedule(f'param_schedulers.{number}', schedule, state, done)


def check_optimizer_state(checkpoint: dict, runner: Runner) -> None:
    """Compare each weight's state with the weight it is for."""
    optimizer = runner.optim_wrapper.optimizer
    own = optimizer.state_dict()['param_groups']
    groups = checkpoint['optimizer']['param_groups']
    if len(groups) != len(own):
        raise StateError(
            'optimizer.param_groups', f'{len(own)} groups', len(groups)
        )
    for number, (group, own_group) in enumerate(zip(groups, own, strict=True)):
        field = f'optimizer.param_groups.{number}.params'
        if not _equal(group.get('params'), own_group['params']):
            expected = f'the weights {own_group["params"]!r:.40}'
            raise StateError(field, expected, group.get('params'))
    weights = [w for group in optimizer.param_groups for w in group['params']]
    for index, state in checkpoint['optimizer']['state'].items():
        if type(index) is not int or not 0 <= index < len(weights):
            expected = f'a weight from 0 to {len(weights) - 1}'
            raise StateError('optimizer.state', expected, index)
        for key, value in state.items():
            shape = tuple(weights[index].shape)
            if (
                key in AS_WEIGHTS
                and value is not None
                and (tuple(getattr(value, 'shape', ())) != shape)
            ):
                field = f'optimizer.state.{index}.{key}'
                raise StateError(field, f'shape {shape}', value)


def _check_groups(groups: list[dict], runner: Runner) -> None:
    scheduled = {s.param_name for s in runner.param_schedulers or []}
    if 'momentum' in scheduled:
        scheduled.add('betas')  # Adam's
    own = runner.optim_wrapper.optimizer.param_groups
    for number, (group, own_group) in enumerate(zip(groups, own, strict=True)):
        highest = _highest(own_group)
        for key, value in own_group.items():
            field = f'optimizer.param_groups.{number}.{key}'
            if key == 'params' or key not in group:
                continue  # torch sets keys of later versions to defaults
            if key in ('lr', 'initial_lr'):
                _number(field, group[key], 0, highest)
            elif key in scheduled:
                _like(field, group[key], value)
                if key in ('betas', 'momentum'):
                    _shares(field, group[key])
            elif not _equal(group[key], value):
                raise StateError(field, repr(value), group[key])


def _check_schedule(field: str, schedule: Any, state: dict, done: int) -> None:
    own = {k: v for k, v in schedule.state_dict().items() if not callable(v)}
    for key in state.keys() - own.keys():
        # MMEngine would set it as an attribute of the schedule.
        raise StateError(field, f'{", ".join(own)}', key)
    for key, value in own.items():
        name = f'{field}.{key}'
        if key not in state:
            raise StateError(name, 'a value', None)
        if key not in PROGRESS:
            if not _equal(state[key], value):
                raise StateError(name, repr(value), state[key])
        elif key in ('last_step', '_global_step'):
            # Schedules that follow a metric count validations.
            _integer(name, state[key], -1, done + 1)
        elif key in ('num_bad_epochs', 'cooldown_counter'):
            _integer(name, state[key], 0, done + 1 + own.get('cooldown', 0))
        elif key in ('base_values', '_last_value'):
            _like(name, state[key], value)
            highest = max(map(_highest, schedule.optimizer.param_groups))
            for number in state[key]:
                _number(name, number, 0, highest)
        elif key == 'best':
            _number(name, state[key])


def _highest(group: dict) -> float:
    """The upper bound of learning rate and momentum."""
    return max(1.0, HIGHEST * float(group.get('initial_lr', group['lr'])))


def _like(field: str, value: object, own: object) -> None:
    """Require as many finite numbers as the run has."""
    values = value if isinstance(value, Sequence) else [value]
    count = len(own) if isinstance(own, Sequence) else 1
    if isinstance(value, str) or len(values) != count:
        raise StateError(field, f'{count} numbers', value)
    for number in values:
        _finite(field, number)


def _shares(field: str, value: object) -> None:
    for number in value if isinstance(value, Sequence) else [value]:
        _number(field, number, 0, 1)


def _equal(value: object, own: object) -> bool:
    """Whether a setting equals the run's; a list may equal a tuple."""
    if isinstance(own, (list, tuple)):
        return (
            isinstance(value, (list, tuple))
            and len(value) == len(own)
            and all(map(_equal, value, own))
        )
    if isinstance(own, dict):
        return (
            isinstance(value, dict)
            and value.keys() == own.keys()
            and all(_equal(value[key], own[key]) for key in own)
        )
    if isinstance(own, torch.Tensor) and isinstance(value, torch.Tensor):
        return torch.equal(value, own)
    if isinstance(own, torch.Tensor) or isinstance(value, torch.Tensor):
        return False
    return bool(value == own)


def _integer(field: str, value: Any, least: int, most: int) -> int:
    number = value
    if isinstance(value, torch.Tensor) and value.numel() == 1:
        number = value.item()  # as optimizers and averages count steps
        if isinstance(number, float) and number.is_integer():
            number = int(number)
    if type(number) is not int or not least <= number <= most:
        expected = f'an integer from {least} to {most}'
        raise StateError(field, expected, value)
    return number


def _number(
    field: str,
    value: Any,
    least: float = -math.inf,
    most: float = math.inf,
) -> None:
    if type(value) not in (int, float) or not least <= value <= most:
        raise StateError(field, f'a number from {least:g} to {most:g}', value)


def _finite(field: str, value: Any) -> None:
    if isinstance(value, torch.Tensor):
        sound = not value.is_complex() and bool(value.isfinite().all())
    else:
        sound = type(value) in (int, float, bool) and abs(value) < math.inf
    if not sound:
        raise StateError(field, 'finite numbers', value)


def _typed(field: str, value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise StateError(field, kind.__name__, value)
    return value


def _is_short(value: object) -> bool:
    """Whether its text is short; Python refuses to print huge integers."""
    if isinstance(value, int):
        return value.bit_length() < 200
    return isinstance(value, (str, float, bool, list, tuple, type(None))) and (
        not isinstance(value, (list, tuple)) or len(value) < 10
    )
