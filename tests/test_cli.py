"""Commands that a tool names can be pasted as they are."""

import gc
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT, tool

from flower_mm import cli
from flower_mm.errors import UserError
from flower_mm.settings import read_config


def test_threads_wait_asleep():
    """It has to be said before torch is imported."""
    env = {k: v for k, v in os.environ.items() if k != 'OMP_WAIT_POLICY'}
    code = (
        'import argparse, os\n'
        'from flower_mm import cli\n'
        'say = lambda args: print(os.environ["OMP_WAIT_POLICY"])\n'
        'cli.run(say, argparse.ArgumentParser())'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], env=env, capture_output=True, text=True
    )
    assert done.stdout == 'PASSIVE\n'


def test_a_named_command_runs_with_this_python(monkeypatch, tmp_path):
    tools = tmp_path / 'my tools'
    tools.mkdir()
    (tools / 'say.py').write_text('import sys; print(sys.argv[1:])')
    monkeypatch.setattr(sys, 'argv', [str(tools / 'train.py')])
    command = cli.command('say', 'a b', Path('c'))
    done = subprocess.run(
        shlex.split(command), capture_output=True, text=True, check=True
    )
    assert done.stdout == "['a b', 'c']\n"


def test_python_is_named_as_short_as_it_is_understood(monkeypatch, tmp_path):
    binary = tmp_path / '.venv' / 'bin' / 'python'
    monkeypatch.setattr(sys, 'executable', str(binary))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('PATH', '')
    assert shlex.split(cli.python()) == ['.venv/bin/python']
    binary.parent.mkdir(parents=True)
    binary.touch(mode=0o755)
    monkeypatch.setenv('PATH', str(binary.parent))
    assert cli.python() == 'python'


@pytest.mark.parametrize(
    ('option', 'said'),
    [
        (
            'param_scheduler.2.end=3',
            'param_scheduler is a list with 2 entries, param_scheduler.0 to '
            'param_scheduler.1',
        ),
        ('val_evaluator.topk=3', 'val_evaluator is a list with 2 entries'),
        ('param_scheduler.0=3', 'set its keys, as param_scheduler.0.KEY'),
        ('train_cfg.max_epochs.x=3', "train_cfg.max_epochs is '10'"),
    ],
)
def test_an_option_that_fits_nowhere_is_the_users_mistake(option, said):
    config = ROOT / 'configs' / 'flower' / 'resnet18_flower.py'
    with pytest.raises(UserError, match=re.escape(said)) as error:
        read_config(str(config), dict([option.split('=')]))
    assert f'--cfg-options {option.split("=")[0]}: ' in str(error.value)


def test_a_tool_ends_with_the_code_of_a_users_mistake():
    config = ROOT / 'configs' / 'flower' / 'resnet18_flower.py'
    options = ('--cfg-options', 'param_scheduler.2.end=3')
    done = tool('doctor', config, *options, check=False)
    assert done.returncode == cli.YOURS
    assert 'param_scheduler is a list with 2 entries' in done.stderr
    assert 'fault of flower_mm' not in done.stderr


def test_garbage_is_looked_for_again_once_all_is_loaded():
    with cli.loading():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ImportError), cli.loading():
        import there_is_no_such_module  # noqa: F401
    assert gc.isenabled()
