"""Commands that a tool names can be pasted as they are."""

import shlex
import subprocess
import sys
from pathlib import Path

from flower_mm import cli


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
