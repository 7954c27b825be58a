"""What a training prints: a header, a row per epoch, the next commands."""

import json
import shlex
from pathlib import Path

import forked
import pytest

from flower_mm.config import read_config
from flower_mm.engine.header import precision
from flower_mm.packaged_configs import short_names


@pytest.fixture(scope='module')
def output(plain_run: Path) -> list[str]:
    return plain_run.with_name('a.log').read_text('utf-8').splitlines()


def commands_in(lines: list[str]) -> dict[str, list[str]]:
    """The printed commands after `next:`, by the name of their tool."""
    lines = lines[lines.index('next:') + 1 :]
    words = [shlex.split(line.partition('  ')[2]) for line in lines]
    scripts = {}
    for line in words:
        place = next(
            (i for i, w in enumerate(line) if w.endswith('.py')), None
        )
        if place is not None:
            scripts[Path(line[place]).stem] = line[place + 1 :]
    return scripts


def test_the_header(output, plain_run):
    rows = dict(line.split(maxsplit=1) for line in output[:5])
    assert list(rows) == ['model', 'photos', 'device', 'training', 'results']
    assert rows['model'].startswith('ResNet-18, 0.04 million parameters')
    assert rows['model'].endswith('32 x 32 pixels')
    assert rows['photos'] == '39 for training, 21 for validation, 3 classes'
    assert rows['device'].endswith('float32')
    assert '2 epochs of 5 iterations, batch size 8' in rows['training']
    assert rows['results'] == str(plain_run)


def test_a_row_per_epoch_below_the_names_of_its_columns(output):
    place = next(i for i, x in enumerate(output) if x.startswith('epoch 1/2'))
    names, *rows = output[place - 1 : place + 2]
    for name in ('loss', 'train accuracy', 'val accuracy', 'learning rate'):
        end = names.index(name) + len(name)
        assert all(row[:end][-1] != ' ' for row in rows), name
    assert [row.split()[1] for row in rows] == ['1/2', '2/2']
    assert all(' s' in row for row in rows)


def test_the_result_and_the_total_time(output):
    text = '\n'.join(output)
    assert 'best accuracy' in text
    assert 'on 21 validation photos' in text
    assert 'total time ' in text


def test_the_next_step_after_own_photos_is_to_classify(output, plain_run):
    commands = commands_in(output)
    assert next(iter(commands)) == 'predict'
    assert commands['predict'][:2] == [str(plain_run / 'best.pth'), 'PHOTOS']
    assert 'prepare_dataset' not in commands


def test_the_next_commands_have_the_options_of_the_run(
    config, dataset, tmp_path
):
    run = forked.finish(
        tmp_path / 'log', 'train', config, '--data', dataset,
        '--work-dir', tmp_path / 'run', '--device', 'cpu', '--epochs', '1',
        '--image-size', '48', '--batch-size', '4', '--workers', '0',
    )  # fmt: skip
    record = json.loads((tmp_path / 'run' / 'run.json').read_text('utf-8'))
    assert record['command'].endswith('--workers 0')
    settings = {s['key']: s['run'] for s in record['changes']['settings']}
    assert settings['train_cfg.max_epochs'] == 1
    assert settings['train_dataloader.batch_size'] == 4
    assert settings['train_dataloader.num_workers'] == 0
    assert '48 x 48 pixels' in run.text
    assert '1 epoch of 10 iterations, batch size 4' in run.text
    commands = commands_in(run.text.splitlines())
    assert commands['test'][-2:] == ['--image-size', '48']
    assert '--device' in commands['predict']
    forked.finish(tmp_path / 'log2', 'test', *commands['test'])


def test_precisions():
    cfg = read_config(str(short_names()['resnet18']))
    for kind, name in (
        ('OptimWrapper', 'float32'),
        ('flower_mm.Bf16OptimWrapper', 'bfloat16'),
        ('AmpOptimWrapper', 'float16'),
    ):
        cfg.optim_wrapper.type = kind
        assert precision(cfg) == name
