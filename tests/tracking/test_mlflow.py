"""Trainings that are shown in a real MLflow.

FLOWER_MM_MLFLOW is the command `mlflow` of an environment with the whole
package, which has the server.
"""

import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import forked
import pytest
from helpers import train_tiny

mlflow = pytest.importorskip('mlflow', reason='requires mlflow-skinny')

MLFLOW = os.environ.get('FLOWER_MM_MLFLOW')
HISTORY = ('train/loss', 'val/accuracy/top1')
# Slow enough to be killed, or its server, in the middle.
SLOW = """
import os, signal, time
from flower_mm.engine.hooks.finite_loss import FiniteLossHook
def wait(self, runner, batch_idx, **_):
    time.sleep(1.0)
    if runner.epoch == 2 and batch_idx == 1 and os.environ.get('IS_KILLED'):
        os.kill(os.getpid(), signal.SIGKILL)
FiniteLossHook.after_train_iter = wait
"""


class Server:
    """A server of MLflow, and what it knows."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(('127.0.0.1', 0)) as free:
            port = free.getsockname()[1]
        self.address = f'http://127.0.0.1:{port}'
        folder.mkdir()
        self.process = subprocess.Popen(
            [
                *(str(MLFLOW), 'server', '--host', '127.0.0.1'),
                *('--port', str(port), '--workers', '1'),
                *('--backend-store-uri', f'sqlite:///{folder}/mlflow.db'),
                *('--artifacts-destination', str(folder / 'artifacts')),
            ],
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(120):
            try:
                urllib.request.urlopen(f'{self.address}/health')
                return
            except OSError:
                time.sleep(0.5)
        raise TimeoutError('the server does not start')

    def signal(self, number: int) -> None:
        os.killpg(self.process.pid, number)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    if not MLFLOW:
        pytest.skip('FLOWER_MM_MLFLOW names no command `mlflow`')
    server = Server(tmp_path / 'server')
    yield server
    server.signal(signal.SIGKILL)
    server.process.wait()


def runs(address: str) -> list:
    client = mlflow.MlflowClient(address)
    experiment = client.get_experiment_by_name('flower_mm/flowers')
    return client.search_runs([experiment.experiment_id])


def history(address: str, run) -> dict[str, list[tuple[int, float]]]:
    client = mlflow.MlflowClient(address)
    return {
        key: [
            (metric.step, metric.value)
            for metric in client.get_metric_history(run.info.run_id, key)
        ]
        for key in HISTORY
    }


def attached(address: str, run) -> set[str]:
    files = mlflow.MlflowClient(address).list_artifacts(run.info.run_id)
    return {file.path for file in files}


@pytest.fixture
def start(config, dataset, tmp_path):
    """Start a slow training whose runs go to an address."""
    (tmp_path / 'slow.py').write_text(SLOW)

    def run(address: str, name: str, *args: str, **env: str) -> forked.Run:
        return forked.start(
            tmp_path / f'{name}.log',
            'train',
            config,
            *(f'--data-root={dataset}', f'--work-dir={tmp_path / name}'),
            *('--epochs=4', '--log=mlflow', *args),
            first=str(tmp_path / 'slow.py'),
            env={'MLFLOW_TRACKING_URI': address, **env},
        )

    return run


def test_a_run_in_a_database(config, dataset, tmp_path, monkeypatch):
    address = f'sqlite:///{tmp_path}/mlflow.db'
    monkeypatch.setenv('MLFLOW_TRACKING_URI', address)
    monkeypatch.chdir(tmp_path)  # where MLflow keeps the files
    folder = train_tiny(config, dataset, tmp_path / 'run', '--log=mlflow')
    [run] = runs(address)
    assert (run.info.run_name, run.info.status) == ('run', 'FINISHED')
    assert run.data.params['train_cfg.max_epochs'] == '2'
    assert attached(address, run) == {'best.pth', 'config.py'}
    values = history(address, run)
    assert [step for step, _ in values['train/loss']] == [5, 10]
    assert [step for step, _ in values['val/accuracy/top1']] == [1, 2]
    assert (folder / 'tensorboard').is_dir()


@pytest.mark.nightly
def test_a_killed_run_continues(server, start, tmp_path):
    whole = start(server.address, 'whole')
    assert whole.wait() == 0, whole.text
    assert start(server.address, 'run', IS_KILLED='1').wait() == -9
    resumed = start(server.address, 'run', '--resume')
    assert resumed.wait() == 0, resumed.text
    by_name = {run.info.run_name: run for run in runs(server.address)}
    assert by_name.keys() == {'whole', 'run'}
    assert by_name['run'].info.status == 'FINISHED'
    expected, values = (
        history(server.address, by_name[name]) for name in ('whole', 'run')
    )
    assert values == expected
    assert 'best.pth' in attached(server.address, by_name['run'])


@pytest.mark.nightly
@pytest.mark.parametrize('number', [signal.SIGKILL, signal.SIGSTOP])
def test_a_server_that_fails_leaves_the_training(
    number, server, start, tmp_path
):
    run = start(server.address, 'run', FLOWER_MM_LOG_WAIT='3')
    state = tmp_path / 'run' / 'tracking_mlflow.json'
    while not state.is_file() and run.process.is_alive():
        time.sleep(0.1)
    server.signal(number)
    assert run.wait() == 0, run.text
    assert (tmp_path / 'run' / 'best.pth').is_file()
    assert 'warning: mlflow' in run.text


@pytest.mark.nightly
def test_a_server_that_is_down_leaves_the_training(start, tmp_path):
    with socket.create_server(('127.0.0.1', 0)) as free:
        address = f'http://127.0.0.1:{free.getsockname()[1]}'
    run = start(address, 'run', FLOWER_MM_LOG_WAIT='3')
    assert run.wait() == 0, run.text
    assert (tmp_path / 'run' / 'best.pth').is_file()
    assert 'warning: mlflow' in run.text
