"""Modules beside a config file, which its `custom_imports` names."""

import sys
from pathlib import Path

import forked
import pytest
from helpers import ROOT, TINY, tool

from flower_mm.config import read_config
from flower_mm.errors import UserError

PARTS = """
from mmcv.transforms import BaseTransform
from mmpretrain.models import ResNet
from mmpretrain.registry import MODELS, TRANSFORMS


@MODELS.register_module()
class OwnBackbone(ResNet):
    pass


@TRANSFORMS.register_module()
class Darken(BaseTransform):
    def transform(self, results: dict) -> dict:
        results['img'] = results['img'] // 2
        return results
"""
OWN = """
custom_imports = dict(imports=['flower_mm.engine', 'my_parts'])
model['backbone']['type'] = 'OwnBackbone'
train_pipeline.insert(1, dict(type='Darken'))
test_pipeline.insert(1, dict(type='Darken'))
for loader in (train_dataloader, val_dataloader, test_dataloader):
    loader['num_workers'] = 1
train_cfg = dict(max_epochs=1)
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A config whose backbone and transform lie in a module beside it."""
    config = tmp_path / 'mine' / 'own.py'
    config.parent.mkdir()
    (config.parent / 'my_parts.py').write_text(PARTS)
    base = str(ROOT / 'configs' / '_base_' / 'flower.py')
    config.write_text(TINY.format(base=base) + OWN)
    return config


def test_every_command_that_reads_a_config_imports_it(own, dataset, tmp_path):
    data = ('--data-root', dataset)
    run = tmp_path / 'run'
    forked.finish(
        tmp_path / 'train.log', 'train', own, *data, '--work-dir', run
    )
    log = tmp_path / 'log'
    forked.finish(log, 'test', own, run / 'best.pth', *data)
    forked.finish(log, 'doctor', own, *data)


def test_trainings_of_a_comparison_import_it(own, dataset, tmp_path):
    tool('compare', own, '--data-root', dataset, '--out', tmp_path / 'both')
    (best,) = (tmp_path / 'both').rglob('best.pth')
    planned = best.parent.parent / own.name
    # As the training did: in a process that knows nothing of the module.
    done = tool('doctor', planned, '--data-root', dataset)
    assert "'Darken'" in planned.read_text()
    assert done.returncode == 0


def test_a_missing_module_is_the_users_mistake(own, dataset):
    (own.parent / 'my_parts.py').unlink()
    done = tool('train', own, '--data-root', dataset, check=False)
    assert done.returncode == 2
    assert "'my_parts'" in done.stderr
    assert str(own.parent) in done.stderr


@pytest.mark.parametrize(
    'text', ['import not_installed_anywhere', 'def broken(:', '1 / 0']
)
def test_a_module_that_fails_is_the_users_mistake(tmp_path, text):
    name = f'failing_{abs(hash(text))}'
    (tmp_path / f'{name}.py').write_text(text)
    config = tmp_path / 'config.py'
    config.write_text(f'custom_imports = dict(imports=[{name!r}])')
    with pytest.raises(UserError, match=name):
        read_config(str(config))


TAKEN = """
from mmpretrain.registry import MODELS


@MODELS.register_module()
class ResNet:
    pass
"""
REPLACING = """
import torch
from mmpretrain.registry import MODELS


@MODELS.register_module(force=True)
class GlobalAveragePooling(torch.nn.Module):
    def __init__(self):
        super().__init__()
        print('replaced')

    def forward(self, features):
        return tuple(part.amax((2, 3)) for part in features)
"""


def test_a_name_that_mmpretrain_has(own, dataset):
    (own.parent / 'my_parts.py').write_text(TAKEN)
    done = tool('train', own, '--data-root', dataset, check=False)
    assert done.returncode == 2, done.stderr
    module = 'mmpretrain.models.backbones.resnet'
    named = ("'ResNet'", "'my_parts'", module, 'force=True', str(own))
    assert [word for word in named if word not in done.stderr] == []
    assert 'Traceback' not in done.stderr


def test_force_replaces_a_class(own, dataset, tmp_path):
    """As the message says."""
    (own.parent / 'my_parts.py').write_text(REPLACING)
    own.write_text(
        own.read_text('utf-8')
        .replace("model['backbone']['type']", 'unused')
        .replace('pipeline.insert(1, dict(type=', 'pipeline.count((')
    )
    run = tmp_path / 'run'
    done = tool('train', own, '--data-root', dataset, '--work-dir', run)
    assert 'replaced' in done.stdout
    assert (run / 'best.pth').is_file()


@pytest.mark.parametrize(
    'value',
    [
        "['my_parts']",
        'dict(imports=[3])',
        'dict(imports=3)',
        "dict(imports=['.my_parts'])",
    ],
)
def test_malformed_custom_imports_are_the_users_mistake(tmp_path, value):
    config = tmp_path / 'config.py'
    config.write_text(f'custom_imports = {value}')
    with pytest.raises(UserError, match='custom_imports'):
        read_config(str(config))


def test_files_beside_a_config_hide_no_installed_module(tmp_path):
    (tmp_path / 'this_one.py').write_text('')
    (tmp_path / 'colorsys.py').write_text('raise SystemExit(1)')
    config = tmp_path / 'config.py'
    config.write_text(
        "custom_imports = dict(imports=['this_one', 'colorsys'])"
    )
    sys.modules.pop('colorsys', None)
    read_config(str(config))
    assert sys.path[-1] == str(tmp_path)
    assert not Path(sys.modules['colorsys'].__file__).is_relative_to(tmp_path)
