"""`search` as users call it, with real trainings and databases."""

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import forked
import numpy as np
import optuna
import pytest
from helpers import ROOT, tool, train_tiny
from PIL import Image

FORKED_TRAININGS = ROOT / 'tests' / 'support' / 'forked_trainings.py'
POSTGRES = Path('/usr/lib/postgresql')


@pytest.fixture
def start(config: Path, dataset: Path, tmp_path: Path) -> Callable:
    def start(name: str, *args: str | Path) -> forked.Run:
        return forked.start(
            tmp_path / f'{name}.log', 'search', config, '--data', dataset,
            '--out', tmp_path / name, '--device', 'cpu', '--from-scratch',
            '--final-seeds', '1', *args, first=str(FORKED_TRAININGS),
            report=True,
        )  # fmt: skip

    return start


@pytest.fixture
def finish(start: Callable) -> Callable:
    def finish(*args: str | Path) -> str:
        run = start(*args)
        assert run.wait() == 0, run.text
        return run.text

    return finish


def trials_of(out: Path, storage: str | None = None) -> list[tuple]:
    name = json.loads((out / 'search.json').read_text())['study']
    study = optuna.load_study(
        study_name=name, storage=storage or f'sqlite:///{out}/study.db'
    )
    return sorted(
        (
            trial.user_attrs['index'],
            trial.user_attrs['promoted'],
            trial.state.name,
            trial.value,
            json.dumps(trial.params, sort_keys=True),
            json.dumps(trial.intermediate_values),
        )
        for trial in study.get_trials()
    )


def test_winner_trains(finish, dataset, tmp_path):
    text = finish('out', '--trials', '2', '--epochs', '2')
    out = tmp_path / 'out'
    with (out / 'search.csv').open(encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    finals = [row for row in rows if row['stage'] == 'final']
    assert len(rows) == 4
    assert {row['seed'] for row in finals} == {'1'}
    assert all(0 <= float(row['measured_top1']) <= 100 for row in finals)
    assert 'photos that the search did not use' in text
    assert f'{out}/best_config.py --from-scratch --data-root' in text
    run = train_tiny(out / 'best_config.py', dataset, tmp_path / 'winner')
    record = json.loads((run / 'run.json').read_text())
    # The whole val split, of which the search had half.
    assert record['photos']['val'] == sum(
        1 for _ in (dataset / 'val.txt').open(encoding='utf-8')
    )


@pytest.mark.parametrize(
    ('args', 'words'),
    [
        ([], '--trials'),
        (['--trials', '2', '--hours', '1'], 'not allowed with'),
        (['--trials', '2', '--space', 'none.toml'], 'cannot be read'),
        (['--trials', '2', '--storage', 'nothing'], 'URL of --storage'),
        (
            [
                '--trials',
                '2',
                '--storage',
                'postgresql://a:secret@h.invalid/b',
            ],
            '--storage',
        ),
    ],
)
def test_invalid_arguments(args, words, start, tmp_path):
    run = start('out', *args)
    assert run.wait() == 2, run.text
    assert words in run.text
    assert 'secret' not in run.text


@pytest.fixture
def hard_dataset(tmp_path: Path) -> Path:
    """Noise whose colour hints at the class, so that accuracies differ."""
    for label in range(3):
        for number in range(60):
            rng = np.random.default_rng((label, number))
            pixels = rng.integers(0, 200, (40, 48, 3)).astype(float)
            pixels += rng.normal(0, 8, 3)
            pixels[..., label] += rng.normal(9, 8)
            path = tmp_path / 'hard' / str(label) / f'{number:03}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    out = tmp_path / 'hard_dataset'
    tool('prepare_dataset', tmp_path / 'hard', '--out', out, '--val', '0.5')
    return out


@pytest.mark.nightly
def test_twenty_trials_with_one_and_two_workers(
    finish, hard_dataset, tmp_path
):
    for jobs in ('1', '2'):
        finish(
            jobs, '--trials', '20', '--epochs', '5', '--jobs', jobs,
            '--data', hard_dataset,
        )  # fmt: skip
    one, two = (trials_of(tmp_path / jobs) for jobs in ('1', '2'))
    assert len(one) >= 20
    assert {trial[2] for trial in one} == {'COMPLETE', 'PRUNED'}
    assert one == two


@pytest.mark.nightly
def test_killed_driver_resumes(start, finish, tmp_path):
    """Its trainings are found, and go on from their checkpoints."""
    arguments = ('--trials', '4', '--epochs', '30', '--jobs', '2')
    finish('whole', *arguments)
    killed = start('killed', *arguments)
    record = tmp_path / 'killed' / 'trial_0001' / 'seed_0' / 'run.json'
    until = time.monotonic() + 200
    while not (record.is_file() and '"epochs": 3' in record.read_text()):
        assert time.monotonic() < until
        time.sleep(0.02)
    os.kill(killed.process.pid, signal.SIGKILL)
    killed.wait()
    finish('killed', *arguments)
    assert trials_of(tmp_path / 'killed') == trials_of(tmp_path / 'whole')


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[str]:
    """The URL of a database of a server of our own."""
    folders = sorted(POSTGRES.glob('*/bin'))
    driver = next((d for d in ('psycopg', 'pg8000') if find_spec(d)), '')
    if not folders or not driver:
        pytest.skip('PostgreSQL, or psycopg or pg8000, is not installed')
    with socket.create_server(('127.0.0.1', 0)) as free:
        port = free.getsockname()[1]
    data = Path('/tmp') / f'postgres_of_test_{os.getpid()}'
    data.mkdir(mode=0o700)
    # The server refuses to run as root.
    is_root = os.getuid() == 0
    user = ['runuser', '-u', 'postgres', '--'] if is_root else []
    if is_root:
        shutil.chown(data, 'postgres')
    initdb = [folders[-1] / 'initdb', '-D', data, '-U', 'u', '-A', 'trust']
    subprocess.run([*user, *initdb], check=True, capture_output=True, cwd='/')
    server = subprocess.Popen(
        [
            *user, folders[-1] / 'postgres', '-D', data, '-p', str(port),
            '-h', '127.0.0.1', '-k', data, '-F',
        ],
        stderr=subprocess.DEVNULL,
        cwd='/',
    )  # fmt: skip
    try:
        until = time.monotonic() + 60
        while not (data / f'.s.PGSQL.{port}').exists():
            assert time.monotonic() < until
            time.sleep(0.05)
        yield f'postgresql+{driver}://u@127.0.0.1:{port}/postgres'
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(data)


@pytest.mark.nightly
def test_study_in_postgresql(finish, postgres, tmp_path):
    arguments = ('--epochs', '2', '--storage', postgres)
    finish('out', '--trials', '2', *arguments)
    text = finish('out', '--trials', '3', *arguments)
    assert 'trial_0000, seed 0' not in text
    finish('file', '--trials', '3', '--epochs', '2')
    assert trials_of(tmp_path / 'out', postgres) == trials_of(
        tmp_path / 'file'
    )
    assert not (tmp_path / 'out' / 'study.db').exists()
