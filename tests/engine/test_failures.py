"""What the machine may do to a run: full disks, dead workers, signals."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import forked
import pytest
import torch
from helpers import tool

from flower_mm.weights.read_checkpoint import read_checkpoint

LONG = ['train_cfg.max_epochs=1000']
WORKERS = ['train_dataloader.num_workers=2', 'val_dataloader.num_workers=1']
QUICK = 20  # seconds in which a broken run has to end; it takes one


@pytest.fixture
def start(config: Path, dataset: Path, tmp_path: Path) -> Iterator[Callable]:
    """Start a run in `tmp_path`/run, or in another folder."""
    started = []

    def run(*options: str, args: tuple = (), **how) -> forked.Run:
        folder = how.pop('folder', tmp_path / 'run')
        if options:
            args = (*args, '--cfg-options', *options)
        started.append(
            forked.start(
                how.pop('log', tmp_path / 'run.log'),
                'train',
                config,
                *('--data-root', dataset, '--work-dir', folder, *args),
                **how,
            )
        )
        return started[-1]

    yield run
    for one in started:
        one.process.kill()


def wait_for(run: forked.Run, text: str) -> None:
    for _ in range(2000):
        if text in run.text:
            return
        assert run.process.is_alive(), run.text
        time.sleep(0.02)
    pytest.fail(f'no {text!r} in:\n{run.text}')


def processes_of(session: int) -> list[int]:
    """All processes that a run has started, and itself: each has a session."""
    found = []
    for stat in Path('/proc').glob('[0-9]*/stat'):
        try:
            fields = stat.read_text().rpartition(')')[2].split()
        except OSError:
            continue  # it has just ended
        if int(fields[3]) == session and fields[0] != 'Z':
            found.append(int(stat.parent.name))
    return found


@contextmanager
def small_disk(folder: Path, *options: str) -> Iterator[Path]:
    """A file system of its own at `folder`."""
    folder.mkdir()
    done = subprocess.run(
        ['mount', '-t', 'tmpfs', '-o', ','.join(options), 'tmpfs', folder],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        pytest.skip(f'no file system can be mounted here: {done.stderr}')
    try:
        yield folder
    finally:
        subprocess.run(['umount', '--lazy', folder], check=True)


# --- signals and workers -----------------------------------------------------


@pytest.mark.parametrize(
    ('number', 'code', 'to'),
    [
        (signal.SIGTERM, 143, os.kill),
        (signal.SIGINT, 130, os.killpg),
        pytest.param(
            *(signal.SIGTERM, 143, os.killpg), marks=pytest.mark.nightly
        ),
        pytest.param(
            *(signal.SIGINT, 130, os.kill), marks=pytest.mark.nightly
        ),
    ],
)
def test_told_to_stop_it_leaves_nobody_behind(number, code, to, start):
    """As a scheduler does, to the process or to all of its group."""
    run = start(*LONG, *WORKERS)
    wait_for(run, 'epoch 2/')
    assert len(processes_of(run.process.pid)) > 3
    to(run.process.pid, number)
    run.process.join(QUICK)
    assert run.process.exitcode == code, run.text
    assert processes_of(run.process.pid) == []
    assert 'Resume from it' in run.text
    assert 'Traceback' not in run.text, run.text


# Where the reader and its workers are told at once.
HIDDEN = """
import os, signal
from flower_mm.exit_codes import Terminated
from flower_mm.datasets import FlowerDataset
load = FlowerDataset.prepare_data
def told(self, index):
    if os.path.exists({after!r}):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except Terminated:
            raise {error}
    return load(self, index)
FlowerDataset.prepare_data = told
"""


@pytest.mark.parametrize(
    'error',
    [
        'RuntimeError',
        pytest.param('BrokenPipeError', marks=pytest.mark.nightly),
        pytest.param('SystemError', marks=pytest.mark.nightly),
    ],
)
def test_told_to_stop_behind_an_error_of_a_worker(error, start, tmp_path):
    script = tmp_path / 'first.py'
    after = str(tmp_path / 'run' / 'epoch_1.pth')
    script.write_text(HIDDEN.format(after=after, error=error))
    run = start(*LONG, 'train_dataloader.num_workers=0', first=str(script))
    assert run.wait() == 143, run.text
    assert 'Resume from it' in run.text
    assert 'error' not in run.text
    record = json.loads((tmp_path / 'run' / 'run.json').read_text())
    assert record['status'] == 'interrupted'


# What a worker does whose reader is gone, seen in one of twenty runs stopped.
LEFT_ALONE = """
import os, sys
from pathlib import Path
from flower_mm.machine_failures import explained
with explained(Path(), 1, ''):
    if os.fork() == 0:
        for error in (ConnectionResetError(), {other}):
            sys.excepthook(type(error), error, None)
        os._exit(0)
    os.wait()
"""


@pytest.mark.parametrize('other', ['EOFError()', 'ValueError("ours")'])
def test_a_worker_does_not_tell_that_its_reader_was_stopped(other):
    done = subprocess.run(
        [sys.executable, '-c', LEFT_ALONE.format(other=other)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert 'Connection' not in done.stderr
    assert ('ours' in done.stderr) == ('ours' in other)


# In the middle of its work: one that has given all its answers is not missed.
KILLED_AT_WORK = """
import os, signal
from torch.utils.data import get_worker_info
from flower_mm.datasets import FlowerDataset
load = FlowerDataset.prepare_data
def killed(self, index):
    late = os.path.exists({after!r})
    if late and get_worker_info() and self.test_mode == {validating}:
        os.kill(os.getpid(), signal.SIGKILL)
    return load(self, index)
FlowerDataset.prepare_data = killed
"""


@pytest.mark.parametrize(
    'validating', [False, True], ids=['training', 'validating']
)
def test_killed_worker(validating, start, tmp_path):
    script = tmp_path / 'first.py'
    after = str(tmp_path / 'run' / 'epoch_1.pth')
    script.write_text(
        KILLED_AT_WORK.format(after=after, validating=validating)
    )
    run = start(*LONG, *WORKERS, first=str(script))
    run.process.join(QUICK)
    assert run.process.exitcode == 2, run.text
    assert '--resume' in run.text
    assert 'Traceback' not in run.text, run.text
    assert processes_of(run.process.pid) == []
    record = json.loads((tmp_path / 'run' / 'run.json').read_text())
    assert record['status'] == 'failed'
    assert 'worker' in record['error']


# In a mount namespace of its own, whose shared memory is one page.
NO_SHARED_MEMORY = """
import ctypes, os, subprocess
NEW_NAMESPACE = 0x20000
if ctypes.CDLL(None).unshare(NEW_NAMESPACE):
    print('no namespace')
    os._exit(77)
for command in (
    'mount --make-rprivate /',
    'mount -t tmpfs -o size=4k tmpfs /dev/shm',
):
    if subprocess.run(command.split()).returncode:
        print('no namespace')
        os._exit(77)
"""


def test_full_shared_memory_is_named(start, tmp_path):
    script = tmp_path / 'first.py'
    script.write_text(NO_SHARED_MEMORY)
    run = start(*LONG, *WORKERS, first=str(script))
    run.process.join(QUICK)
    if run.process.exitcode == 77:
        pytest.skip('a process may not have its own /dev/shm here')
    assert run.process.exitcode == 2, run.text
    assert 'out of shared memory' in run.text
    assert '--workers 0' in run.text
    assert 'Traceback' not in run.text, run.text
    assert processes_of(run.process.pid) == []


# --- disks -------------------------------------------------------------------


def whole_files(folder: Path) -> list[str]:
    """The checkpoints in a folder; a damaged one fails the test."""
    names = []
    for path in folder.glob('*.pth'):
        read_checkpoint(path)
        names.append(path.name)
    assert not list(folder.glob('.*.part'))
    return sorted(names)


@pytest.mark.parametrize(
    ('size', 'kept'),
    [
        ('300k', []),
        pytest.param('600k', ['epoch_0.pth'], marks=pytest.mark.nightly),
        ('1500k', ['best.pth', 'epoch_0.pth', 'epoch_1.pth']),
    ],
)
def test_full_disk(size, kept, start, tmp_path):
    """It fills at the first checkpoint, at best.pth or at a later one."""
    with small_disk(tmp_path / 'small', f'size={size}') as disk:
        # The doctor would not let it begin.
        run = start(
            'train_cfg.max_epochs=4',
            folder=disk / 'run',
            args=('--no-doctor',),
        )
        assert run.wait() == 2, run.text
        assert 'error: no disk space for' in run.text
        assert 'Traceback' not in run.text
        assert whole_files(disk / 'run') == kept
        subprocess.run(['mount', '-o', 'remount,size=9m', disk], check=True)
        again = start(
            'train_cfg.max_epochs=4', folder=disk / 'run', args=('--resume',)
        )
        assert again.wait() == 0, again.text
        assert whole_files(disk / 'run') == [
            'best.pth',
            'epoch_3.pth',
            'epoch_4.pth',
        ]


# As `ulimit -f` does: no file may be longer.
SHORT_FILES = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))
"""


def test_a_limit_on_files_is_as_a_full_disk(start, tmp_path):
    script = tmp_path / 'first.py'
    script.write_text(SHORT_FILES)
    run = start('train_cfg.max_epochs=4', first=str(script))
    assert run.wait() == 2, run.text
    assert 'no disk space for' in run.text
    assert 'epoch_1.pth' in run.text
    assert whole_files(tmp_path / 'run') == ['best.pth', 'epoch_0.pth']
    again = start('train_cfg.max_epochs=4', args=('--resume',))
    assert again.wait() == 0, again.text


def test_a_folder_that_cannot_be_written_to_is_named(start, tmp_path):
    with small_disk(tmp_path / 'fixed', 'ro') as disk:
        run = start(folder=disk / 'run')
        assert run.wait() == 2
        assert 'Read-only file system' in run.text
        assert str(disk) in run.text


def test_photos_on_a_disk_that_cannot_be_written_to(
    config, dataset, start, tmp_path
):
    with small_disk(tmp_path / 'fixed', 'size=200m') as disk:
        tool('prepare_dataset', dataset / 'train', '--out', disk / 'data')
        subprocess.run(['mount', '-o', 'remount,ro', disk], check=True)
        done = tool(
            'train',
            config,
            *('--data-root', disk / 'data'),
            *('--work-dir', tmp_path / 'run'),
        )
        assert done.returncode == 0


@pytest.mark.nightly
def test_long_names_and_blanks(start, tmp_path):
    folder = tmp_path / 'with blanks' / ('long ' * 40) / "and 'quotes'"
    run = start(*LONG, folder=folder)
    wait_for(run, 'epoch 1/')
    os.kill(run.process.pid, signal.SIGINT)
    assert run.wait() == 130
    # What it says can be pasted.
    pasted = run.text.splitlines()[-1].replace('=1000', '=2')
    again = subprocess.run(
        ['sh', '-c', f'{pasted} --resume-anyway'],
        capture_output=True,
        text=True,
    )
    assert again.returncode == 0, again.stderr
    run = start(folder=tmp_path / ('x' * 300))
    assert run.wait() == 2
    assert 'File name too long' in run.text


# --- two at once -------------------------------------------------------------


def test_hooks_that_are_off_do_not_stand_in_the_way(start, tmp_path):
    run = start(*LONG, 'default_hooks.progress=None')
    while not (tmp_path / 'run' / 'best.pth').exists():
        assert run.process.is_alive(), run.text
        time.sleep(0.1)
    os.kill(run.process.pid, signal.SIGTERM)
    assert run.wait() == 143, run.text
    run = start('default_hooks.finite=None', args=('--retry-nan', '2'))
    assert run.wait() == 0, run.text


@pytest.mark.parametrize(
    'option', ['train_cfg.by_epoch=False', 'train_cfg.type=IterBasedTrainLoop']
)
def test_iterations_instead_of_epochs_are_refused(option, start):
    run = start(option, 'train_cfg.max_iters=30')
    assert run.wait() == 2
    assert 'by_epoch=True' in run.text


def test_the_second_run_in_a_folder_refuses(start, tmp_path):
    run = start(*LONG, *WORKERS)
    wait_for(run, 'epoch 1/')
    pid = run.process.pid
    for args in ((), ('--resume',)):
        second = start(args=args, log=tmp_path / 'second.log')
        assert second.wait() == 2, second.text
        assert f'another run is writing to {tmp_path / "run"}' in second.text
        assert 'another folder: --work-dir FOLDER' in second.text
        assert f'process {pid} on' in second.text
    assert run.process.is_alive()
    run.process.kill()
    run.wait()
    # The lock is gone with the process, its workers are still there.
    again = start('train_cfg.max_epochs=1000', args=('--resume',))
    wait_for(again, 'epoch')
    again.process.kill()


# --- memory ------------------------------------------------------------------

# As `ulimit -v` does, with little above what the process has already.
LITTLE_MEMORY = """
import resource
with open('/proc/self/statm') as file:
    now = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + 2 * 10**9,) * 2)
"""


def test_full_memory_says_which_batch_and_what_helps(start, tmp_path):
    script = tmp_path / 'first.py'
    script.write_text(LITTLE_MEMORY)
    run = start(
        'train_dataloader.batch_size=32',
        'train_pipeline.1.scale=3000',
        'train_dataloader.dataset.pipeline.1.scale=3000',
        first=str(script),
    )
    assert run.wait() == 2, run.text
    assert 'too small for a batch of 32 photos' in run.text
    assert '--accumulate 2' in run.text
    assert 'Traceback' not in run.text, run.text


# There is no GPU to fill here: torch's own exception stands for one.
FULL_GPU = """
import torch
from types import SimpleNamespace
from flower_mm.engine.hooks.finite_loss import FiniteLossHook
torch.cuda.get_device_properties = (
    lambda: SimpleNamespace(total_memory=8 * 2**30))
def full(self, runner, batch_idx, **_):
    raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 GiB')
FiniteLossHook.after_train_iter = full
"""


def test_a_full_gpu_is_told_as_such(start, tmp_path):
    script = tmp_path / 'first.py'
    script.write_text(FULL_GPU)
    run = start(first=str(script), args=('--accumulate', '2'))
    assert run.wait() == 2, run.text
    assert "the GPU's memory of 8 GiB is too small for a batch of 4" in (
        run.text
    )
    assert '--accumulate 4' in run.text


def test_accumulation_is_the_same_total_batch(start, config, tmp_path):
    """The model has no batch norm: the sum of parts is the whole."""
    options = [
        'default_hooks.ema=None',
        'param_scheduler=None',
        'optim_wrapper.optimizer.type=SGD',
        'optim_wrapper.optimizer.lr=0.05',
        'train_dataloader.dataset.indices=32',
        'train_cfg.max_epochs=2',
    ]
    whole = start(*options, folder=tmp_path / 'whole')
    parts = start(
        *options, folder=tmp_path / 'parts', args=('--accumulate=4',)
    )
    assert (whole.wait(), parts.wait()) == (0, 0), parts.text
    expected, found = (
        read_checkpoint(tmp_path / name / 'epoch_2.pth')['state_dict']
        for name in ('whole', 'parts')
    )
    for key, tensor in found.items():
        torch.testing.assert_close(tensor, expected[key], rtol=1e-4, atol=1e-5)
    rate = {}
    for parts in ('1', '2'):
        folder = tmp_path / f'rate_{parts}'
        scaled = start(
            'auto_scale_lr.base_batch_size=4',
            args=('--auto-scale-lr', '--accumulate', parts),
            folder=folder,
        )
        assert scaled.wait() == 0, scaled.text
        assert 'Warning' not in scaled.text
        last = read_checkpoint(folder / 'epoch_2.pth')
        rate[parts] = last['optimizer']['param_groups'][0]['initial_lr']
    assert rate['1'] == rate['2'] == pytest.approx(2 * 3e-3)
    run = start(args=('--accumulate', '3'))
    assert run.wait() == 2
    assert 'expected a divisor of the batch size 8, got 3' in run.text
