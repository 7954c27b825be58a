"""The first training of somebody who has prepared nothing."""

import shlex
from pathlib import Path

from helpers import ROOT, tool

from flower_mm.exit_codes import USER_ERROR


def commands_in(text: str) -> list[list[str]]:
    return [shlex.split(x) for x in text.splitlines() if x.startswith('  ')]


def test_both_ways_are_shown(tmp_path):
    config = ROOT / 'configs' / 'flower' / 'resnet50_flower.py'
    done = tool('train', config, cwd=tmp_path, check=False)
    assert done.returncode == USER_ERROR
    assert done.stdout == ''
    scripts = [Path(words[1]).name for words in commands_in(done.stderr)]
    assert scripts == [
        'prepare_dataset.py',
        'train.py',
        'make_demo.py',
        'prepare_dataset.py',
        'train.py',
    ]


def test_the_own_training_keeps_the_options(tmp_path):
    words = ['resnet18', '--epochs', '3', '--work-dir', 'a b']
    done = tool('train', *words, cwd=tmp_path, check=False)
    own = commands_in(done.stderr)[1]
    assert own[-4:] == ['--epochs', '3', '--work-dir', 'a b']


def test_a_dataset_that_was_named_gets_one_command(tmp_path):
    words = ['resnet18', '--data', tmp_path / 'none']
    done = tool('train', *words, cwd=tmp_path, check=False)
    assert done.returncode == USER_ERROR
    assert 'make_demo' not in done.stderr
