import json
from pathlib import Path

import pytest

import flower_mm.engine  # noqa: F401
from flower_mm.config import read_config
from flower_mm.engine.config_changes import changes

CHILD = """
_base_ = ['base.py', 'more.py']
model = dict(head=dict(type='Head', num_classes=5, loss=dict(type='B')))
train_cfg = dict(max_epochs=3)
optim_wrapper = dict(optimizer=dict(_delete_=True, type='SGD', lr=0.1))
"""
BASE = """
model = dict(type='Model', head=dict(type='Head', loss=dict(type='A', w=2)))
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=0.1, weight_decay=0.05))
helper = 5
"""
MORE = 'train_cfg = dict(max_epochs=10, val_interval=1)\n'


@pytest.fixture
def child(tmp_path: Path) -> Path:
    (tmp_path / 'base.py').write_text(BASE)
    (tmp_path / 'more.py').write_text(MORE)
    (tmp_path / 'child.py').write_text(CHILD)
    return tmp_path / 'child.py'


def found(path: Path, **options: object) -> dict:
    made = changes(read_config(str(path), options))
    return {row['key']: (row['base'], row['run']) for row in made['settings']}


def test_what_a_config_changes_of_its_bases(child):
    assert changes(read_config(str(child)))['bases'] == ['base.py', 'more.py']
    assert found(child) == {
        # num_classes is what the dataset decides.
        'model.head.loss.type': ('A', 'B'),
        'optim_wrapper.optimizer.type': ('AdamW', 'SGD'),
        'optim_wrapper.optimizer.weight_decay': (0.05, None),
        'train_cfg.max_epochs': (10, 3),
    }


def test_what_the_command_line_changes_counts_too(child):
    key = 'optim_wrapper.optimizer.lr'
    assert found(child, **{key: 0.01})[key] == (0.1, 0.01)
    back = found(child, **{'train_cfg.max_epochs': 10})
    assert 'train_cfg.max_epochs' not in back


def test_a_config_on_its_own_has_no_base(tmp_path):
    path = tmp_path / 'alone.py'
    path.write_text(BASE)
    made = changes(read_config(str(path)))
    assert made['bases'] == []


@pytest.mark.parametrize('name', ['mobilenet_v2_flower', 'vit_small_flower'])
def test_our_own_configs(name):
    root = Path(__file__).parents[2]
    path = root / 'configs' / 'flower' / f'{name}.py'
    made = changes(read_config(str(path)))
    assert '../_base_/flower.py' in made['bases']
    keys = [row['key'] for row in made['settings']]
    assert 'default_hooks.pretrained' in keys
    assert not [key for key in keys if '_scope_' in key]
    json.dumps(made)


def test_a_run_notes_its_changes_and_its_command(plain_run):
    record = json.loads((plain_run / 'run.json').read_text('utf-8'))
    rows = {row['key']: row for row in record['changes']['settings']}
    assert rows['optim_wrapper.optimizer.lr']['run'] == 3e-3
    assert 'tools/train.py' in record['command']
    assert '--data-root' in record['command']


def test_a_run_that_goes_on_keeps_the_command_it_began_with(
    train, config, dataset
):
    folder = train('run')
    before = json.loads((folder / 'run.json').read_text('utf-8'))['command']
    train('run', '--resume', '--cfg-options', 'train_cfg.max_epochs=2')
    after = json.loads((folder / 'run.json').read_text('utf-8'))['command']
    assert after == before
