"""The examples of CONTRIBUTING.md work."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from docs.pages import blocks
from helpers import CLASSES, ROOT, tool
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope

from flower_mm.checks.codes import CODES, Severity
from flower_mm.cli import main
from flower_mm.config import apply_dataset, read_config, use_data_root
from flower_mm.registry import MODELS

CODE = blocks(ROOT / 'CONTRIBUTING.md', 'python')


def example(text: str) -> str:
    """The block that contains a text."""
    (code,) = (code for code in CODE if text in code)
    return code


@pytest.fixture
def settled(dataset, tmp_path):
    """Read a config of the page as if it was in configs/flower."""

    def read(code: str):
        folder = (ROOT / 'configs' / 'flower').as_posix()
        code = code.replace("'../_base_", f"'{folder}/../_base_")
        path = tmp_path / 'example.py'
        path.write_text(code.replace("'./timm", f"'{folder}/timm"))
        cfg = read_config(str(path))
        use_data_root(cfg, str(dataset))
        apply_dataset(cfg)
        return cfg

    return read


@pytest.mark.parametrize('name', ['repvgg', 'convnextv2'])
def test_the_backbone_computes_a_loss_for_the_classes(name, settled):
    cfg = settled(example(name))
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    photos = torch.rand(2, 3, 64, 64)
    scores = model.head(model.extract_feat(photos))
    assert scores.shape == (2, len(CLASSES))
    assert model.head.loss_module(scores, torch.tensor([0, 1])) > 0


@pytest.mark.nightly
def test_the_hook_writes_a_line_per_epoch(config, dataset, tmp_path):
    (tmp_path / 'my_hooks.py').write_text(example('class AccuracyFileHook'))
    lines = example("type='AccuracyFileHook'")
    base = 'flower_mm::flower/demo_flower.py'
    assert base in lines
    path = tmp_path / 'my_config.py'
    path.write_text(lines.replace(base, config.as_posix()))
    run = tmp_path / 'run'
    tool('train', path, '--data-root', dataset, '--work-dir', run)
    epochs = (run / 'accuracy.txt').read_text().split()[::2]
    assert epochs == ['1', '2']


def test_the_check_finds_a_single_epoch(monkeypatch):
    scope = {'_WARNING': Severity.WARNING}
    exec(example("'LR011': ("), scope)
    monkeypatch.setitem(CODES, 'LR011', scope['CODES']['LR011'])
    exec(example('def check('), scope)

    def found(epochs: int) -> list[str]:
        cfg = ConfigDict({'train_cfg': {'max_epochs': epochs}})
        return [str(f) for f in scope['check'](SimpleNamespace(cfg=cfg))]

    assert found(2) == []
    (finding,) = found(1)
    assert finding.startswith('train_cfg.max_epochs: LR011 warning: ')


def test_the_command_runs(dataset, tmp_path, monkeypatch, capsys):
    module = ModuleType('flower_mm.cli.count')
    exec(example('Count the photos'), vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(main.COMMANDS, 'count', 'count photos')

    def run(*words: str) -> int:
        monkeypatch.setattr(sys, 'argv', ['flower-mm', 'count', *words])
        with pytest.raises(SystemExit) as ended:
            main.main()
        return ended.value.code

    assert run(str(dataset)) == 0
    assert capsys.readouterr().out.splitlines() == ['train 39', 'val 21']
    assert run(str(tmp_path)) == 2
    assert run('--help') == 0
    assert 'count data/mine' in capsys.readouterr().out
