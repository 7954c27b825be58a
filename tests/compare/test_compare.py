"""`tools/compare.py` as its user runs it."""

import csv
import json
import os
import signal
import time
from pathlib import Path

import forked
import pytest

BROKEN = """
_base_ = [{base!r}]
default_hooks = dict(
    pretrained=dict(type='PretrainedHook', weights='nowhere.pth'))
"""


@pytest.fixture(scope='module')
def configs(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two that train, and one whose weights are not there."""
    folder = tmp_path_factory.mktemp('configs')
    for name, rate in (('slow', 1e-5), ('usual', 3e-3)):
        (folder / f'{name}.py').write_text(
            f'_base_ = [{str(config)!r}]\n'
            f'optim_wrapper = dict(optimizer=dict(lr={rate}))\n'
        )
    (folder / 'broken.py').write_text(BROKEN.format(base=str(config)))
    return folder


def start(
    configs: Path, dataset: Path, out: Path, names: str, *args: str
) -> forked.Run:
    files = [configs / f'{name}.py' for name in names.split()]
    return forked.start(
        out.with_name(f'{out.name}.log'), 'compare', *files,
        '--data-root', dataset, '--out', out, '--device', 'cpu', *args,
    )  # fmt: skip


def rows(out: Path) -> list[dict]:
    with (out / 'compare.csv').open(encoding='utf-8') as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope='module')
def compared(
    configs: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory
) -> forked.Run:
    """All three with two seeds. Tests leave it alone."""
    out = tmp_path_factory.mktemp('compared') / 'out'
    run = start(
        configs, dataset, out, 'slow broken usual',
        '--seeds', '0', '1', '--jobs', '2',
    )  # fmt: skip
    run.wait()
    return run


def out_of(run: forked.Run) -> Path:
    return run.log.with_suffix('')


def test_each_run_has_a_row(compared):
    found = rows(out_of(compared))
    assert [(row['config'], row['seed']) for row in found] == [
        (name, seed) for seed in '01' for name in ('slow', 'broken', 'usual')
    ]
    for row in found:
        assert row['status'] == (
            'failed' if row['config'] == 'broken' else 'finished'
        )
    for row in found:
        if row['status'] == 'finished':
            run = Path(row['folder'])
            record = json.loads((run / 'run.json').read_text())
            assert float(row['best_top1']) == pytest.approx(
                record['result']['best_top1'], abs=0.01
            )
            assert record['seed'] == int(row['seed'])
            # Imports included, and so more than the run itself knows of.
            assert float(row['seconds']) > sum(record['seconds'].values())
            assert int(row['parameters']) > 40_000
            assert (run / 'best.pth').is_file()
            assert list(run.glob('epoch_*.pth')) == []


def test_one_failed_run_does_not_end_the_others(compared):
    assert compared.process.exitcode == 2  # a mistake of the user's
    assert 'broken, seed 0: failed' in compared.text
    (failed, _) = (
        r for r in rows(out_of(compared)) if r['status'] == 'failed'
    )
    assert 'nowhere.pth' in failed['error']


def test_the_table_stands_on_the_screen_and_in_a_file(compared):
    text = (out_of(compared) / 'compare.md').read_text()
    assert text in compared.text
    assert '| usual |' in text
    assert 'Failed: broken, seed 1' in text


def test_what_is_done_is_kept(compared, configs, dataset):
    out = out_of(compared)
    before = {
        path: path.stat().st_mtime_ns for path in out.glob('*/*/run.json')
    }
    again = start(configs, dataset, out, 'slow usual', '--seeds', '0', '1')
    assert again.wait() == 0, again.text
    assert '4 of 4 runs are done; kept' in again.text
    assert len(before) == 4
    for path, then in before.items():
        assert path.stat().st_mtime_ns == then
    assert len(rows(out)) == 4


def test_another_length_is_another_training(configs, dataset, tmp_path):
    out = tmp_path / 'out'
    for epochs in (1, 2):
        run = start(configs, dataset, out, 'usual', '--epochs', str(epochs))
        assert run.wait() == 0, run.text
        assert 'done; kept' not in run.text
        (row,) = rows(out)
        assert row['epochs'] == str(epochs)
    record = json.loads((out / 'usual' / 'seed_0' / 'run.json').read_text())
    assert record['resumed_at_epoch'] is None


def test_a_stopped_comparison_goes_on(configs, dataset, tmp_path):
    """Into the same figures, and with the seconds of both times."""
    out, whole = tmp_path / 'out', tmp_path / 'whole'
    length = ('--epochs', '12')
    stopped = start(configs, dataset, out, 'usual', *length)
    record = out / 'usual' / 'seed_0' / 'run.json'
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if record.is_file():
            done = json.loads(record.read_text())['result']['epochs']
            if done >= 2:
                break
        time.sleep(0.02)
    os.kill(stopped.process.pid, signal.SIGTERM)
    assert stopped.wait() == 143, stopped.text
    assert json.loads(record.read_text())['status'] == 'interrupted'

    run = start(configs, dataset, out, 'usual', *length)
    assert run.wait() == 0, run.text
    assert json.loads(record.read_text())['resumed_at_epoch'] >= 2
    reference = start(configs, dataset, whole, 'usual', *length)
    assert reference.wait() == 0, reference.text
    (row,), (expected,) = rows(out), rows(whole)
    for key in ('best_top1', 'best_epoch', 'last_top1', 'epochs'):
        assert row[key] == expected[key]
    note = json.loads((record.parent / 'trial.json').read_text())
    assert len(note['sessions']) == 2


@pytest.mark.parametrize(
    ('names', 'args', 'said'),
    [
        ('usual usual', [], '2 times the config usual'),
        ('usual', ['--seeds', '1', '1'], '2 times the seed 1'),
        ('usual none', [], 'there is no config'),
        ('usual', ['--weights', 'w.pth'], 'starts from no weights'),
        ('usual', ['--weights', 'w', '--from-scratch'], 'either'),
    ],
)
def test_a_mistake_is_told_before_anything_is_trained(
    names, args, said, configs, dataset, tmp_path
):
    out = tmp_path / 'out'
    run = start(configs, dataset, out, names, *args)
    assert run.wait() == 2
    assert said in run.text
    assert not out.exists()
