"""What stands on the disk while a run goes on."""

from types import SimpleNamespace

import pytest
import torch
from helpers import tool
from mmengine.logging import MessageHub

from flower_mm.engine.checkpoint_state import checkpoints
from flower_mm.engine.hooks.atomic_checkpoint import AtomicCheckpointHook
from flower_mm.weights.best_checkpoint import plain, write_best


def test_the_newest_is_the_highest_number_not_the_last_name(tmp_path):
    for number in (2, 9, 10):
        (tmp_path / f'epoch_{number}.pth').touch()
    names = [path.name for path in checkpoints(tmp_path)]
    assert names == ['epoch_2.pth', 'epoch_9.pth', 'epoch_10.pth']


def test_a_checkpoint_loads_without_an_allow_list(plain_run):
    found = torch.load(plain_run / 'epoch_2.pth', weights_only=True)
    assert found['meta']['epoch'] == 2
    assert found['meta']['cfg']['train_cfg']['max_epochs'] == 2
    assert 'optimizer' in found


def test_minus_one_keeps_them_all_as_in_mmengine(train):
    run = train(
        'run', '--cfg-options', 'default_hooks.checkpoint.max_keep_ckpts=-1'
    )
    names = [path.name for path in checkpoints(run)]
    assert names == ['epoch_0.pth', 'epoch_1.pth', 'epoch_2.pth']


def test_the_metric_that_decides(train, config, dataset, tmp_path):
    option = 'default_hooks.checkpoint.save_best'
    run = train('run', '--cfg-options', f'{option}=auto')
    assert (run / 'best.pth').is_file()
    done = tool(
        *('train', config, '--data-root', dataset, '--no-doctor'),
        *('--work-dir', tmp_path / 'other', '--cfg-options', f'{option}=f1'),
        check=False,
    )
    assert done.returncode == 2
    assert 'invalid save_best' in done.stderr
    assert "got 'f1'" in done.stderr
    assert f'{option}=accuracy/top1' in done.stderr


def test_best_pth_is_the_better_of_average_and_plain_weights(train):
    """A momentum so small that the average stays at the random start."""
    run = train('run', '--cfg-options', 'default_hooks.ema.momentum=1e-6')
    found = torch.load(run / 'best.pth', weights_only=True)['meta']
    metrics = found['metrics']
    assert metrics['accuracy/top1_plain'] > metrics['accuracy/top1_ema']
    assert found['weights'] == 'plain'
    assert metrics['accuracy/top1'] == metrics['accuracy/top1_plain']


def test_best_pth_of_the_average_measures_as_it_did(train, config, dataset):
    """The plain weights jump about; the average is ahead of them."""
    run = train(
        'run',
        '--cfg-options',
        'default_hooks.ema.momentum=0.3',
        'optim_wrapper.optimizer.lr=0.05',
        'train_cfg.max_epochs=4',
    )
    found = torch.load(run / 'best.pth', weights_only=True)['meta']
    metrics = found['metrics']
    assert metrics['accuracy/top1'] == max(
        metrics['accuracy/top1_plain'], metrics['accuracy/top1_ema']
    )
    done = tool('test', config, run / 'best.pth', '--data-root', dataset)
    assert f'top-1 {metrics["accuracy/top1"]:.2f} %' in done.stdout


def test_plain_values_of_all_that_a_config_may_hold(tmp_path):
    import numpy as np
    from mmengine.config import ConfigDict

    meta = plain(
        {
            'cfg': ConfigDict(a=(1, [2.5]), path=tmp_path, kind=dict),
            1: np.float32(0.5),
            'rows': np.arange(3),
            'tensor': torch.ones(2),
        }
    )
    assert meta['cfg'] == {
        'a': (1, [2.5]),
        'path': str(tmp_path),
        'kind': 'dict',
    }
    assert type(meta['cfg']) is dict
    assert meta['1'] == 0.5
    assert meta['rows'] == [0, 1, 2]
    assert meta['tensor'] == [1.0, 1.0]
    write_best(tmp_path / 'b.pth', {'w': torch.ones(1)}, meta)
    assert torch.load(tmp_path / 'b.pth', weights_only=True)['meta'] == meta


@pytest.mark.parametrize(
    ('margin', 'scores', 'kept'),
    [
        (0.0, [80, 90, 85, 90], 1),
        (6.0, [80, 90, 85, 90], 3),
        (6.0, [80, 90, 85, 83], 2),  # each against the highest of all
        (6.0, [80, 90, 85, 80], 2),
        (6.0, [90, 83, 83, 83], 0),
    ],
)
def test_the_last_epoch_that_may_be_the_best(
    margin, scores, kept, monkeypatch
):
    hook = AtomicCheckpointHook()
    written = []
    monkeypatch.setattr(
        hook, '_write_best', lambda *args: written.append(runner.epoch)
    )
    monkeypatch.setattr(hook, '_epoch_is_over', lambda *_: None)
    hook.ahead = {}
    hub = MessageHub('margin')
    runner = SimpleNamespace(
        message_hub=hub, val_loop=SimpleNamespace(margin=margin)
    )
    for runner.epoch, score in enumerate(scores):
        hook.after_val_epoch(runner, {'accuracy/top1': float(score)})
    assert written[-1] == hub.get_info('best_epoch') == kept
    assert hub.get_info('best_score') == scores[kept]
    # Other metrics have no margin.
    other = AtomicCheckpointHook(save_best='f1')
    other.ahead = {}
    monkeypatch.setattr(other, '_write_best', lambda *args: None)
    monkeypatch.setattr(other, '_epoch_is_over', lambda *_: None)
    hub.runtime_info.clear()
    for runner.epoch, score in enumerate(scores):
        other.after_val_epoch(runner, {'f1': float(score)})
    assert hub.get_info('best_epoch') == scores.index(max(scores))
