"""What MMEngine and MMPretrain load inside our process, they load as data."""

import os
import subprocess
import sys

import hostile
import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.model import BaseModule
from mmengine.runner import CheckpointLoader, load_checkpoint
from mmengine.runner import checkpoint as theirs
from mmpretrain import get_model
from torch import nn

import flower_mm.engine  # noqa: F401
from flower_mm.errors import UserError

# Prints what MMEngine, left to itself, does with the two files.
UPSTREAM = """
import sys, torch
from mmengine.runner import load_checkpoint
for path in sys.argv[1:]:
    try:
        load_checkpoint(torch.nn.Linear(1, 1), path)
        print('loaded')
    except Exception as error:
        print(type(error).__name__)
"""


@pytest.fixture
def stock(tmp_path):
    """A checkpoint as MMEngine writes it, with a log."""
    hub = MessageHub('stock')
    hub.update_scalar('train/loss', 1.5)
    path = tmp_path / 'stock.pth'
    torch.save(
        {
            'state_dict': {'weight': torch.ones(1, 1), 'bias': torch.ones(1)},
            'message_hub': hub.state_dict(),
        },
        path,
    )
    return path


def test_mmengine_reads_its_own_checkpoints(stock):
    model = nn.Linear(1, 1)
    found = load_checkpoint(model, str(stock))
    assert model.weight.item() == model.bias.item() == 1
    assert found['message_hub']['log_scalars'] == {}


def test_initial_weights_that_a_config_names(stock):
    class Model(BaseModule):
        def __init__(self, checkpoint):
            super().__init__({'type': 'Pretrained', 'checkpoint': checkpoint})
            self.weight = nn.Parameter(torch.zeros(1, 1))

    model = Model(str(stock))
    model.init_weights()
    assert model.weight.item() == 1
    with pytest.raises(UserError, match='get_weights'):
        Model('https://example.org/x.pth').init_weights()


@pytest.mark.parametrize(
    'address',
    [
        'http://example.org/x.pth',
        'https://example.org/x.pth',
        'HTTPS://example.org/x.pth',
        'ftp://example.org/x.pth',
        's3://bucket/x.pth',
        'cluster:s3://bucket/x.pth',
        'petrel://bucket/x.pth',
        'pavi://x',
        'modelzoo://resnet18',
        'torchvision://resnet18',
        'open-mmlab://resnet50',
        'openmmlab://resnet50',
        'mmcls://resnet18',
    ],
)
def test_nothing_is_downloaded_unverified(address):
    with pytest.raises(UserError, match=r'tools/get_weights\.py') as error:
        CheckpointLoader.load_checkpoint(address)
    assert str(error.value).startswith(address)


def test_nor_by_mmpretrain():
    with pytest.raises(UserError, match=r'^https://download\.openmmlab'):
        get_model('resnet18_8xb32_in1k', pretrained=True)


def test_no_function_of_theirs_is_left():
    names = [name for name in vars(theirs) if name.startswith('load_from_')]
    assert len(names) > 5
    assert {getattr(theirs, name).__module__ for name in names} == {
        'flower_mm.engine.safe_loading'
    }
    assert set(CheckpointLoader._schemes.values()) == {theirs.load_from_local}


def test_mmengine_needs_it_still(stock, tmp_path):
    """When this fails, MMEngine has been mended."""
    evil, canary = tmp_path / 'evil.pth', tmp_path / 'canary'
    hostile.runs_a_command(evil, canary, {})
    done = subprocess.run(
        [sys.executable, '-c', UPSTREAM, stock, evil],
        env={**os.environ, 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD': ''},
        capture_output=True,
        text=True,
        check=True,
    )
    own = done.stdout.split()[-2]
    assert not canary.exists()
    subprocess.run(
        [sys.executable, '-c', UPSTREAM, evil],
        env={**os.environ, 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD': '1'},
        capture_output=True,
        check=True,
    )
    if own == 'loaded' and not canary.exists():
        pytest.fail(
            'MMEngine reads its own checkpoints and executes none: '
            'drop flower_mm/engine/safe_loading.py'
        )
