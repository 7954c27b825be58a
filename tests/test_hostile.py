"""Every door that takes a file of weights, and files that nobody wants."""

import re
import sys
from contextlib import suppress
from pathlib import Path

import forked
import hostile
import numpy as np
import pytest
import torch
from hostile import CODE, FILES, MISFITS, NUMBERS
from mmengine.logging import MessageHub
from mmengine.runner import CheckpointLoader, load_checkpoint
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmpretrain import get_model
from torch import nn

from flower_mm.errors import UserError
from flower_mm.weights import download, pretrained_table
from flower_mm.weights.checked_config import config_of
from flower_mm.weights.load_into_model import load_backbone
from flower_mm.weights.read_checkpoint import read_checkpoint
from flower_mm.weights.safe_loading import safe_loading

UNSAFE = 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'


@pytest.fixture(autouse=True)
def safe():
    with safe_loading():
        yield


@pytest.fixture(
    params=['1', pytest.param('', marks=pytest.mark.nightly)],
    ids=['unsafe_torch', 'plain_torch'],
)
def environment(request, monkeypatch) -> dict[str, str]:
    """With torch told to execute what it loads, and as it is."""
    monkeypatch.setenv(UNSAFE, request.param)
    return {UNSAFE: request.param}


@pytest.fixture
def little_memory():
    """Let whoever allocates more than 300 MB fail, where that can be had."""
    if sys.platform != 'linux':
        yield
        return
    import resource

    pages = int(Path('/proc/self/statm').read_text().split()[0])
    limit = pages * resource.getpagesize() + (300 << 20)
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture(scope='session')
def good(plain_run) -> dict:
    """A checkpoint of the small model, as the tools write it."""
    return torch.load(plain_run / 'epoch_2.pth', weights_only=True)


SMALL = {
    'state_dict': {'backbone.conv1.weight': torch.rand(8, 3, 7, 7)},
    'meta': {'epoch': 1, 'iter': 8, 'cfg': {'model': {'type': 'ResNet'}}},
}


def model() -> nn.Module:
    found = nn.Module()
    found.backbone = nn.Sequential()
    return found


DOORS = {
    'read_checkpoint': read_checkpoint,
    'load_backbone': lambda path: load_backbone(model(), path),
    'config_of': config_of,
    'mmengine_load_checkpoint': lambda path: load_checkpoint(
        model(), str(path)
    ),
    'mmengine_loader': lambda path: CheckpointLoader.load_checkpoint(
        str(path)
    ),
    'mmengine_load_from_local': lambda path: (
        mmengine_checkpoint.load_from_local(str(path), 'cpu')
    ),
    'mmpretrain_get_model': lambda path: get_model(
        'resnet18_8xb32_in1k', pretrained=str(path)
    ),
}


# Every file at one door of ours and one of MMEngine's, and some at the others,
# in each run of the tests.
OFTEN_DOORS = ('read_checkpoint', 'mmengine_load_checkpoint')
OFTEN_FILES = ('runs_a_command', 'names_a_module')


@pytest.mark.parametrize(
    ('door', 'name'),
    [
        pytest.param(
            *(door, name),
            marks=[]
            if door in OFTEN_DOORS or name in OFTEN_FILES
            else pytest.mark.nightly,
        )
        for door in DOORS
        for name in FILES
    ],
)
def test_it_is_refused_in_one_line(
    name, door, tmp_path, monkeypatch, environment, little_memory
):
    path, canary = tmp_path / 'x.pth', tmp_path / 'canary'
    FILES[name].make(path, canary, SMALL)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=FILES[name].reason) as error:
        DOORS[door](path)
    assert str(error.value).startswith(str(path))
    assert '\n' not in str(error.value)
    assert len(str(error.value)) < len(str(path)) + 250
    assert not canary.exists()


@pytest.mark.parametrize('name', CODE)
def test_the_canary_is_a_real_one(name, tmp_path):
    path, canary = tmp_path / 'x.pth', tmp_path / 'canary'
    CODE[name].make(path, canary, SMALL)
    with suppress(RuntimeError):  # a bare pickle runs, but has no tensors
        torch.load(path, weights_only=False)
    assert canary.exists()


def test_the_named_module_is_a_real_one(tmp_path, monkeypatch):
    path, canary = tmp_path / 'x.pth', tmp_path / 'canary'
    hostile.names_a_module(path, canary, SMALL)
    monkeypatch.syspath_prepend(tmp_path)
    __import__(hostile.MODULE)
    assert canary.exists()


def test_a_file_under_the_name_of_table_weights(tmp_path, monkeypatch):
    monkeypatch.setenv('FLOWER_MM_CHECKPOINTS', str(tmp_path))
    path, canary = pretrained_table.local_path('resnet18'), tmp_path / 'canary'
    hostile.runs_a_command(path, canary, SMALL)
    with pytest.raises(UserError, match='is another file'):
        download.require('resnet18')
    assert not canary.exists()


# --- the tools ---------------------------------------------------------------

TOOLS = {
    'load_from': ('train', '--cfg-options', 'load_from={}'),
    'resume': ('train', '--resume', '{}'),
    'pretrained': (
        'train',
        '--cfg-options',
        'default_hooks.pretrained.type=PretrainedHook',
        'default_hooks.pretrained.weights={}',
    ),
    'test': ('test', '{}'),
}


def refuse(door, file, good, config, dataset, folder, env) -> None:
    """Run the tool; the file's reason is its error, in one line."""
    path, canary = folder / 'x.pth', folder / 'canary'
    file.make(path, canary, good)
    tool, *args = [part.format(path) for part in TOOLS[door]]
    run = forked.start(
        folder / 'log',
        tool,
        config,
        *args,
        *('--data-root', dataset, '--work-dir', folder / 'run'),
        env={'PYTHONPATH': str(folder), **env},
    )
    assert run.wait() == 2, run.text
    lines = [line for line in run.text.splitlines() if 'error: ' in line]
    assert len(lines) == 1, run.text
    # The checks name the setting and a code first.
    assert lines[0].startswith('error: ')
    assert f'{path} ' in lines[0]
    assert re.search(file.reason, lines[0]), lines[0]
    assert 'Traceback' not in run.text
    assert not canary.exists()


@pytest.mark.parametrize('door', TOOLS)
@pytest.mark.parametrize(
    'name', ['runs_a_command', 'has_weights_that_are_nan']
)
def test_the_tools_refuse_it(name, door, good, config, dataset, tmp_path):
    file = (FILES | NUMBERS)[name]
    refuse(door, file, good, config, dataset, tmp_path, {UNSAFE: '1'})


@pytest.mark.nightly
@pytest.mark.parametrize('door', TOOLS)
@pytest.mark.parametrize('name', [*FILES, *NUMBERS])
def test_every_tool_refuses_every_file(
    name, door, good, config, dataset, tmp_path, environment
):
    file = (FILES | NUMBERS)[name]
    refuse(door, file, good, config, dataset, tmp_path, environment)


@pytest.mark.nightly
@pytest.mark.parametrize('door', ['resume', 'test'])
@pytest.mark.parametrize('name', MISFITS)
def test_all_of_a_model_fits_or_nothing(
    name, door, good, config, dataset, tmp_path
):
    refuse(door, MISFITS[name], good, config, dataset, tmp_path, {})


def test_a_config_in_the_form_of_text_is_never_run(
    good, config, dataset, tmp_path
):
    """MMEngine's Runner would run this one when it resumes."""
    path, canary = tmp_path / 'x.pth', tmp_path / 'canary'
    text = f'open({str(canary)!r}, "w").close()\n'
    torch.save(good | {'meta': good['meta'] | {'config': text}}, path)
    forked.finish(
        tmp_path / 'log',
        'train',
        config,
        *('--resume', path, '--data-root', dataset),
        *('--work-dir', tmp_path / 'run'),
    )
    assert not canary.exists()


@pytest.mark.parametrize('door', ['load_from', 'resume', 'test'])
def test_a_checkpoint_with_the_logs_of_stock_mmengine_is_taken(
    door, good, config, dataset, tmp_path
):
    """NumPy's numbers in MMEngine's own objects."""
    hub = MessageHub('stock')
    for step in range(3):
        hub.update_scalar('train/loss', 1.5, step)
    hub.update_info('some_score', np.float64(50))
    hub.update_info('cfg', 'import os')
    path = tmp_path / 'stock.pth'
    torch.save(good | {'message_hub': hub.state_dict()}, path)
    tool, *args = [part.format(path) for part in TOOLS[door]]
    run = forked.finish(
        tmp_path / 'log',
        tool,
        config,
        *args,
        *('--data-root', dataset, '--work-dir', tmp_path / 'run'),
    )
    assert 'error' not in run.text
