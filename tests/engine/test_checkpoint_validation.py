"""Hostile values in a checkpoint: refused, or trained on; never a fault."""

import copy
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import forked
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import RUNNERS

from flower_mm.cli.training_flags import parse_training
from flower_mm.config import apply_dataset, read_config
from flower_mm.engine.checkpoint_validation import check_states, check_stored
from flower_mm.engine.resolved_run import with_command_line
from flower_mm.errors import UserError

HOSTILE = [
    2**59,
    -1,
    1e300,
    -1e300,
    float('nan'),
    float('inf'),
    10**400,
    True,
    None,
    'x',
    '9' * 10_000,
    b'x',
    [],
    [1.0] * 3,
    {},
    {'x': 1},
    torch.tensor(float('nan')),
    torch.ones(2, 3),
    torch.ones(0),
    torch.tensor(1 + 2j),
    torch.tensor(2**59),
]
ANYWAY = [
    '--resume-anyway',
    '--cfg-options',
    'optim_wrapper.optimizer.weight_decay=0.01',
]
# Weights are checked where they are loaded.
SKIPPED = {'state_dict', 'ema_state_dict', 'cfg', 'versions', 'run'}
VARIANTS = {
    'AdamW': '',
    'SGD, plateau and early stopping': """
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='SGD', lr=0.05, momentum=0.9,
                   weight_decay=1e-4))
param_scheduler = [
    dict(type='ReduceOnPlateauLR', monitor='cross_entropy', patience=0),
    dict(type='MultiStepLR', milestones=[1, 2])]
custom_hooks = [
    dict(type='EarlyStoppingHook', monitor='cross_entropy', rule='less')]
""",
    'one cycle, momentum and accumulation': """
optim_wrapper.update(accumulative_counts=3)
param_scheduler = [
    dict(type='OneCycleLR', eta_max=3e-3, total_steps=10, by_epoch=False),
    dict(type='StepMomentum', step_size=1, gamma=0.5)]
""",
}


def leaves(part: object, way: tuple = ()) -> Iterator[tuple]:
    """The way to each value that is not a container, and to containers."""
    yield way
    if isinstance(part, dict):
        items = part.items()
    elif isinstance(part, (list, tuple)):
        items = enumerate(part)
    else:
        return
    for key, value in items:
        if key not in SKIPPED:
            yield from leaves(value, (*way, key))


def replaced(part: object, way: tuple, value: object) -> object:
    """A copy of the containers on the way, with the value at its end."""
    if not way:
        return value
    key, *rest = way
    if isinstance(part, dict):
        return part | {key: replaced(part[key], rest, value)}
    items = list(part)
    items[key] = replaced(items[key], rest, value)
    return type(part)(items)


@pytest.fixture(scope='module', params=VARIANTS.values(), ids=VARIANTS)
def begun(request, config, dataset, tmp_path_factory):
    """A config and the run of it."""
    folder = tmp_path_factory.mktemp('begun')
    variant = folder / 'variant.py'
    variant.write_text(config.read_text('utf-8') + request.param, 'utf-8')
    words = [variant, '--data-root', dataset, '--work-dir', folder / 'run']
    forked.finish(folder / 'log', 'train', *words)
    return variant, folder / 'run' / 'epoch_1.pth'


@pytest.fixture(scope='module')
def checked(begun, dataset, tmp_path_factory) -> Callable[[dict], None]:
    """Check a checkpoint against the built run."""
    variant, _ = begun
    folder = tmp_path_factory.mktemp('checked')
    words = [variant, '--data-root', dataset, '--work-dir', folder]
    args = parse_training(list(map(str, words)))
    cfg = read_config(args.config)
    cfg = with_command_line(cfg, args)
    apply_dataset(cfg)
    cfg.experiment_name = folder.name
    cfg.visualizer.name = folder.name
    cfg.default_hooks = ConfigDict()
    runner = RUNNERS.build(cfg)
    _ = runner.train_loop
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.param_schedulers = runner.build_param_scheduler(
        runner.param_schedulers
    )

    def check(checkpoint: dict) -> None:
        check_stored(checkpoint)
        check_states(checkpoint, runner)

    return check


def test_every_value_of_a_state_may_be_hostile(begun, checked):
    found = torch.load(begun[1], weights_only=True)
    checked(found)
    refused, longest = [], 0
    ways = [way for way in leaves(found) if len(way) > 1]
    for way in random.Random(0).sample(ways, 40):
        for value in HOSTILE:
            forged = replaced(found, way, copy.deepcopy(value))
            try:
                checked(forged)
            except UserError as error:
                refused.append(way)
                longest = max(longest, len(str(error)))
    assert longest < 400
    assert len(refused) > 150


@pytest.mark.parametrize(
    ('way', 'value'),
    [
        ('meta.epoch', -1),
        ('meta.epoch', 2**59),
        ('meta.iter', 2**59),
        ('meta.iter', 7),
        ('meta.seed', 2**70),
        ('optimizer.param_groups.0.lr', 1e300),
        ('optimizer.param_groups.0.lr', float('nan')),
        ('optimizer.param_groups.0.lr', -1.0),
        ('optimizer.param_groups.0.initial_lr', 1e300),
        ('optimizer.param_groups.0.params', [0, 0]),
        ('optimizer.param_groups.1', {}),
        ('param_schedulers.0.last_step', 2**59),
        ('param_schedulers.0.begin', 1),
        ('message_hub.log_scalars.train/loss', [1, 2]),
        ('message_hub.resumed_keys.train/loss', False),
        ('message_hub.runtime_info.went_back', [5]),
        ('message_hub.runtime_info.best_score', float('nan')),
    ],
)
def test_the_field_is_named(way, value, begun, checked):
    found = torch.load(begun[1], weights_only=True)
    keys = [int(key) if key.isdigit() else key for key in way.split('.')]
    if isinstance(found['optimizer']['param_groups'], list) and (
        keys[:2] == ['optimizer', 'param_groups']
        and keys[2] >= len(found['optimizer']['param_groups'])
    ):
        found['optimizer']['param_groups'].append(value)
    else:
        found = replaced(found, tuple(keys), value)
    with pytest.raises(UserError, match=keys[-1] if keys[-1] != 1 else 'par'):
        checked(found)


@pytest.mark.parametrize('begun', [VARIANTS['AdamW']], indirect=True)
def test_a_negative_variance_is_refused(begun):
    """Its root is NaN, which would be found an iteration later."""
    found = torch.load(begun[1], weights_only=True)
    check_stored(found)
    found['optimizer']['state'][0]['exp_avg_sq'][0] = -1.0
    with pytest.raises(UserError, match=r'state\.0\.exp_avg_sq'):
        check_stored(found)


def _make_rate_invalid(checkpoint: dict) -> None:
    checkpoint['optimizer']['param_groups'][0]['lr'] = 1e300


def _spoil_momentum(checkpoint: dict) -> None:
    checkpoint['optimizer']['state'][0]['exp_avg'].fill_(float('nan'))


@pytest.mark.parametrize(
    ('forge', 'flag', 'code'),
    [
        (lambda c: c['meta'].update(iter=2**59), [], 2),
        (_spoil_momentum, ANYWAY, 2),
        (_make_rate_invalid, [], 2),
        # Settings of the optimizer are the config's.
        (_make_rate_invalid, ANYWAY, 0),
    ],
    ids=['iter', 'momentum', 'lr', 'lr anyway'],
)
def test_the_tool_ends_with_2_or_trains(
    forge, flag, code, plain_run, config, dataset, tmp_path
):
    found = torch.load(plain_run / 'epoch_1.pth', weights_only=True)
    forge(found)
    torch.save(found, tmp_path / 'epoch_1.pth')
    assert _resumed(config, dataset, tmp_path, *flag) == code


@pytest.mark.nightly
def test_the_tool_never_faults(begun, dataset, tmp_path):
    variant, path = begun
    found = torch.load(path, weights_only=True)
    ways = [w for w in leaves(found) if len(w) > 1 and not SKIPPED & set(w)]
    draw = random.Random(0)
    for number in range(60):
        way, value = draw.choice(ways), draw.choice(HOSTILE)
        torch.save(replaced(found, way, value), tmp_path / 'epoch_1.pth')
        flag = ANYWAY if number % 2 else []
        code = _resumed(variant, dataset, tmp_path, *flag)
        assert code in (0, 2), (way, value)


def _resumed(config: Path, dataset: Path, folder: Path, *args: str) -> int:
    run = forked.start(
        folder / 'log',
        'train',
        config,
        *('--data-root', dataset, '--work-dir', folder / 'run'),
        *('--resume', folder / 'epoch_1.pth', *args),
    )
    code = run.wait()
    assert 'Traceback' not in run.text
    return code
