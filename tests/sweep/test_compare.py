"""`compare` as users call it."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import forked
import pytest
from helpers import ROOT, tool, train_tiny

from flower_mm.cli.training_flags import parse_training
from flower_mm.config import read_config
from flower_mm.errors import UserError
from flower_mm.lock import is_taken
from flower_mm.sweep import plan_trials
from flower_mm.sweep.trial import Trial

FORKED_TRAININGS = ROOT / 'tests' / 'support' / 'forked_trainings.py'
BROKEN = """
_base_ = [{base!r}]
optim_wrapper = dict(optimizer=dict(type='NoSuchOptimizer'))
"""


@pytest.fixture(scope='module')
def configs(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two valid configs and a broken one."""
    folder = tmp_path_factory.mktemp('configs')
    for name, rate in (('slow', 1e-5), ('usual', 3e-3)):
        (folder / f'{name}.py').write_text(
            f'_base_ = [{str(config)!r}]\n'
            f'optim_wrapper = dict(optimizer=dict(lr={rate}))\n'
        )
    (folder / 'broken.py').write_text(BROKEN.format(base=str(config)))
    return folder


@pytest.fixture
def start(configs: Path, dataset: Path, tmp_path: Path) -> Callable:
    """Compare configs by their names, with further arguments."""

    def start(names: str, *args: str | Path, **kwargs) -> forked.Run:
        files = [configs / f'{name}.py' for name in names.split()]
        return forked.start(
            tmp_path / 'log', 'compare', *files, '--data-root', dataset,
            '--out', tmp_path / 'out', '--device', 'cpu', *args,
            first=str(FORKED_TRAININGS), **kwargs,
        )  # fmt: skip

    return start


@pytest.fixture
def finish(start: Callable) -> Callable:
    def finish(*args: str | Path, **kwargs) -> str:
        run = start(*args, **kwargs)
        assert run.wait() == 0, run.text
        return run.text

    return finish


def rows(out: Path) -> list[dict]:
    with (out / 'compare.csv').open(encoding='utf-8') as file:
        return list(csv.DictReader(file))


def record_of(folder: Path | str) -> dict:
    path = Path(folder) / 'run.json'
    return json.loads(path.read_text()) if path.is_file() else {}


def runs_of(out: Path) -> list[Path]:
    return sorted(out.glob('*/seed_*'))


def children_of(process: int) -> list[int]:
    path = Path(f'/proc/{process}/task/{process}/children')
    return [int(number) for number in path.read_text().split()]


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def wait_for_epoch(out: Path, number: int) -> None:
    def is_there() -> bool:
        done = [record_of(run).get('result') for run in runs_of(out)]
        return any(one and one['epochs'] >= number for one in done)

    wait_for(is_there)


def test_rows_and_table_and_one_failed_run(start, tmp_path):
    run = start('slow broken usual', '--seeds', '0', '1', '--jobs', '2')
    assert run.wait() == 2  # a mistake of the user's
    out = tmp_path / 'out'
    found = rows(out)
    assert [(row['config'], row['seed'], row['status']) for row in found] == [
        (name, seed, 'failed' if name == 'broken' else 'finished')
        for seed in '01'
        for name in ('slow', 'broken', 'usual')
    ]
    for row in found:
        if row['status'] == 'failed':
            assert 'NoSuchOptimizer' in row['error']
            assert row['best_top1'] == ''
            continue
        record = record_of(row['folder'])
        assert float(row['best_top1']) == pytest.approx(
            record['result']['best_top1'], abs=0.01
        )
        assert record['seed'] == int(row['seed'])
        # Imports included, and so more than the run itself knows of.
        assert float(row['seconds']) > sum(record['seconds'].values())
        assert int(row['parameters']) == int(row['trained_parameters']) > 4e4
        assert (Path(row['folder']) / 'best.pth').is_file()
        assert list(Path(row['folder']).glob('epoch_*.pth')) == []
    text = (out / 'compare.md').read_text()
    assert text in run.text
    assert '| usual |' in text
    assert {row['at_once'] for row in found} == {'2'}
    threads = os.environ['OMP_NUM_THREADS']  # which is respected
    for row in found:
        assert row['status'] == 'failed' or f', {threads} ' in row['device']
    assert 'Failed: broken, seed 1' in text
    assert 'broken, seed 0: failed' in run.text
    # Two of each, and a failed one leaves none to wait for.
    assert 'epochs: 12 of 12' in run.text

    before = {path: record_of(path) for path in runs_of(out)}
    again = start('slow usual', '--seeds', '0', '1')
    assert again.wait() == 0
    assert '4 of 4 runs are already done' in again.text
    assert 'epochs: 8 of 8' in again.text
    assert {path: record_of(path) for path in runs_of(out)} == before
    assert len(rows(out)) == 4


def test_row_equals_a_training_alone(finish, configs, dataset, tmp_path):
    finish('usual', '--seeds', '3')
    (row,) = rows(tmp_path / 'out')
    run = train_tiny(
        configs / 'usual.py', dataset, tmp_path / 'alone', '--seed', '3'
    )
    result = record_of(run)['result']
    assert float(row['best_top1']) == round(result['best_top1'], 4)
    assert int(row['best_epoch']) == result['best_epoch']


def test_other_epochs_are_another_training(finish, tmp_path):
    """The first one is kept."""
    out = tmp_path / 'out'
    for epochs in ('1', '2', '1'):
        output = finish('usual', '--epochs', epochs)
        (row,) = rows(out)
        assert row['epochs'] == epochs
    assert '1 of 1 runs are already done' in output
    assert len(runs_of(out)) == 2


def test_irrelevant_changes_keep_the_training(finish, dataset, tmp_path):
    finish('usual')
    other = tmp_path / 'elsewhere'
    other.symlink_to(dataset)
    output = finish(
        'usual', '--data-root', other,
        '--cfg-options', 'val_dataloader.num_workers=1',
    )  # fmt: skip
    assert '1 of 1 runs are already done' in output


def test_run_without_sessions_runs_again(finish, tmp_path):
    finish('usual', '--epochs', '1')
    (run,) = runs_of(tmp_path / 'out')
    (run / 'trial.json').unlink()
    assert 'already done' not in finish('usual', '--epochs', '1')
    assert len(rows(tmp_path / 'out')) == 1


def test_stopped_comparison_resumes(start, finish, tmp_path):
    """With the same results, and the seconds of both sessions."""
    out = tmp_path / 'out'
    stopped = start('usual', '--epochs', '12')
    wait_for_epoch(out, 2)
    os.kill(stopped.process.pid, signal.SIGINT)
    assert stopped.wait() == 130, stopped.text
    (run,) = runs_of(out)
    assert record_of(run)['status'] == 'interrupted'
    then = json.loads((run / 'trial.json').read_text())['sessions']
    time.sleep(2)  # which must not count

    finish('usual', '--epochs', '12')
    assert record_of(run)['resumed_at_epoch'] >= 2
    (row,) = rows(out)
    now = json.loads((run / 'trial.json').read_text())['sessions']
    assert [one['begun'] for one in now][:1] == [then[0]['begun']]
    assert float(row['seconds']) == pytest.approx(
        sum(one['ended'] - one['begun'] for one in now), abs=0.1
    )
    assert float(row['seconds']) < now[1]['ended'] - now[0]['begun'] - 1.9

    run.rename(tmp_path / 'resumed')
    finish('usual', '--epochs', '12')
    (expected,) = rows(out)
    for key in ('best_top1', 'best_epoch', 'last_top1', 'epochs'):
        assert row[key] == expected[key]


def test_killed_comparison_resumes(start, finish, tmp_path):
    """It waits for the training that goes on."""
    out = tmp_path / 'out'
    killed = start('usual', '--epochs', '40')
    wait_for_epoch(out, 1)
    os.kill(killed.process.pid, signal.SIGKILL)
    killed.wait()
    (run,) = runs_of(out)
    output = finish('usual slow', '--epochs', '40')
    assert 'waiting for a training' in output
    first, second = rows(out)
    assert first['epochs'] == '40'
    # It ran once and alone.
    assert record_of(run)['resumed_at_epoch'] is None
    (session,) = json.loads((run / 'trial.json').read_text())['sessions']
    ended = session['begun'] + float(first['seconds'])
    assert datetime.fromisoformat(second['started']).timestamp() > ended - 1
    assert 'epochs: 80 of 80' in output


def test_killed_before_the_training(start, finish, configs, tmp_path):
    out = tmp_path / 'out'
    finish('usual', '--epochs', '1')
    first = start('usual', '--epochs', '2')
    wait_for(lambda: len(runs_of(out)) == 2)
    os.kill(first.process.pid, signal.SIGTERM)
    assert first.wait() == 143
    output = finish('usual', '--epochs', '2')
    assert 'already done' not in output
    (row,) = rows(out)
    assert row['epochs'] == '2'


@pytest.mark.nightly
def test_nohup_is_respected(configs, dataset, tmp_path):
    out = tmp_path / 'out'
    process = subprocess.Popen(
        [
            *('nohup', sys.executable, ROOT / 'tools' / 'compare.py'),
            *(configs / 'usual.py', '--data-root', dataset, '--out', out),
            *('--device', 'cpu', '--epochs', '4'),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for_epoch(out, 1)
    process.send_signal(signal.SIGHUP)
    assert process.wait() == 0
    assert len(rows(out)) == 1


def test_two_comparisons_do_not_share_a_folder(
    start, configs, dataset, tmp_path
):
    first = start('usual', '--epochs', '20')
    wait_for_epoch(tmp_path / 'out', 1)
    second = forked.start(
        tmp_path / 'second', 'compare', configs / 'slow.py', '--data-root',
        dataset, '--out', tmp_path / 'out', '--device', 'cpu',
    )  # fmt: skip
    assert second.wait() == 2
    assert 'name another folder: --out FOLDER' in second.text
    os.kill(first.process.pid, signal.SIGTERM)
    first.wait()


def test_error_stops_the_trainings(start, tmp_path):
    (tmp_path / 'out' / 'compare.csv').mkdir(parents=True)
    run = start('broken usual', '--jobs', '2', '--epochs', '100')
    assert run.wait() == 2, run.text
    runs = runs_of(tmp_path / 'out')
    assert len(runs) == 2
    assert not any(map(is_taken, runs))


def test_hanging_training_is_killed(start, tmp_path):
    script = tmp_path / 'first.py'
    script.write_text(
        'from flower_mm.sweep import run_trials\nrun_trials.STOP_SECONDS = 1\n'
    )
    run = start('usual', '--epochs', '100', env={'THEN_RUN': str(script)})
    wait_for_epoch(tmp_path / 'out', 1)
    (folder,) = runs_of(tmp_path / 'out')
    (training,) = children_of(run.process.pid)
    os.kill(training, signal.SIGSTOP)  # it handles no signals
    os.kill(run.process.pid, signal.SIGTERM)
    assert run.wait() == 143, run.text
    assert not is_taken(folder)


@pytest.mark.parametrize(
    ('number', 'words'), [(signal.SIGKILL, 'fewer --jobs'), (40, 'signal 40')]
)
def test_killed_training_leaves_the_others(number, words, start, tmp_path):
    run = start('usual slow', '--epochs', '10')
    wait_for_epoch(tmp_path / 'out', 1)
    (training,) = children_of(run.process.pid)
    os.kill(training, number)
    assert run.wait() == 1, run.text
    first, second = rows(tmp_path / 'out')
    assert first['error'].startswith('killed by')
    assert words in first['error']
    assert second['status'] == 'finished'


def test_training_without_run_json(start, tmp_path):
    run = start('usual', '--cfg-options', 'default_hooks.record=None')
    assert run.wait() == 1
    (row,) = rows(tmp_path / 'out')
    assert 'default_hooks.record' in row['error']


def test_debug_reaches_the_trainings(start, tmp_path):
    assert start('broken', '--debug').wait() == 2
    (run,) = runs_of(tmp_path / 'out')
    assert 'Traceback' in (run / 'train.log').read_text()
    (row,) = rows(tmp_path / 'out')
    assert 'NoSuchOptimizer' in row['error']


def test_schedulers_after_the_last_epoch_are_dropped(
    finish, configs, config, tmp_path
):
    """Such as a cosine schedule after an epoch of warm-up."""
    (configs / 'late.py').write_text(
        f'_base_ = [{str(config)!r}]\n'
        "param_scheduler = [dict(type='LinearLR', by_epoch=False, begin=3),\n"
        "    dict(type='ConstantLR', factor=0.5, end=1),\n"
        "    dict(type='CosineAnnealingLR', begin=1)]\n"
    )
    finish('late', '--epochs', '1')
    (planned,) = (tmp_path / 'out').glob('*/late.py')
    schedule = read_config(str(planned)).param_scheduler
    assert [one.type for one in schedule] == ['LinearLR', 'ConstantLR']


def test_flags_reach_the_trainings(finish, tmp_path):
    finish(
        'usual', '--from-scratch', '--amp', '--epochs', '1', '--retry-nan',
        '2',
        '--cfg-options', 'train_dataloader.batch_size=4',
        '--cfg-options', 'optim_wrapper.optimizer.lr=1e-4',
    )  # fmt: skip
    (row,) = rows(tmp_path / 'out')
    assert row['optim_wrapper'] == 'Bf16OptimWrapper'
    command = record_of(row['folder'])['command']
    assert '--from-scratch' in command
    assert '--amp' in command
    assert '--retry-nan 2' in command
    resolved = read_config(str(Path(row['folder'], 'usual.py')))
    assert resolved.train_dataloader.batch_size == 4
    assert resolved.optim_wrapper.optimizer.lr == 1e-4


def test_head_only(finish, tmp_path):
    finish('usual', '--head-only')
    (row,) = rows(tmp_path / 'out')
    assert (row['epochs'], row['trained_parameters']) == ('0', str(33 * 3))


def test_edits_of_a_config_during_a_comparison(
    start, finish, configs, tmp_path
):
    before = (configs / 'usual.py').read_text()
    edited = configs / 'edited.py'
    edited.write_text(before)
    run = start('edited', '--seeds', '0', '1', '--epochs', '2')
    wait_for_epoch(tmp_path / 'out', 1)
    edited.write_text(before.replace('lr=0.003', 'lr=0.0'))
    assert run.wait() == 0, run.text
    rates = {
        read_config(str(folder / 'edited.py')).optim_wrapper.optimizer.lr
        for folder in runs_of(tmp_path / 'out')
    }
    assert rates == {0.003}

    output = finish('edited', '--seeds', '0', '1', '--epochs', '2')
    assert 'already done' not in output  # it is another config now
    assert '2 rows of ' in output


def test_renamed_weights_are_the_same_training(finish, plain_run, tmp_path):
    for name in ('one.pth', 'two.pth'):
        shutil.copy(plain_run / 'best.pth', tmp_path / name)
        (tmp_path / f'{name[:3]}_link').symlink_to(tmp_path)
        output = finish(
            'usual', '--weights', tmp_path / name, '--epochs', '1',
            # The same folder under another name.
            *('--out', tmp_path / f'{name[:3]}_link' / 'out'),
        )  # fmt: skip
    assert '1 of 1 runs are already done' in output
    assert 'of other runs' not in output


def test_all_start_from_the_weights(finish, plain_run, tmp_path):
    finish('usual slow', '--weights', plain_run / 'best.pth')
    for run in runs_of(tmp_path / 'out'):
        assert '30 of 30 backbone tensors' in (run / 'train.log').read_text()


def test_load_from_of_a_config(finish, configs, config, plain_run, tmp_path):
    weights = plain_run / 'best.pth'
    (configs / 'loaded.py').write_text(
        f'_base_ = [{str(config)!r}]\nload_from = {str(weights)!r}\n'
    )
    finish('loaded', '--epochs', '1')
    (run,) = runs_of(tmp_path / 'out')
    output = (run / 'train.log').read_text()
    assert '30 of 30 backbone tensors' in output
    assert f'from {weights}' in output


def test_infinity_in_a_config(finish, configs, config, tmp_path):
    """repr() writes it as the undefined name inf."""
    (configs / 'infinite.py').write_text(
        f'_base_ = [{str(config)!r}]\n'
        'optim_wrapper = dict('
        "clip_grad=dict(max_norm=1.0, norm_type=float('inf')))\n"
    )
    finish('infinite', '--epochs', '1')
    (planned,) = (tmp_path / 'out').glob('*/infinite.py')
    clip = read_config(str(planned)).optim_wrapper.clip_grad
    assert clip == {'max_norm': 1.0, 'norm_type': float('inf')}


def test_changed_weights_are_another_training(finish, plain_run, tmp_path):
    weights = tmp_path / 'start.pth'
    for name, count in (('best', 1), ('best', 1), ('epoch_1', 2)):
        shutil.copy(plain_run / f'{name}.pth', weights)
        finish('usual', '--weights', weights, '--epochs', '1')
        assert len(runs_of(tmp_path / 'out')) == count


def test_different_datasets_are_refused(configs, photos, dataset, tmp_path):
    other = tmp_path / 'other'
    tool('prepare_dataset', photos, '--out', other, '--val', '0.4')
    for name, folder in (('here', dataset), ('there', other)):
        base = str(configs / 'usual.py')
        (configs / f'{name}.py').write_text(
            f'_base_ = [{base!r}]\n'
            + ''.join(
                f'{part}_dataloader = dict('
                f'dataset=dict(data_root={str(folder)!r}))\n'
                for part in ('train', 'val', 'test')
            )
        )
    run = forked.start(
        tmp_path / 'log', 'compare', configs / 'here.py',
        configs / 'there.py', '--out', tmp_path / 'out', '--device', 'cpu',
    )  # fmt: skip
    assert run.wait() == 2
    assert 'different datasets' in run.text
    assert not (tmp_path / 'out').exists()


def test_config_without_validation(finish, configs, config, tmp_path):
    (configs / 'blind.py').write_text(
        f'_base_ = [{str(config)!r}]\n'
        'val_cfg = val_dataloader = val_evaluator = None\n'
    )
    output = finish('blind')
    assert 'Accuracy not measured: blind, seed 0' in output
    (run,) = runs_of(tmp_path / 'out')
    assert list(run.glob('epoch_*.pth'))


@pytest.mark.parametrize(
    ('names', 'args', 'words'),
    [
        ('usual usual', [], 'got usual 2 times'),
        ('usual', ['--seeds', '1', '1'], 'got 1 2 times'),
        ('usual none', [], 'unknown config'),
        ('usual', ['--weights', 'w.pth'], 'are missing: w.pth'),
        ('usual', ['--weights', 'w', '--from-scratch'], 'either'),
        ('usual', ['--cfg-options', 'word'], "got 'word'"),
        ('usual', ['--cfg-options', 'train_cfg.max_iters=9'], 'iterations'),
        ('usual', ['--cfg-options', 'runner_type=Runner'], 'FlowerRunner'),
        ('usual', ['--device', 'cpu', 'cuda:77'], 'no device cuda:77'),
        ('usual', ['--head-only', '--epochs', '2'], '--epochs has no effect'),
        ('usual', ['--out', __file__], 'is a file: expected a folder'),
    ],
)
def test_invalid_arguments(names, args, words, start, tmp_path):
    run = start(names, *args)
    assert run.wait() == 2
    assert words in run.text
    assert not (tmp_path / 'out').exists()


def test_devices_of_two_kinds_are_refused(monkeypatch):
    """With a fake GPU."""
    monkeypatch.setattr(
        plan_trials, 'use_device', lambda device, launcher: device
    )
    args = Namespace(configs=['usual.py'], seeds=[0], device=['cpu', 'cuda'])
    with pytest.raises(UserError, match='cpu and cuda differ'):
        plan_trials.plan_trials(args, parse_training)


def test_another_kind_of_device_is_another_training(
    monkeypatch, configs, dataset, tmp_path
):
    for module in ('sweep.plan_trials', 'engine.resolved_run'):
        monkeypatch.setattr(
            f'flower_mm.{module}.use_device', lambda device, *_, **__: device
        )
    folders = {
        planned(configs / 'usual.py', dataset, tmp_path, device).folder
        for device in ('cpu', 'cuda', 'cpu')
    }
    assert len(folders) == 2


def planned(
    config: Path, dataset: Path, out: Path, device: str = 'cpu'
) -> Trial:
    args = Namespace(
        configs=[str(config)], seeds=[0], out=out, device=[device],
        epochs=None, weights=None, data_root=str(dataset), from_scratch=False,
        head_only=False, amp=False, retry_nan=None, cfg_options=None,
        debug=False,
    )  # fmt: skip
    (trial,) = plan_trials.plan_trials(args, parse_training)
    return trial


@pytest.mark.parametrize(
    ('one', 'other'),
    [
        ('{3}', '{1}'),
        ("{'a', 'b'}", "{'a'}"),
        ('range(1, 3)', 'range(50, 60)'),
        ("b'a'", "b'b'"),
        ('0.1', '0.10000001'),
        ("'1'", '1'),
    ],
)
def test_changed_values_are_another_training(
    one, other, config, dataset, tmp_path
):
    folders = []
    for value in (one, other, one):
        (tmp_path / 'other.py').write_text(
            f'_base_ = [{str(config)!r}]\n'
            f"custom_hooks = [dict(type='Any', value={value})]\n"
        )
        trial = planned(tmp_path / 'other.py', dataset, tmp_path)
        folders.append(trial.folder)
    assert folders[0] == folders[2] != folders[1]


def test_keys_of_several_types(config, dataset, tmp_path):
    (tmp_path / 'mixed.py').write_text(
        f'_base_ = [{str(config)!r}]\n'
        "names = {0: 'daisy', 'other': 'rose'}\n"
    )
    trial = planned(tmp_path / 'mixed.py', dataset, tmp_path)
    written = tmp_path / 'written.py'
    written.write_text(trial.text)
    assert read_config(str(written)).names == {0: 'daisy', 'other': 'rose'}


@pytest.mark.parametrize(
    'value',
    [
        "pathlib.Path('/tmp')",
        "pathlib.Path('1')",
        "dict(inner=[pathlib.Path('x')])",
        'pathlib.Path',
    ],
)
def test_value_that_a_config_file_cannot_hold(
    value, config, dataset, tmp_path
):
    (tmp_path / 'here.py').write_text(
        f'pathlib = __import__("pathlib")\n_base_ = [{str(config)!r}]\n'
        f"here = {value}\nthere = float('nan')\n"
    )
    with pytest.raises(UserError, match=r'here\.py cannot .* in here\.'):
        planned(tmp_path / 'here.py', dataset, tmp_path)
