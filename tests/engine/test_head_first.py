"""The head solved before training, and alone."""

import json
from pathlib import Path

import forked
import pytest
import torch
from helpers import ROOT, tool
from run_differences import differences

from flower_mm.inference.model import plain_weights
from flower_mm.report.learning_curves import read_scalars

# Kills the run when the head is fitted.
DIE = """
import os, signal
from flower_mm.engine.hooks import head_first
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
head_first.fit = die
"""
# Kills the run when the first epoch begins.
DIE_LATER = """
import os, signal
from flower_mm.engine.hooks.train_dataset import EpochSeedHook
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
EpochSeedHook.before_train_epoch = die
"""
# It freezes its stages when train() is called, not when it is built.
FROZEN = """
_base_ = [{base!r}]
model = dict(
    type='ImageClassifier',
    backbone=dict(type='MobileNetV2', widen_factor=0.25, frozen_stages=4),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', in_channels=1280, cal_acc=True),
)
"""


@pytest.fixture
def first(config: Path, tmp_path: Path) -> Path:
    path = tmp_path / 'first.py'
    path.write_text(
        config.read_text('utf-8').replace(
            'head_first=None', "head_first=dict(type='HeadFirstHook')"
        )
    )
    return path


def state(path: Path) -> dict:
    return torch.load(path, weights_only=True)['state_dict']


@pytest.fixture(scope='module')
def alone(config, dataset, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp('alone') / 'run'
    log = run.with_name('log')
    forked.finish(
        log, 'train', config, '--data-root', dataset, '--work-dir', run,
        '--head-only', report=True,
    )  # fmt: skip
    return run


def test_alone_it_is_a_whole_training(alone, config, dataset):
    said = alone.with_name('log').read_text()
    assert 'head fitted on 39 photos in' in said
    assert 'epoch 0' in said
    found = torch.load(alone / 'best.pth', weights_only=True)['meta']
    top1 = found['metrics']['accuracy/top1']
    assert top1 > 60, said  # of three classes
    assert f'best accuracy {top1:.2f} %' in said
    record = json.loads((alone / 'run.json').read_text())
    assert record['status'] == 'finished'
    assert record['result']['best_epoch'] == 0
    assert record['head_first']['photos'] == 39
    assert (alone / 'report.html').is_file()
    done = tool('test', config, alone / 'best.pth', '--data-root', dataset)
    assert f'top-1 {top1:.2f} %' in done.stdout


def test_training_goes_on_from_it(first, dataset, tmp_path):
    run = tmp_path / 'run'
    forked.finish(
        tmp_path / 'log', 'train', first,
        '--data-root', dataset, '--work-dir', run,
    )  # fmt: skip
    scalars = read_scalars(run / 'scalars.json')
    validated = [r for r in scalars if 'accuracy/top1' in r]
    assert len(validated) == 3  # before the first epoch, and after both
    losses = [r['loss'] for r in scalars if 'loss' in r]
    assert losses[0] < 1.0  # log 3 is 1.1


def killed(script: str, config: Path, dataset: Path, folder: Path) -> list:
    """Train a whole run, and one that a script kills; its command line."""
    command = ['train', config, '--data-root', dataset, '--work-dir']
    forked.finish(folder / 'log', *command, folder / 'whole')
    (folder / 'die.py').write_text(script)
    command.append(folder / 'part')
    run = forked.start(folder / 'log1', *command, first=str(folder / 'die.py'))
    assert run.wait() == -9, run.text
    return command


def test_killed_while_it_is_fitted(alone, first, dataset, tmp_path):
    command = killed(DIE, first, dataset, tmp_path)
    # What it began with, of which fitting changes the head alone.
    path = tmp_path / 'part' / 'epoch_0.pth'
    start = plain_weights(torch.load(path, weights_only=True))
    fitted = state(alone / 'best.pth')
    changed = {k for k in start if not torch.equal(fitted[k], start[k])}
    assert changed == {'head.fc.weight', 'head.fc.bias'}
    forked.finish(tmp_path / 'log2', *command, '--resume')
    assert differences(tmp_path / 'whole', tmp_path / 'part') == []


def test_killed_behind_it(first, dataset, tmp_path):
    """It is neither fitted nor validated again."""
    command = killed(DIE_LATER, first, dataset, tmp_path)
    forked.finish(tmp_path / 'log2', *command, '--resume')
    assert 'head fitted' not in (tmp_path / 'log2').read_text()
    assert differences(tmp_path / 'whole', tmp_path / 'part') == []
    validated = [
        r
        for r in read_scalars(tmp_path / 'part' / 'scalars.json')
        if 'accuracy/top1' in r
    ]
    assert len(validated) == 3


# Notes the threads that are left at the end.
NOTES_THREADS = """
import os
from multiprocessing.util import Finalize
from pathlib import Path

def note():
    tasks = Path('/proc/self/task').glob('*')
    names = [(task / 'comm').read_text().strip() for task in tasks]
    note = Path(__file__).with_suffix('.' + os.environ['RANK'])
    note.write_text('\\n'.join(names))

Finalize(None, note, exitpriority=1)
"""


def test_two_processes_leave_frozen_stages_alone(dataset, tmp_path):
    """And nothing of the group is left that could abort Python's end."""
    noting = tmp_path / 'noting.py'
    noting.write_text(NOTES_THREADS)
    config = tmp_path / 'frozen.py'
    base = ROOT / 'configs' / '_base_' / 'flower_fast.py'
    config.write_text(
        FROZEN.format(base=str(base))
        + 'train_dataloader = dict(batch_size=4, num_workers=0)\n'
        'val_dataloader = dict(num_workers=0)\n'
        'train_cfg = dict(max_epochs=1)\n'
    )
    forked.finish_ranks(
        *(tmp_path, 'train', config, '--from-scratch', '--no-doctor'),
        *('--data-root', dataset, '--work-dir', tmp_path / 'run'),
        first=str(noting),
    )
    assert (tmp_path / 'run' / 'best.pth').is_file()
    for rank in '01':
        assert 'gloo' not in noting.with_suffix(f'.{rank}').read_text()


def test_two_processes_fit_the_same_head(alone, config, dataset, tmp_path):
    run = tmp_path / 'two'
    runs = forked.finish_ranks(
        *(tmp_path, 'train', config, '--head-only'),
        *('--data-root', dataset, '--work-dir', run, '--cfg-options'),
        # They live on between two validations, and past the last one.
        *('val_dataloader.num_workers=2',),
        *('val_dataloader.persistent_workers=True',),
    )
    # Their queues were closed in order.
    assert not any('Exception' in one.text for one in runs)
    one, two = state(alone / 'best.pth'), state(run / 'best.pth')
    for name, tensor in two.items():
        # Photos are computed in other batches, and so rounded otherwise.
        torch.testing.assert_close(tensor, one[name], rtol=1e-3, atol=1e-3)
    first, second = (
        json.loads((folder / 'run.json').read_text())['head_first']
        for folder in (alone, run)
    )
    assert {**second, 'seconds': 0} == {**first, 'seconds': 0}


def test_without_validation_the_first_checkpoint_has_the_head(
    first, dataset, tmp_path
):
    forked.finish(
        tmp_path / 'log', 'train', first, '--data-root', dataset,
        '--work-dir', tmp_path / 'run', '--no-validate',
        '--cfg-options', 'train_cfg.max_epochs=1',
    )  # fmt: skip
    # To which --retry-nan and --resume go back.
    assert state(tmp_path / 'run' / 'epoch_0.pth')['head.fc.bias'].any()


@pytest.mark.parametrize(
    'flags',
    [
        ['--no-validate'],
        ['--folds=2'],
        [
            *('--cfg-options', 'val_cfg=None'),
            *('val_dataloader=None', 'val_evaluator=None'),
        ],
    ],
)
def test_what_it_cannot_be_used_with(flags, config, dataset, tmp_path):
    run = forked.start(
        tmp_path / 'log', 'train', config, '--data-root', dataset,
        '--work-dir', tmp_path / 'run', '--head-only', *flags,
    )  # fmt: skip
    assert run.wait() == 2, run.text
    assert '--head-only needs validation' in run.text


def test_a_head_without_a_linear_layer(first, dataset, tmp_path):
    first.write_text(
        first.read_text()
        + "model['head'] = dict(type='ArcFaceClsHead', in_channels=32, "
        'num_classes=3)\n'
    )

    def train(*flags):
        return forked.start(
            tmp_path / 'log', 'train', first, '--data-root', dataset,
            '--work-dir', tmp_path / 'run', '--no-check', *flags,
        )  # fmt: skip

    run = train('--head-only')
    assert run.wait() == 2, run.text
    assert '--head-only fits a linear layer' in run.text
    run = train()
    assert run.wait() == 0, run.text
    record = json.loads((tmp_path / 'run' / 'run.json').read_text())
    assert record['head_first'] is None
