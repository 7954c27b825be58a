"""MMEngine and MMPretrain read files of weights as data in safe_loading()."""

import os
import subprocess
import sys
import threading

import hostile
import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.model import BaseModule
from mmengine.runner import CheckpointLoader, load_checkpoint
from mmengine.runner import checkpoint as theirs
from mmpretrain import get_model
from torch import nn

from flower_mm.errors import UserError
from flower_mm.weights.safe_loading import load_from_local, safe_loading

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
def safe():
    with safe_loading():
        yield


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


def test_mmengine_reads_its_own_checkpoints(safe, stock):
    model = nn.Linear(1, 1)
    found = load_checkpoint(model, str(stock))
    assert model.weight.item() == model.bias.item() == 1
    assert found['message_hub']['log_scalars'] == {}


def test_initial_weights_that_a_config_names(safe, stock):
    class Model(BaseModule):
        def __init__(self, checkpoint):
            super().__init__({'type': 'Pretrained', 'checkpoint': checkpoint})
            self.weight = nn.Parameter(torch.zeros(1, 1))

    model = Model(str(stock))
    model.init_weights()
    assert model.weight.item() == 1
    with pytest.raises(UserError, match='weights NAME'):
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
def test_addresses_are_refused(safe, address):
    with pytest.raises(UserError, match='weights NAME') as error:
        CheckpointLoader.load_checkpoint(address)
    assert address in str(error.value)


def test_mmpretrain_downloads_nothing(safe):
    with pytest.raises(UserError, match='cannot load https://'):
        get_model('resnet18_8xb32_in1k', pretrained=True)


def loaders() -> dict:
    functions = {
        name: value
        for name, value in vars(theirs).items()
        if name.startswith('load_from_')
    }
    assert len(functions) > 5
    return functions | CheckpointLoader._schemes


def test_every_loader_is_replaced_and_restored():
    before = loaders()
    with safe_loading():
        assert set(loaders().values()) == {load_from_local}
        with safe_loading():
            pass
        assert set(loaders().values()) == {load_from_local}
    assert loaders() == before


def test_threads_share_it():
    """The first to leave does not take it from the others."""
    before, entered, leave = loaders(), threading.Event(), threading.Event()

    @safe_loading()
    def stay():
        entered.set()
        leave.wait(60)

    thread = threading.Thread(target=stay)
    with safe_loading():
        thread.start()
        assert entered.wait(60)
    assert set(loaders().values()) == {load_from_local}
    leave.set()
    thread.join(60)
    assert loaders() == before


def test_a_scheme_of_the_users_own_stays():
    before = CheckpointLoader._schemes
    CheckpointLoader.register_scheme('mine://', lambda name, place: {'a': 1})
    try:
        with safe_loading():
            assert CheckpointLoader.load_checkpoint('mine://x') == {'a': 1}
    finally:
        CheckpointLoader._schemes = before


@pytest.mark.nightly
def test_mmengine_needs_it_still(stock, tmp_path):
    """When this fails, MMEngine is fixed."""
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
    if not canary.exists():  # the onedl fork needs no variable
        subprocess.run(
            [sys.executable, '-c', UPSTREAM, evil],
            env={**os.environ, 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD': '1'},
            capture_output=True,
            check=True,
        )
    if own == 'loaded' and not canary.exists():
        pytest.fail(
            'MMEngine reads its own checkpoints and executes none: '
            'drop flower_mm/weights/safe_loading.py'
        )
