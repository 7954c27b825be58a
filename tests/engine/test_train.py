"""A run from the command line to what it leaves behind."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import forked
import pytest
import torch
from helpers import CLASSES, ROOT, tool


def same_tensors(one: dict, two: dict) -> bool:
    return one.keys() == two.keys() and all(
        torch.equal(one[key], two[key]) for key in one
    )


def weights(run: Path, name: str = 'best.pth') -> dict:
    return torch.load(run / name, weights_only=True)['state_dict']


def test_a_run_leaves_what_the_readme_says(plain_run, dataset):
    run = plain_run
    record = json.loads((run / 'run.json').read_text())
    assert record['status'] == 'finished'
    assert record['classes'] == CLASSES
    assert record['seed'] == 0
    assert (
        record['dataset_sha256']
        == json.loads((dataset / 'dataset.json').read_text())['sha256']
    )
    assert record['result']['best_top1'] > 60  # chance is 33
    assert (run / 'curves.png').read_bytes()[:4] == b'\x89PNG'
    assert (run / 'tiny.py').is_file()
    kept = sorted(p.name for p in run.glob('epoch_*.pth'))
    assert kept == ['epoch_1.pth', 'epoch_2.pth']

    from tensorboard.backend.event_processing.event_accumulator import (
        EventAccumulator,
    )

    events = EventAccumulator(str(run / 'tensorboard' / run.name))
    events.Reload()
    for tag in (
        'train/loss',
        'train/lr',
        'train/accuracy_top-1',
        'val/accuracy/top1',
        'val/cross_entropy',
    ):
        assert events.Scalars(tag), tag
    logged = [
        json.loads(line)
        for line in (run / 'scalars.json').read_text().splitlines()
    ]
    val = [r for r in logged if 'accuracy/top1' in r]
    best = max(val, key=lambda r: r['accuracy/top1'])
    assert best['accuracy/top1'] == pytest.approx(
        record['result']['best_top1']
    )
    # The epoch's own figures, not a mean over epochs.
    meta = torch.load(run / 'best.pth', weights_only=True)['meta']
    assert best['cross_entropy'] == pytest.approx(
        meta['metrics']['cross_entropy']
    )


def test_best_pth_is_plain(plain_run):
    # Without an allow-list.
    found = torch.load(plain_run / 'best.pth', weights_only=True)
    meta = found['meta']
    assert meta['classes'] == CLASSES
    assert meta['epoch'] in (1, 2)
    assert meta['metrics']['accuracy/top1'] > 0
    assert meta['cfg']['model']['head']['num_classes'] == 3
    assert 'optimizer' not in found


README = (ROOT / 'README.md').read_text(encoding='utf-8')
IN_MMPRETRAIN = """
import flower_mm.engine
from flower_mm.weights.checked_config import config_of
from mmpretrain import ImageClassificationInferencer

best = 'work_dirs/demo_flower/best.pth'
predict = ImageClassificationInferencer(config_of(best), pretrained=best)
print(predict('data/demo_photos/rose/rose_0001.jpg')[0]['pred_class'])
"""


@pytest.mark.parametrize(
    'code',
    [
        pytest.param(
            re.search(r'```python\n(.*?)```', README, re.DOTALL)[1],
            marks=pytest.mark.nightly,
        ),
        IN_MMPRETRAIN,
    ],
    ids=['readme', 'mmpretrain'],
)
def test_best_pth_is_all_that_predicting_takes(code, plain_run, photos):
    photo = photos / CLASSES[1] / '000.jpg'
    for named, there in (
        ('work_dirs/demo_flower/best.pth', plain_run / 'best.pth'),
        ('data/demo_photos/rose/rose_0001.jpg', photo),
    ):
        assert named in code
        code = code.replace(named, str(there))
    done = subprocess.run(
        [sys.executable, '-c', code],
        # As hostile as it gets; the file is read as data all the same.
        env={**os.environ, 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD': '1'},
        capture_output=True,
        text=True,
        check=True,
    )
    assert any(name in done.stdout for name in CLASSES)


def test_test_tool_agrees_with_training(plain_run, config, dataset, tmp_path):
    run = plain_run
    best = json.loads((run / 'run.json').read_text())['result']['best_top1']
    out = tmp_path / 'photos.csv'
    done = tool(
        'test', config, run / 'best.pth', '--data-root', dataset, '--out', out
    )
    assert f'top-1 {best:.2f} %' in done.stdout
    lines = out.read_text().splitlines()
    photos = len((dataset / 'val.txt').read_text().splitlines())
    assert len(lines) == 1 + photos
    right = sum(line.split(',')[3] == '1' for line in lines[1:])
    assert right / photos * 100 == pytest.approx(best)
    figures = json.loads((run / 'test' / 'test.json').read_text())
    assert sum(map(sum, figures['confusion'])) == photos
    assert (run / 'test' / 'confusion.png').is_file()
    flipped = tool(
        'test', config, run / 'best.pth', '--data-root', dataset, '--tta'
    )
    assert 'top-1' in flipped.stdout


def test_test_tool_refuses_other_classes(plain_run, config, tmp_path):
    other = tmp_path / 'other'
    other.mkdir()
    (other / 'classes.txt').write_text('red\nblue tit\nétoile\n')
    for name in ('val.txt', 'train.txt'):
        (other / name).write_text('red/1.jpg 0\n')
    done = tool(
        'test',
        config,
        plain_run / 'best.pth',
        '--data-root',
        other,
        check=False,
    )
    assert done.returncode == 2
    assert 'was trained on 3 classes (blue tit, red, étoile)' in done.stderr


@pytest.mark.parametrize(
    'options',
    [
        pytest.param(
            [
                *('--cfg-options', 'env_cfg.mp_cfg.mp_start_method=spawn'),
                *('train_dataloader.num_workers=1',),
                *('val_dataloader.num_workers=0',),
            ],
            marks=pytest.mark.nightly,
        ),
        [
            *('--no-persistent-workers', '--cfg-options'),
            *('env_cfg.mp_cfg.mp_start_method=fork',),
            *('train_dataloader.num_workers=3',),
        ],
    ],
    ids=['spawn', 'fork'],
)
def test_the_start_method_and_workers_change_nothing(
    options, plain_run, train
):
    assert same_tensors(weights(plain_run), weights(train('run', *options)))


def test_another_seed_is_another_run(plain_run, train):
    other = train('other', '--seed', '1')
    assert not same_tensors(weights(plain_run), weights(other))


def test_ctrl_c_keeps_the_epochs_and_says_how_to_go_on(
    config, dataset, tmp_path
):
    run = forked.start(
        *(tmp_path / 'log', 'train', config, '--data-root', dataset),
        *('--work-dir', tmp_path / 'run'),
        *('--cfg-options', 'train_cfg.max_epochs=1000'),
        curves=True,
    )
    while 'epoch 2/' not in run.text:
        assert run.process.is_alive(), run.text
        time.sleep(0.05)
    os.kill(run.process.pid, signal.SIGINT)
    assert run.wait() == 130
    rest = run.text
    assert '--resume' in rest
    assert (tmp_path / 'run' / 'best.pth').is_file()
    assert (tmp_path / 'run' / 'curves.png').is_file()
    done = int(re.search(r'checkpoint is of epoch (\d+)', rest)[1])
    assert (tmp_path / 'run' / f'epoch_{done}.pth').is_file()
    record = json.loads((tmp_path / 'run' / 'run.json').read_text())
    assert record['status'] == 'interrupted'


def test_an_earlier_run_in_the_same_folder_is_kept(train):
    first = weights(train('run'))
    run = train('run', '--seed', '1')
    (kept,) = (run / 'earlier').iterdir()
    assert same_tensors(first, weights(kept))
    assert not same_tensors(first, weights(run))


def test_two_processes_measure_what_one_does(train, config, dataset, tmp_path):
    """The same photos in each step, and so the same accuracies.

    The model has no batch norm, whose statistics would be those of half a
    batch. SGD, because Adam turns the rounding of a sum in another order
    into whole steps where a gradient is nearly nothing. 32 photos divide
    into steps of 8 and of twice 4; a remainder would be padded.
    """
    options = [
        '--cfg-options',
        'optim_wrapper.optimizer.type=SGD',
        'optim_wrapper.optimizer.lr=0.05',
        'train_dataloader.dataset.indices=32',
    ]
    one, two = train('one', *options), tmp_path / 'two'
    forked.finish_ranks(
        *(tmp_path, 'train', config),
        *('--data-root', dataset, '--work-dir', two, *options),
        'train_dataloader.batch_size=4',
    )

    def accuracies(run: Path) -> list[float]:
        lines = (run / 'scalars.json').read_text().splitlines()
        records = map(json.loads, lines)
        return [r['accuracy/top1'] for r in records if 'accuracy/top1' in r]

    assert accuracies(one) == accuracies(two)
    expected = weights(one)
    for key, tensor in weights(two).items():
        torch.testing.assert_close(tensor, expected[key], rtol=1e-4, atol=1e-5)


def test_weights_of_ones_own_are_named_by_a_flag(
    config, dataset, plain_run, tmp_path
):
    """A blank, which MMEngine would take out of an option's value."""
    mine = tmp_path / 'my weights' / 'best.pth'
    mine.parent.mkdir()
    shutil.copy(plain_run / 'best.pth', mine)
    run = forked.finish(
        tmp_path / 'log', 'train', config, '--data-root', dataset,
        '--work-dir', tmp_path / 'run', '--weights', mine,
    )  # fmt: skip
    assert '30 of 30 backbone tensors' in run.text


def test_with_nothing_to_resume_it_begins_with_what_the_config_loads(
    config, dataset, plain_run, tmp_path
):
    weights = plain_run / 'best.pth'
    words = (
        'train', config, '--data-root', dataset, '--work-dir',
        tmp_path / 'run', '--resume', '--cfg-options', f'load_from={weights}',
    )  # fmt: skip
    run = forked.finish(tmp_path / 'log', *words, 'train_cfg.max_epochs=1')
    assert 'nothing to resume' in run.text
    assert '30 of 30 backbone tensors' in run.text
    assert f'from {weights}' in run.text
    again = forked.finish(tmp_path / 'again', *words, 'train_cfg.max_epochs=1')
    assert 'nothing to resume' not in again.text
    assert 'backbone tensors' not in again.text


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (['--from-scratch'], 'either --weights or --from-scratch'),
        (['--cfg-options', 'load_from=best.pth'], 'load_from=None'),
        (['--cfg-options', 'word'], "got 'word'"),
    ],
)
def test_what_weights_and_options_cannot_be(
    words, said, config, dataset, plain_run, tmp_path
):
    run = forked.start(
        tmp_path / 'log', 'train', config, '--data-root', dataset,
        '--work-dir', tmp_path / 'run', '--weights', plain_run / 'best.pth',
        *words,
    )  # fmt: skip
    assert run.wait() == 2
    assert said in run.text
    assert 'Traceback' not in run.text


def test_mixed_precision_runs_on_a_cpu(train):
    record = json.loads(
        (train('amp', '--amp', '--device', 'cpu') / 'run.json').read_text()
    )
    assert record['optim_wrapper'] == 'Bf16OptimWrapper'


def test_plain_and_averaged_weights_are_both_timed(plain_run):
    record = json.loads((plain_run / 'run.json').read_text())
    assert record['validations'] == 2 * record['result']['epochs']


def says_of_weights(run: Path) -> Path:
    """What is named as the weights, and as what test.py takes."""
    text = run.with_name(f'{run.name}.log').read_text('utf-8')
    (named,) = re.findall(r'^  weights +(.*)$', text, re.MULTILINE)
    (tested,) = re.findall(r'test\.py (.*)$', text, re.MULTILINE)
    assert named in tested
    return Path(named)


@pytest.mark.parametrize('runner', ['FlowerRunner', 'Runner'])
def test_the_weights_of_mmengines_hook_are_named(
    config, dataset, tmp_path, runner
):
    """Which writes no best.pth, whosever Runner it is in."""
    ours = runner == 'FlowerRunner'
    strange, run = tmp_path / 'strange.py', tmp_path / runner
    strange.write_text(
        f'_base_ = [{str(config)!r}]\nrunner_type = {runner!r}\n'
        "hook = dict(type='mmengine.CheckpointHook', save_best='auto')\n"
        + (
            'default_hooks = dict(checkpoint=dict(_delete_=True, **hook))\n'
            if ours
            else 'default_hooks = dict(_delete_=True, checkpoint=hook)\n'
        )
    )
    options = (strange, '--data-root', dataset, '--work-dir', run)
    # MMEngine's Runner lets nobody switch the report off.
    forked.finish(tmp_path / f'{runner}.log', 'train', *options, report=True)
    assert not (run / 'best.pth').exists()
    assert says_of_weights(run).name.startswith('best_accuracy_top1_epoch')
    assert says_of_weights(run).is_file()


def test_our_hooks_name_the_runner_that_they_need(config, dataset, tmp_path):
    mine = tmp_path / 'mine.py'
    # MMEngine's Runner refuses a hook that is None before.
    text = config.read_text('utf-8')
    for line in ('head_first=None,', 'known_photos=None,'):
        text = text.replace(line, '')
    mine.write_text(text, encoding='utf-8')
    options = (mine, '--data-root', dataset, '--work-dir', tmp_path / 'run')
    other = ('--cfg-options', 'runner_type=Runner')
    log = tmp_path / 'log'
    done = forked.start(log, 'train', *options, *other, report=True)
    assert done.wait() == 2
    assert 'runner_type=FlowerRunner' in done.text.splitlines()[-1]


def test_no_validate_keeps_the_last_weights(train):
    run = train('run', '--no-validate')
    assert says_of_weights(run) == run / 'epoch_2.pth'
    assert (run / 'epoch_2.pth').is_file()
    assert not (run / 'best.pth').exists()


def test_a_photo_that_breaks_while_training_is_named(config, photos, tmp_path):
    """In a worker, whose message torch wraps in a traceback."""
    data = tmp_path / 'data'
    tool('prepare_dataset', photos, '--out', data)
    broken = next((data / 'train' / 'red').iterdir())
    broken.write_bytes(broken.read_bytes()[:30])
    done = tool(
        'train',
        config,
        *('--data-root', data, '--work-dir', tmp_path / 'run'),
        *('--cfg-options', 'train_dataloader.num_workers=1'),
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f'error: {broken} could not be loaded')
    assert len(done.stderr.splitlines()) <= 5
    record = json.loads((tmp_path / 'run' / 'run.json').read_text())
    assert record['status'] == 'failed'
    assert record['error'].startswith(f'{broken} could not be loaded')


@pytest.mark.parametrize(
    ('args', 'said'),
    [
        (['nowhere.py'], 'unknown config nowhere.py'),
        (['CONFIG', '--data-root', 'nowhere'], 'prepare_dataset.py'),
        (
            ['CONFIG', '--data-root', 'DATA', '--device', 'cuda:99'],
            'no device cuda:99',
        ),
        (
            ['CONFIG', '--data-root', 'DATA', '--device', 'cuda:x'],
            'after the colon',
        ),
        (
            ['CONFIG', '--data-root', 'DATA', '--resume', 'nofile.pth'],
            'there is no checkpoint nofile.pth',
        ),
        (
            ['CONFIG', '--data-root', 'DATA', '--resume', ''],
            'invalid --resume',
        ),
        (
            [
                *('CONFIG', '--data-root', 'DATA'),
                *('--cfg-options', 'train_cfg.max_epochs=0'),
            ],
            'at least 1',
        ),
        (
            ['CONFIG', '--data-root', 'DATA', '--work-dir', '/proc/none'],
            '/proc/none',
        ),
    ],
)
def test_mistakes_are_told_in_a_line(args, said, config, dataset):
    real = {'CONFIG': config, 'DATA': dataset}
    args = [real.get(arg, arg) for arg in args]
    done = tool('train', *args, check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert 'Traceback' not in done.stderr
    assert len(done.stderr.splitlines()) <= 3
