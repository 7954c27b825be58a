"""`flower-mm`: its commands, their help, and words that it does not know."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT

from flower_mm.cli import main
from flower_mm.cli.main import COMMANDS
from flower_mm.commands import TOOLS
from flower_mm.errors import UserError
from flower_mm.exit_codes import USER_ERROR
from flower_mm.packaged_configs import config_path, short_names


def call(monkeypatch, *words: str) -> int:
    monkeypatch.setattr(sys, 'argv', ['flower-mm', *words])
    with pytest.raises(SystemExit) as ended:
        main.main()
    return ended.value.code


HELP = """
import contextlib, io, json, sys
from flower_mm.cli.main import COMMANDS, main
shown = {}
for name in ('', *COMMANDS):
    sys.argv = ['flower-mm', *filter(None, [name]), '--help']
    text = io.TextIOWrapper(io.BytesIO(), 'utf-8')
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        main()
    heavy = {'torch', 'mmengine', 'cv2', 'numpy', 'rich'} & set(sys.modules)
    assert not heavy, (name, heavy)
    text.flush()
    shown[name] = text.buffer.getvalue().decode()
print(json.dumps(shown))
"""


def test_help_imports_neither_torch_nor_the_packages_above_it():
    done = subprocess.run(
        [sys.executable, '-c', HELP], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert all(name in shown[''] for name in COMMANDS)
    assert all(f'flower-mm {name}' in shown[name] for name in COMMANDS)


def test_every_command_is_a_tool_too():
    tools = {path.stem for path in (ROOT / 'tools').glob('*.py')}
    expected = {TOOLS.get(name, name) for name in COMMANDS}
    assert tools == expected


def test_the_module_runs_the_commands(tmp_path):
    done = subprocess.run(
        [sys.executable, '-m', 'flower_mm', 'train', 'resnet50'],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == USER_ERROR
    assert 'data/flower_dataset' in done.stderr


@pytest.mark.parametrize(
    ('words', 'meant'),
    [
        (['trian'], 'train'),
        (['train', 'x', '--epoch-count', '3'], None),
        (['train', 'x', '--learning-rate', '1'], '--lr'),
        (['train', 'x', '--max_epochs', '3'], '--epochs'),
        (['train', 'x', '--imgsz=96'], '--image-size'),
        (['train', 'x', '--workdir', 'a'], '--work-dir'),
        (
            ['train', 'x', '--weight-decay=0.1'],
            '--cfg-options optim_wrapper.optimizer.weight_decay=0.1',
        ),
        (
            ['train', 'x', '--model.backbone.depth=34'],
            '--cfg-options model.backbone.depth=34',
        ),
        (['predict', 'x', 'y', '--weight-decay=0.1'], None),
        (['predict', 'x', 'y', '--bs', '3'], '--batch-size'),
    ],
)
def test_unknown_words_name_what_was_meant(words, meant, monkeypatch, capsys):
    assert call(monkeypatch, *words) == USER_ERROR
    shown = capsys.readouterr().err
    if words[0] in COMMANDS:
        assert next(w for w in words if w[0] == '-').partition('=')[0] in shown
    assert (
        (f'did you mean {meant}' in shown)
        if meant
        else ('did you mean' not in shown)
    )


def test_short_names_lead_to_packaged_configs():
    for name, path in short_names().items():
        assert Path(config_path(name)).samefile(path), name
    flower = ROOT / 'configs' / 'flower'
    for name, file in (
        ('resnet50', 'resnet50_flower.py'),
        ('resnet50_fast', 'resnet50_flower_fast.py'),
        ('resnet50_flower', 'resnet50_flower.py'),
        ('flower_mm::flower/resnet50_flower.py', 'resnet50_flower.py'),
        ('a1_resnet18', 'reports/a1_resnet18.py'),
    ):
        assert Path(config_path(name)).samefile(flower / file)


@pytest.mark.parametrize(
    ('name', 'near'),
    [
        ('resnet5', 'resnet50'),
        ('configs/flower/resnet50.py', 'configs/flower/resnet50_flower.py'),
        ('flower_mm::flower/resnet_50_flower.py', 'resnet50'),
        ('?', 'vit_small'),
    ],
)
def test_unknown_configs_name_the_nearest(name, near, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match=near):
        config_path(name)


def test_completion(monkeypatch, capsys, tmp_path):
    pytest.importorskip('shtab')
    assert call(monkeypatch, '--print-completion', 'bash') == 0
    script = tmp_path / 'flower-mm.bash'
    script.write_text(capsys.readouterr().out)

    def complete(*words: str) -> list[str]:
        code = (
            f'source {script}; COMP_WORDS=(flower-mm {" ".join(words)}); '
            f'COMP_CWORD={len(words)}; '
            '$(complete -p flower-mm | sed "s/.*-F \\([^ ]*\\).*/\\1/"); '
            'echo "${COMPREPLY[@]}"'
        )
        done = subprocess.run(
            ['bash', '-c', code], cwd=tmp_path, capture_output=True, text=True
        )
        return done.stdout.split()

    assert complete('tra') == ['train']
    assert complete('train', 'mobilenet_v2') == [
        'mobilenet_v2',
        'mobilenet_v2_fast',
    ]
    assert complete('train', 'x', '--ep') == ['--epochs']
    assert complete('export', 'x', '--to', 'o') == ['onnx']


def test_completion_without_shtab_names_the_command(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'shtab', None)
    assert call(monkeypatch, '--print-completion', 'zsh') == USER_ERROR
    assert 'flower_mm[completion]' in capsys.readouterr().err
