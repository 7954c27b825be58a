"""Going on with a run that was killed, and refusing to go on with another."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import forked
import numpy as np
import pytest
import torch
from helpers import draw_photo, tool
from mmengine.logging import HistoryBuffer
from run_differences import differences

from flower_mm.report.learning_curves import read_scalars

EPOCHS = 3
# Kills the run when the checkpoint of epoch STOP_AFTER stands.
STOP = """
import os, signal
from flower_mm.engine.hooks.atomic_checkpoint import AtomicCheckpointHook
save = AtomicCheckpointHook.save
def save_and_die(self, runner, epoch):
    save(self, runner, epoch)
    if epoch == int(os.environ['STOP_AFTER']):
        os.kill(os.getpid(), signal.SIGKILL)
AtomicCheckpointHook.save = save_and_die
"""
# Kills it in the third iteration of the second epoch.
IN_MIDDLE = """
import os, signal
from flower_mm.engine.hooks.finite_loss import FiniteLossHook
def die(self, runner, batch_idx, **_):
    if runner.epoch == 1 and batch_idx == 2:
        os.kill(os.getpid(), signal.SIGKILL)
FiniteLossHook.after_train_iter = die
"""
# What is put below the small config, and so differs from how it comes. The
# first three in each run of the tests, the others nightly.
VARIANTS = {
    'as it comes': '',
    # The loader draws seeds for its workers, the model draws its own.
    'mixup and workers': """
model.update(train_cfg=dict(augments=dict(type='Mixup', alpha=0.8)))
train_dataloader.update(num_workers=2, persistent_workers=True)
""",
    # Five iterations an epoch: a step is left unfinished at each end.
    'accumulation': 'optim_wrapper.update(accumulative_counts=3)',
    'without EMA': 'default_hooks = dict(ema=None)',
    'workers': """
train_dataloader.update(num_workers=2)
val_dataloader.update(num_workers=1)
""",
    'mixup': """
model.update(train_cfg=dict(augments=[
    dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]))
""",
    'dropout': """
model.update(
    head=dict(
        type='StackedLinearClsHead', num_classes=1, in_channels=32,
        mid_channels=[16], dropout_rate=0.5, cal_acc=True))
""",
    'one cycle': """
param_scheduler = [
    dict(type='OneCycleLR', eta_max=3e-3, total_steps=15, by_epoch=False)]
""",
    'plateau': """
param_scheduler = [
    dict(type='ReduceOnPlateauLR', monitor='cross_entropy', patience=0,
         threshold=10.0)]
""",
    # Nothing gets better by 5, so that it stops after the second epoch.
    'early stopping': """
custom_hooks = [
    dict(type='EarlyStoppingHook', monitor='cross_entropy', rule='less',
         min_delta=5.0, patience=1)]
""",
    'head first': """
default_hooks = dict(head_first=dict(type='HeadFirstHook'))
""",
    'momentum and steps': """
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='SGD', lr=0.05, momentum=0.9,
                   weight_decay=1e-4))
param_scheduler = [dict(type='StepLR', step_size=1, gamma=0.5)]
""",
}


class Runs:
    """The same training, whole or killed at a chosen moment."""

    def __init__(self, config: Path, dataset: Path, folder: Path) -> None:
        self.config, self.dataset, self.folder = config, dataset, folder

    def start(self, name: str, *args: str | Path, **how) -> forked.Run:
        given = [str(arg) for arg in args]
        if '--cfg-options' not in given:
            given.append('--cfg-options')
        return forked.start(
            self.folder / f'{name}.log',
            'train',
            self.config,
            *('--data-root', self.dataset),
            *('--work-dir', self.folder / name),
            *given,
            f'train_cfg.max_epochs={EPOCHS}',
            **how,
        )

    def finish(self, name: str, *args: str | Path) -> str:
        run = self.start(name, *args)
        assert run.wait() == 0, run.text
        return run.text

    def kill_after(self, epoch: int, name: str, *args: str) -> Path:
        script = self.folder / 'stop.py'
        script.write_text(STOP)
        run = self.start(
            name, *args, first=str(script), env={'STOP_AFTER': str(epoch)}
        )
        assert run.wait() == -9, run.text
        return self.folder / name

    def refused(self, name: str, *args: str | Path) -> str:
        run = self.start(name, *args)
        assert run.wait() == 2, run.text
        assert 'Traceback' not in run.text
        return run.text


def tensors_that_differ(one: Path, two: Path) -> list[str]:
    """Of runs in folders of different names, which stand in their configs."""
    found = differences(one, two)
    return [where for where in found if re.search('state_dict|optim', where)]


@pytest.fixture
def runs(config: Path, dataset: Path, tmp_path: Path) -> Runs:
    return Runs(config, dataset, tmp_path)


@pytest.fixture(scope='module')
def killed(
    config: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Path], Path]:
    """Copies of a run that was killed after its second epoch."""
    runs = Runs(config, dataset, tmp_path_factory.mktemp('killed'))
    run = runs.kill_after(2, 'run')
    return lambda where: Path(shutil.copytree(run, where / 'run'))


@pytest.fixture(scope='module')
def whole(
    config: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The run that nobody killed. Tests leave it alone."""
    runs = Runs(config, dataset, tmp_path_factory.mktemp('whole'))
    runs.finish('run')
    return runs.folder / 'run'


@pytest.mark.parametrize(
    'more',
    [
        pytest.param(
            more, id=name, marks=[pytest.mark.nightly] if number > 2 else []
        )
        for number, (name, more) in enumerate(VARIANTS.items())
    ],
)
def test_killed_between_epochs_and_resumed_is_never_killed(
    more, runs, tmp_path
):
    variant = tmp_path / 'variant.py'
    variant.write_text(runs.config.read_text('utf-8') + more)
    runs.config = variant
    runs.finish('whole')
    runs.kill_after(1, 'part')
    runs.finish('part', '--resume')
    assert differences(tmp_path / 'whole', tmp_path / 'part') == []


@pytest.mark.parametrize(
    'epoch',
    [0, *(pytest.param(e, marks=pytest.mark.nightly) for e in (1, 2))],
)
def test_bfloat16_and_every_epoch(epoch, runs, tmp_path):
    runs.finish('whole', '--amp')
    runs.kill_after(epoch, 'part', '--amp')
    runs.finish('part', '--amp', '--resume')
    assert differences(tmp_path / 'whole', tmp_path / 'part') == []


def test_killed_in_the_middle_of_an_epoch(runs, tmp_path):
    """And resumed with another number of workers."""
    runs.finish('whole')
    script = tmp_path / 'die.py'
    script.write_text(IN_MIDDLE)
    assert runs.start('part', first=str(script)).wait() == -9
    runs.finish(
        'part', '--resume', '--cfg-options', 'train_dataloader.num_workers=2'
    )
    found = differences(tmp_path / 'whole', tmp_path / 'part')
    assert [f for f in found if 'workers' not in f] == []


def test_a_run_that_is_done_stays_as_it_is(runs, tmp_path):
    runs.finish('run')
    before = (tmp_path / 'run' / 'best.pth').read_bytes()
    assert 'epoch 3/3' not in runs.finish('run', '--resume')
    assert (tmp_path / 'run' / 'best.pth').read_bytes() == before


@pytest.mark.parametrize('damage', ['bit', 'empty'])
def test_a_damaged_checkpoint_is_passed_over(
    damage, whole, killed, runs, tmp_path
):
    run = killed(tmp_path)
    newest = run / 'epoch_2.pth'
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content if damage == 'bit' else b'')
    text = runs.finish('run', '--resume')
    assert f'passed over: {newest}' in text
    record = json.loads((run / 'run.json').read_text())
    assert record['resumed_at_epoch'] == 1
    assert tensors_that_differ(whole, run) == []


def test_nothing_whole_is_not_nothing(killed, runs, tmp_path):
    run = killed(tmp_path)
    for path in run.glob('epoch_*.pth'):
        path.write_bytes(path.read_bytes()[:1000])
    text = runs.refused('run', '--resume')
    assert 'none of the 2 checkpoints' in text
    assert (run / 'best.pth').is_file()


def test_weights_alone_cannot_be_resumed(killed, runs, tmp_path):
    run = killed(tmp_path)
    text = runs.refused('run', '--resume', str(run / 'best.pth'))
    assert 'holds no optimizer' in text


@pytest.mark.parametrize(
    'changes',
    [
        {
            'optim_wrapper.optimizer.lr=1e-3': 'lr was 0.003, is 0.001',
            'model.backbone.norm_cfg.num_groups=2': 'groups was 4, is 2',
            'train_dataloader.batch_size=4': 'batch_size was 8, is 4',
            'param_scheduler.1.eta_min_ratio=0.5': 'was 0.01, is 0.5',
            'default_hooks.ema.momentum=0.5': 'momentum was 0.01, is 0.5',
            'randomness.seed=5': 'seed was 0, is 5',
        },
        {'default_hooks.ema=None': "was 'EMAHook', is not set"},
    ],
)
def test_another_run_is_not_resumed(changes, killed, runs, tmp_path):
    run = killed(tmp_path)
    before = {path.name for path in run.iterdir()}
    text = runs.refused('run', '--resume', '--cfg-options', *changes)
    for change in changes.values():
        assert change in text
    assert '--resume-anyway' in text
    assert {path.name for path in run.iterdir()} == before


def test_other_photos_and_other_classes_are_seen(
    killed, runs, photos, tmp_path
):
    killed(tmp_path)
    more = shutil.copytree(photos, tmp_path / 'more')
    draw_photo(more / 'red' / 'new.jpg', 1, 99)
    runs.dataset = tmp_path / 'other'
    tool('prepare_dataset', more, '--out', runs.dataset, '--val', '0.3')
    assert 'photos or classes of' in runs.refused('run', '--resume')
    for number in range(8):
        draw_photo(more / 'green' / f'{number}.jpg', 3, number)
    runs.dataset = tmp_path / 'classes'
    tool('prepare_dataset', more, '--out', runs.dataset, '--val', '0.3')
    text = runs.refused('run', '--resume')
    assert 'num_classes was 3, is 4' in text
    # Told to, it goes on: the classifier anew, the rest as it was.
    text = runs.finish('run', '--resume-anyway')
    assert 'tensors do not fit' in text
    record = json.loads((tmp_path / 'run' / 'run.json').read_text())
    assert record['result']['epochs'] == EPOCHS
    assert any('num_classes' in line for line in record['resumed_although'])


def test_resume_anyway_takes_up_the_new_schedule(killed, runs, tmp_path):
    """Five epochs instead of three: the rates of a run of five from there."""
    run = killed(tmp_path)
    longer = ['--cfg-options', 'optim_wrapper.optimizer.lr=2e-3']
    script = tmp_path / 'nothing.py'
    script.write_text('')

    def five(name: str, *args: str) -> dict:
        # The last of two equal options holds.
        run = forked.start(
            tmp_path / f'{name}.log',
            'train',
            runs.config,
            *('--data-root', runs.dataset),
            *('--work-dir', tmp_path / name),
            *args,
            *longer,
            'train_cfg.max_epochs=5',
        )
        assert run.wait() == 0, run.text
        return {
            line['step']: line['lr']
            for line in read_scalars(tmp_path / name / 'scalars.json')
            if 'loss' in line
        }

    expected = five('five')
    rates = five('run', '--resume-anyway')
    per_epoch = max(rates) // 5
    later = [step for step in rates if step > 2 * per_epoch]
    assert later
    assert [rates[s] for s in later] == [expected[s] for s in later]
    assert len(list(run.glob('epoch_*.pth'))) == 2


def test_resume_anyway_with_other_settings_of_some_weights(
    killed, runs, tmp_path
):
    """The groups of the optimizer change, so that its state is new."""
    run = killed(tmp_path)
    runs.finish(
        'run',
        '--resume-anyway',
        '--cfg-options',
        'optim_wrapper.paramwise_cfg.norm_decay_mult=1.0',
    )
    assert (run / f'epoch_{EPOCHS}.pth').is_file()


def test_a_run_folder_may_be_moved_and_a_checkpoint_named(
    killed, runs, tmp_path
):
    run = killed(tmp_path)
    run.rename(tmp_path / 'moved')
    runs.finish('moved', '--resume')
    record = json.loads((tmp_path / 'moved' / 'run.json').read_text())
    assert record['resumed_at_epoch'] == 2
    # Into another folder, with the best so far.
    source = killed(tmp_path) / 'epoch_2.pth'
    runs.finish('elsewhere', '--resume', source)
    assert (
        tensors_that_differ(tmp_path / 'moved', tmp_path / 'elsewhere') == []
    )


def test_a_named_checkpoint_puts_later_ones_aside(runs, tmp_path):
    runs.finish('run')
    last = torch.load(tmp_path / 'run' / 'epoch_3.pth', weights_only=True)
    runs.finish('run', '--resume', tmp_path / 'run' / 'epoch_2.pth')
    again = torch.load(tmp_path / 'run' / 'epoch_3.pth', weights_only=True)
    assert all(
        torch.equal(last['state_dict'][key], again['state_dict'][key])
        for key in last['state_dict']
    )
    (kept,) = (tmp_path / 'run' / 'earlier').iterdir()
    assert (kept / 'epoch_3.pth').is_file()


def test_a_checkpoint_as_mmengine_writes_it(killed, runs, tmp_path):
    """Its config is text, which nobody reads; told to, it goes on."""
    path = killed(tmp_path) / 'epoch_2.pth'
    found = torch.load(path, weights_only=True)
    logs = HistoryBuffer([1.0, 0.5], [1, 1])
    found['meta'] = {
        'epoch': 2,
        'iter': found['meta']['iter'],
        'seed': 0,
        'cfg': 'import os\nmodel = dict()\n',
    }
    found['message_hub'] = {
        'log_scalars': {'train/loss': logs},
        'runtime_info': {'best_score': np.float64(0.5), 'best_ckpt': 'x.pth'},
        'resumed_keys': {'train/loss': True},
    }
    del found['ema_state_dict']
    stock = tmp_path / 'stock.pth'
    torch.save(found, stock)
    text = runs.refused('run', '--resume', stock)
    assert 'no record of its config' in text
    text = runs.finish('run', '--resume', stock, '--resume-anyway')
    assert 'epoch 3/3' in text


def test_a_checkpoint_without_averaged_weights_is_noted(
    killed, runs, tmp_path
):
    run = killed(tmp_path)
    whole = shutil.copytree(run, tmp_path / 'whole')
    assert 'ema_state_dict' not in runs.finish(whole.name, '--resume')
    found = torch.load(run / 'epoch_2.pth', weights_only=True)
    del found['ema_state_dict']
    torch.save(found, run / 'epoch_2.pth')
    text = runs.finish('run', '--resume')
    (line,) = [line for line in text.splitlines() if 'ema_state_dict' in line]
    assert line.startswith('warning: ')
    assert str(run / 'epoch_2.pth') in line
    last = torch.load(run / 'epoch_3.pth', weights_only=True)
    assert last['ema_state_dict']['steps'] == 5


def test_strange_files_in_the_folder_are_left_alone(killed, runs, tmp_path):
    run = killed(tmp_path)
    shutil.copy(run / 'epoch_2.pth', run / 'epoch_2 (copy).pth')
    (run / 'epoch_best.pth').write_bytes(b'')
    (run / 'epoch_9.pth').mkdir()
    runs.finish('run', '--resume')
    assert (run / 'epoch_2 (copy).pth').is_file()
    assert (run / 'epoch_2.pth').is_file()
    assert (run / 'epoch_3.pth').is_file()


def test_a_damaged_checkpoint_does_not_cost_the_last_whole_one(
    killed, runs, tmp_path
):
    """Killed again before the next one stands, with one to be kept."""
    run = killed(tmp_path)
    newest = run / 'epoch_2.pth'
    newest.write_bytes(newest.read_bytes()[:1000])
    script = tmp_path / 'die.py'
    script.write_text(IN_MIDDLE)
    again = runs.start(
        *('run', '--resume', '--cfg-options'),
        'default_hooks.checkpoint.max_keep_ckpts=1',
        first=str(script),
    )
    assert again.wait() == -9
    runs.finish('run', '--resume')


def test_a_best_from_ahead_is_not_given_up_for_less(runs, tmp_path):
    """Checkpoints every third epoch: best.pth is ahead of them."""
    rare = ['--cfg-options', 'default_hooks.checkpoint.interval=3']
    script = tmp_path / 'die.py'
    script.write_text(IN_MIDDLE)
    run = tmp_path / 'run'
    assert runs.start('run', *rare, first=str(script)).wait() == -9
    assert [p.name for p in run.glob('epoch_*')] == ['epoch_0.pth']
    best = torch.load(run / 'best.pth', weights_only=True)
    best['meta']['metrics']['accuracy/top1'] = 1000.0
    best['meta']['epoch'] = 2
    torch.save(best, run / 'best.pth')
    runs.finish('run', '--resume', *rare)
    kept = torch.load(run / 'best.pth', weights_only=True)['meta']
    assert kept['metrics']['accuracy/top1'] == 1000.0


def test_a_damaged_best_is_replaced(killed, runs, tmp_path):
    run = killed(tmp_path)
    (run / 'best.pth').write_bytes(b'rubbish')
    text = runs.finish('run', '--resume')
    assert 'the best epoch counts from now on' in text
    assert (
        torch.load(run / 'best.pth', weights_only=True)['meta']['epoch'] == 3
    )


def test_another_run_in_the_folder_is_put_aside(killed, runs, tmp_path):
    source = killed(tmp_path) / 'epoch_2.pth'
    runs.finish('other', '--seed', '1')
    before = (tmp_path / 'other' / 'best.pth').read_bytes()
    runs.finish('other', '--resume', source)
    (kept,) = (tmp_path / 'other' / 'earlier').iterdir()
    assert (kept / 'best.pth').read_bytes() == before
    assert (tmp_path / 'other' / 'best.pth').read_bytes() != before


@pytest.mark.parametrize(
    'forge',
    [
        lambda c: c['meta']['cfg'].update(model={'a': torch.ones(2)}),
        lambda c: c.pop('param_schedulers'),
        lambda c: c['optimizer']['state'][0].update(exp_avg=torch.ones(1)),
        lambda c: c.update(optimizer={}),
    ],
)
def test_a_forged_checkpoint_ends_in_a_line_of_ours(
    forge, killed, runs, tmp_path
):
    path = killed(tmp_path) / 'epoch_2.pth'
    found = torch.load(path, weights_only=True)
    forge(found)
    torch.save(found, path)
    text = runs.refused('run', '--resume', path)
    assert str(path) in text
