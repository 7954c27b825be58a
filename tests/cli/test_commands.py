"""Commands in messages can be pasted as they are."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from flower_mm import commands
from flower_mm.packaged_configs import config_path, short_names, typed_config


@pytest.fixture
def tools(monkeypatch, tmp_path) -> Path:
    """A folder of tools, one of which is running."""
    folder = tmp_path / 'my tools'
    folder.mkdir()
    for name in ('train', 'prepare_dataset'):
        text = 'import sys; print(sys.argv[1:])'
        (folder / f'{name}.py').write_text(text)
    words = [str(folder / 'train.py'), 'config.py', '--seed', '1']
    monkeypatch.setattr(sys, 'argv', words)
    return folder


@pytest.fixture
def program(monkeypatch, tmp_path) -> Path:
    """An installed program that is running."""
    script = tmp_path / 'bin' / 'flower-mm'
    script.parent.mkdir()
    script.touch(mode=0o755)
    words = [str(script), 'train', 'resnet50', '--seed', '1']
    monkeypatch.setattr(sys, 'argv', words)
    return script


def test_a_tool_names_other_tools_and_its_python(tools):
    command = commands.command('prepare', 'a b', Path('c'))
    done = subprocess.run(
        shlex.split(command), capture_output=True, text=True, check=True
    )
    assert done.stdout == "['a b', 'c']\n"
    assert commands.typed_arguments() == ['config.py', '--seed', '1']


def test_the_program_names_itself(program, monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', str(program.parent))
    assert commands.command('test', 'a b') == "flower-mm test 'a b'"
    assert commands.typed_command() == 'flower-mm train resnet50 --seed 1'
    assert commands.typed_arguments() == ['resnet50', '--seed', '1']
    monkeypatch.setenv('PATH', '')
    monkeypatch.chdir(tmp_path)
    assert commands.command('test') == 'bin/flower-mm test'


def test_the_module_names_itself(monkeypatch):
    path = Path(commands.__file__).with_name('__main__.py')
    monkeypatch.setattr(sys, 'argv', [str(path), 'train', 'resnet50'])
    monkeypatch.setattr(sys, 'executable', '/nowhere/python')
    expected = '/nowhere/python -m flower_mm train resnet50'
    assert commands.typed_command() == expected


def test_python_is_named_as_short_as_it_is_understood(monkeypatch, tmp_path):
    binary = tmp_path / '.venv' / 'bin' / 'python'
    monkeypatch.setattr(sys, 'executable', str(binary))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('PATH', '')
    assert shlex.split(commands.python()) == ['.venv/bin/python']
    binary.parent.mkdir(parents=True)
    binary.touch(mode=0o755)
    monkeypatch.setenv('PATH', str(binary.parent))
    assert commands.python() == 'python'


def test_configs_are_named_as_the_user_names_them(
    program, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    path = config_path('resnet50')
    assert Path(path).is_file()
    assert typed_config(path) == 'resnet50'
    own = tmp_path / 'mine.py'
    own.touch()
    assert config_path('mine.py') == 'mine.py'
    assert typed_config('mine.py') == 'mine.py'


def test_tools_name_the_paths_of_configs(tools, monkeypatch):
    folder = short_names()['resnet50'].parent
    monkeypatch.chdir(folder.parent)
    assert typed_config(config_path('resnet50')) == str(
        Path(folder.name) / 'resnet50_flower.py'
    )
