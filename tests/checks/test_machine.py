"""Cores, memory, disk and devices that are too few, too small or unused."""

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from examining import TINY_ON_BASE, Examined, look_at, opened, write
from making import make_dataset

from flower_mm.checks import disk, hardware
from flower_mm.checks.context import CheckContext
from flower_mm.machine_failures import SHARED_MEMORY

RESNET18 = "_base_ = ['mmpretrain::_base_/models/resnet18.py', 'BASE']\n"
STOCK = """
_base_ = [
    'mmpretrain::_base_/models/resnet18.py',
    'mmpretrain::_base_/datasets/imagenet_bs32.py',
    'mmpretrain::_base_/schedules/imagenet_bs256.py',
    'mmpretrain::_base_/default_runtime.py',
]
custom_imports = dict(imports=['flower_mm.engine'])
photos = dict(
    _delete_=True, type='flower_mm.FlowerDataset', data_root='x',
    pipeline=_base_.test_pipeline)
train_dataloader = dict(dataset=dict(split='train', **photos))
val_dataloader = dict(dataset=dict(split='val', **photos))
test_dataloader = val_dataloader
"""


@pytest.fixture
def context(tmp_path: Path) -> Callable[..., CheckContext]:
    counts = {'rose': 6, 'tulip': 6}
    root = make_dataset(tmp_path / 'mine', train=counts, val=counts)

    def open_(text: str = '', *words: str) -> CheckContext:
        path = write(tmp_path, text if '_base_' in text else TINY + text)
        usual = ('--data-root', root, '--device', 'cpu')
        return opened(path, *usual, '--work-dir', tmp_path / 'run', *words)

    return open_


TINY = TINY_ON_BASE


def found(check, ctx: CheckContext) -> Examined:
    return Examined(list(check.check(ctx)), ctx)


# --- hardware ----------------------------------------------------------------


def test_more_workers_than_cores(context):
    text = "train_dataloader['num_workers'] = 1000\n"
    finding = found(hardware, context(text)).one('HW001')
    assert finding.where == 'train_dataloader.num_workers'
    words = shlex.split(finding.fix)
    assert found(hardware, context(text, *words)).of('HW001') == []


def test_workers_of_all_processes(context, monkeypatch):
    monkeypatch.setattr(hardware, 'cores', lambda: 4)
    ctx = context("train_dataloader['num_workers'] = 4\n")
    assert found(hardware, ctx).of('HW001') == []
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '4')
    ctx.cfg.launcher = 'pytorch'
    finding = found(hardware, ctx).one('HW001')
    assert 'each of 4 process(es) share 4 cores' in finding.message
    assert finding.fix == '--workers 1'


def test_a_gpu_that_waits(context, monkeypatch):
    ctx = context()
    assert found(hardware, ctx).of('HW002') == []
    monkeypatch.setattr(hardware.torch.cuda, 'device_count', lambda: 4)
    ctx.device = 'cuda'
    seen = found(hardware, ctx)
    assert [f.code for f in seen.findings] == ['HW002', 'HW005']
    assert seen.one('HW005').fix.startswith('tools/dist_train.sh')


@pytest.mark.parametrize(
    ('has', 'words', 'expected'),
    [
        (False, ('--amp',), {'W HW003 optim_wrapper.type'}),
        (False, (), set()),
        (True, (), {'N HW004 optim_wrapper.type'}),
        (True, ('--amp',), set()),
        (None, ('--amp',), set()),
    ],
)
def test_bfloat16(has, words, expected, context, monkeypatch):
    monkeypatch.setattr(hardware, '_computes_bf16', lambda: has)
    assert found(hardware, context('', *words)).rows(0) == expected


def test_a_log_that_needs_a_package(context, monkeypatch):
    text = "visualizer = dict(vis_backends=[dict(type='WandbVisBackend')])\n"
    monkeypatch.setattr(hardware, 'find_spec', lambda name: None)
    finding = found(hardware, context(text)).one('HW006')
    assert '-m pip install wandb' in finding.fix
    monkeypatch.setattr(hardware, 'find_spec', lambda name: name == 'wandb')
    assert found(hardware, context(text)).of('HW006') == []


# --- memory ------------------------------------------------------------------


@pytest.mark.skipif(not SHARED_MEMORY.is_dir(), reason='no shared memory')
def test_batches_that_shared_memory_cannot_hold(context):
    text = "train_dataloader['batch_size'] = 10**9\n"
    assert found(hardware, context(text)).of('MEM002') == []
    text += "train_dataloader['num_workers'] = 1\n"
    finding = found(hardware, context(text)).one('MEM002')
    assert '6144000 MB' in finding.message  # 32 x 32 x 3 bytes, two of them


@pytest.mark.parametrize(
    ('gpus', 'processes', 'batches', 'fits'),
    [
        ([10], 1, 8, True),
        ([10], 1, 20, False),
        ([10] * 4, 4, 8, True),  # one process on each
        ([10] * 4, 4, 20, False),
        ([10] * 2, 4, 4, True),  # two processes on each
        ([10] * 2, 4, 8, False),
        ([100, 10], 1, 20, True),  # the first alone
        ([100, 10], 2, 20, False),  # the smaller one, too
    ],
)
def test_the_memory_of_each_gpu(
    gpus, processes, batches, fits, context, monkeypatch
):
    """GPUs in units of the memory that a photo of a batch takes."""
    cuda, unit = hardware.torch.cuda, 1e9
    monkeypatch.setattr(hardware, 'SURELY', 1.0)
    monkeypatch.setattr(cuda, 'device_count', lambda: len(gpus))
    monkeypatch.setattr(cuda, 'current_device', lambda: 0)
    monkeypatch.setattr(
        cuda,
        'get_device_properties',
        lambda gpu=0: SimpleNamespace(total_memory=gpus[gpu] * unit),
    )
    monkeypatch.setenv('LOCAL_WORLD_SIZE', str(processes))
    ctx = context()
    ctx.device, ctx.activations = 'cuda', unit
    ctx.cfg.launcher = 'pytorch' if processes > 1 else 'none'
    ctx.cfg.train_dataloader.batch_size = batches
    assert (found(hardware, ctx).of('MEM001') == []) == fits


def test_the_rehearsal_measures_activations(tmp_path, dataset):
    """Every convolution, norm and activation keeps its output."""
    path = write(tmp_path, RESNET18)
    seen = look_at(path, '--data-root', dataset, '--device', 'cpu')
    assert 15e6 < seen.ctx.activations < 60e6


# --- disk --------------------------------------------------------------------


def keeping(settings: str) -> str:
    return f'default_hooks = dict(checkpoint=dict({settings}))\n'


def test_every_epoch_is_kept_with_its_optimizer(context):
    """MMEngine's hook, 100 epochs of SGD with momentum: 9 GB of ResNet-18."""
    finding = found(disk, context(STOCK)).one('DISK003')
    assert '100 checkpoints of 89 MB are kept, 9.0 GB' in finding.message
    words = shlex.split(finding.fix)
    assert found(disk, context(STOCK, *words)).of('DISK003') == []


def test_the_average_and_the_states_of_adam(context):
    text = RESNET18 + 'train_cfg = dict(max_epochs=99)\n'
    text += keeping('max_keep_ckpts=100')
    finding = found(disk, context(text)).one('DISK003')
    assert '99 checkpoints of 179 MB' in finding.message


def test_mmengines_hook_under_our_runner(context):
    text = RESNET18 + keeping(
        "_delete_=True, type='mmengine.CheckpointHook', interval=1, "
        'max_keep_ckpts=2'
    )
    finding = found(disk, context(text)).one('DISK002')
    words = shlex.split(finding.fix)
    assert found(disk, context(text, *words)).of('DISK') == []


@pytest.mark.parametrize(
    'text',
    [
        RESNET18 + 'train_cfg = dict(max_epochs=300)\n',
        RESNET18
        + 'train_cfg = dict(max_epochs=2)\n'
        + keeping('max_keep_ckpts=100'),
        keeping('max_keep_ckpts=100'),
    ],
)
def test_few_or_small_checkpoints(text, context):
    assert found(disk, context(text)).of('DISK') == []


def test_no_checkpoint(context):
    ctx = context('default_hooks = dict(checkpoint=None)\n')
    assert found(disk, ctx).one('DISK001')


@pytest.mark.parametrize(('share', 'severity'), [(2, 'ERROR'), (0.9, 'WARN')])
def test_too_little_room(share, severity, context, tmp_path):
    # 45 thousand parameters, four times.
    epochs = int(share * shutil.disk_usage(tmp_path).free / 730_000)
    text = f'train_cfg = dict(max_epochs={epochs})\n'
    text += keeping('max_keep_ckpts=10_000_000')
    finding = found(disk, context(text)).one('DISK004')
    assert finding.severity.name.startswith(severity)
    if severity == 'ERROR':
        words = shlex.split(finding.fix.partition('; or ')[2])
        assert found(disk, context(text, *words)).of('DISK004') == []
