"""A loss that is NaN or Inf stops the run, or is undone by a retry."""

import json
from collections.abc import Callable
from pathlib import Path

import forked
import pytest

from flower_mm.report.learning_curves import read_scalars
from flower_mm.weights.read_checkpoint import read_checkpoint

SGD = ['optim_wrapper.optimizer.type=SGD', 'train_cfg.max_epochs=3']


@pytest.fixture
def train(config: Path, dataset: Path, tmp_path: Path) -> Callable:
    def run(*options: str, args: tuple = (), **how) -> forked.Run:
        run = forked.start(
            tmp_path / 'log',
            'train',
            config,
            *('--data-root', dataset, '--work-dir', tmp_path / 'run'),
            *args,
            *('--cfg-options', *options),
            **how,
        )
        run.wait()
        return run

    return run


def record(tmp_path: Path) -> dict:
    return json.loads((tmp_path / 'run' / 'run.json').read_text())


def test_the_first_loss_that_is_no_number_stops_the_run(train, tmp_path):
    run = train('optim_wrapper.optimizer.lr=1e30')
    assert run.process.exitcode == 2
    assert 'error: the loss is nan in iteration 2 of epoch 1' in run.text
    assert '--retry-nan' in run.text
    assert 'Traceback' not in run.text
    found = record(tmp_path)
    assert found['status'] == 'failed'
    assert found['at']['iteration'] == 2
    assert found['at']['rate'] > 1e29
    assert len(found['at']['photos']) == 8
    assert all(Path(photo).is_file() for photo in found['at']['photos'])
    # Neither log nor checkpoint has seen it.
    assert not (tmp_path / 'run' / 'best.pth').exists()
    for path in (tmp_path / 'run').glob('epoch_*.pth'):
        state = read_checkpoint(path)['state_dict']
        assert all(tensor.isfinite().all() for tensor in state.values())


# The step after the last sound loss of an epoch spoils the weights.
SPOILED = """
import math
from flower_mm.engine.hooks.finite_loss import FiniteLossHook
look = FiniteLossHook.after_train_iter
def spoil(self, runner, batch_idx, **kwargs):
    look(self, runner, batch_idx, **kwargs)
    if runner.epoch == 1 and batch_idx + 1 == len(runner.train_dataloader):
        next(runner.model.parameters()).data.fill_(math.nan)
FiniteLossHook.after_train_iter = spoil
"""


def test_spoiled_weights_are_not_kept(train, tmp_path):
    script = tmp_path / 'spoil.py'
    script.write_text(SPOILED)
    run = train('train_cfg.max_epochs=3', first=str(script))
    assert run.process.exitcode == 2
    assert (
        'the weights contain NaN or Inf in iteration 5 of epoch 2' in run.text
    )
    kept = sorted(p.name for p in (tmp_path / 'run').glob('*.pth'))
    assert kept == ['best.pth', 'epoch_0.pth', 'epoch_1.pth']


def test_going_back_slows_down_until_it_works(train, tmp_path):
    """From a rate of 30,000; after five tenths of it there are numbers."""
    run = train(
        *SGD, 'optim_wrapper.optimizer.lr=3e4', args=('--retry-nan=8',)
    )
    assert run.process.exitcode == 0, run.text
    found = record(tmp_path)
    times = len(found['went_back'])
    assert 1 <= times <= 8
    assert run.text.count('at 0.1 of the learning rate') == times
    rates = [
        line['lr']
        for line in read_scalars(tmp_path / 'run' / 'scalars.json')
        if 'loss' in line
    ]
    assert max(rates) <= 3e4 * 0.1**times * 1.001
    # A run that is resumed later stays as slow.
    last = read_checkpoint(tmp_path / 'run' / 'epoch_3.pth')
    (group, *_) = last['optimizer']['param_groups']
    assert group['initial_lr'] == pytest.approx(3e4 * 0.1**times)


def test_going_back_has_an_end(train, tmp_path):
    run = train(
        *SGD, 'optim_wrapper.optimizer.lr=1e12', args=('--retry-nan=2',)
    )
    assert run.process.exitcode == 2
    assert 'try 2 of 2' in run.text
    assert 'error: the loss is nan' in run.text
    assert len(record(tmp_path)['went_back']) == 2
