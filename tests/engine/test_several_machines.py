"""Trainings of two torchrun launchers, as on two machines."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import forked
import pytest
from helpers import ROOT
from run_differences import differences
from torch.distributed import HashStore

from flower_mm.engine.rendezvous import meet
from flower_mm.errors import UserError

# Kills process KILLED in the third epoch, once.
KILL = """
import os, signal
from pathlib import Path
from flower_mm.engine.hooks.finite_loss import FiniteLossHook
after = FiniteLossHook.after_train_iter
def after_or_die(self, runner, batch_idx, **kwargs):
    marker = Path(os.environ['MARKER'])
    is_chosen = os.environ['RANK'] == os.environ['KILLED']
    if is_chosen and runner.epoch == 2 and batch_idx == 1:
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return after(self, runner, batch_idx, **kwargs)
FiniteLossHook.after_train_iter = after_or_die
"""
EPOCHS = 'train_cfg.max_epochs=4'


@pytest.fixture
def launch(config: Path, dataset: Path, tmp_path: Path) -> Callable:
    """Start launchers at once; returns their exit codes and texts."""
    (tmp_path / 'kill.py').write_text(KILL)
    variant = tmp_path / 'variant.py'
    variant.write_text(
        config.read_text('utf-8')
        + "custom_imports = dict(imports=['flower_mm.engine', 'kill'])\n"
    )

    def run(
        folders: list[Path],
        *options: str,
        processes: int = 1,
        restarts: int = 0,
        killed: int = -1,
    ) -> list[tuple[int, str]]:
        with socket.create_server(('127.0.0.1', 0)) as free:
            port = free.getsockname()[1]
        path = os.pathsep.join([str(tmp_path), str(ROOT)])
        started = [
            subprocess.Popen(
                [
                    sys.executable,
                    *('-m', 'torch.distributed.run'),
                    *('--nnodes', str(len(folders))),
                    *('--nproc-per-node', str(processes)),
                    *('--max-restarts', str(restarts)),
                    *('--rdzv-backend', 'c10d'),
                    *('--rdzv-endpoint', f'127.0.0.1:{port}'),
                    ROOT / 'tools' / 'train.py',
                    variant,
                    *('--launcher=pytorch', '--device=cpu', '--no-report'),
                    *(f'--data-root={dataset}', f'--work-dir={folder}'),
                    *options,
                    *('--cfg-options', EPOCHS),
                ],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env={
                    **os.environ,
                    'OMP_NUM_THREADS': '1',
                    'PYTHONPATH': path,
                    'KILLED': str(killed),
                    'MARKER': str(tmp_path / 'was_killed'),
                },
            )
            for folder in folders
        ]
        try:
            texts = [
                process.communicate(timeout=120)[0] for process in started
            ]
        finally:
            for process in started:
                process.kill()
        codes = [process.returncode for process in started]
        return list(zip(codes, texts, strict=True))

    return run


@pytest.mark.nightly
def test_two_nodes_give_the_result_of_one(launch, tmp_path):
    two, one = tmp_path / 'two', tmp_path / 'one'
    assert [code for code, _ in launch([two, two])] == [0, 0]
    assert [code for code, _ in launch([one], processes=2)] == [0]
    assert differences(two, one) == []


@pytest.mark.nightly
@pytest.mark.parametrize('killed', [0, 1])
def test_a_killed_process_restarts_the_group(launch, killed, tmp_path):
    whole, torn = tmp_path / 'whole', tmp_path / 'torn'
    assert [code for code, _ in launch([whole] * 2, '--resume')] == [0, 0]
    ended = launch([torn] * 2, '--resume', restarts=2, killed=killed)
    assert [code for code, _ in ended] == [0, 0], ended
    assert (tmp_path / 'was_killed').exists()
    assert differences(whole, torn) == []


@pytest.mark.nightly
def test_a_group_without_a_common_folder_does_not_resume(launch, tmp_path):
    folders = [tmp_path / 'a', tmp_path / 'b']
    ended = launch(folders, '--resume', restarts=1, killed=0)
    assert 0 not in [code for code, _ in ended]
    assert any('epoch_2.pth' in text for _, text in ended)
    assert (folders[0] / 'epoch_2.pth').is_file()


# A second machine with another version of the config.
OTHER = """
import os
from flower_mm.engine import run_start
if os.environ['RANK'] == '1':
    check = run_start.require_same_start
    def check_other(cfg, checkpoint):
        cfg.optim_wrapper.optimizer.lr = 0.5
        check(cfg, checkpoint)
    run_start.require_same_start = check_other
"""


def test_processes_with_other_settings_are_refused(config, dataset, tmp_path):
    script = tmp_path / 'other.py'
    script.write_text(OTHER)
    folder = tmp_path / 'run'
    options = (f'--data-root={dataset}', f'--work-dir={folder}', '--no-check')
    runs = forked.start_ranks(
        tmp_path, 'train', config, *options, first=str(script)
    )
    assert [run.wait() for run in runs] == [2, 2]
    assert all('optim_wrapper.optimizer.lr' in run.text for run in runs)
    assert not list(folder.glob('*.pth'))


def test_restarts_need_resume(config, dataset, tmp_path):
    run = forked.start(
        tmp_path / 'log',
        'train',
        config,
        *(f'--data-root={dataset}', f'--work-dir={tmp_path / "run"}'),
        *('--launcher=pytorch', '--device=cpu'),
        env={
            **{'RANK': '0', 'WORLD_SIZE': '1', 'MASTER_ADDR': '127.0.0.1'},
            **{'MASTER_PORT': '0', 'TORCHELASTIC_MAX_RESTARTS': '3'},
        },
    )
    assert run.wait() == 2, run.text
    assert '--resume' in run.text


def _meet_all(store: HashStore, count: int) -> set[str]:
    names: list[str] = []

    def come(rank: int) -> None:
        names.append(meet(store, rank, count, timeout=20))

    threads = [
        threading.Thread(target=come, args=[rank])
        for rank in reversed(range(count))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names) == count
    return set(names)


def test_attempts_in_one_store_are_kept_apart():
    store = HashStore()
    attempts = [_meet_all(store, 3) for _ in range(3)]
    assert [len(names) for names in attempts] == [1, 1, 1]
    assert len(set.union(*attempts)) == 3


def test_a_missing_process_is_named():
    store = HashStore()
    _meet_all(store, 3)
    with pytest.raises(UserError, match=r'process\(es\) 1, 2'):
        meet(store, 0, 3, timeout=0.3)
