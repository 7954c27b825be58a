"""The shipped weights are what the files beside them say."""

import hashlib
import json
from pathlib import Path

import pytest

from flower_mm.demo import NAMES

FOLDER = Path(__file__).parents[2] / 'checkpoints'
WEIGHTS = FOLDER / 'demo_backbone.pth'


@pytest.fixture(scope='module')
def about():
    return json.loads((FOLDER / 'demo_backbone.json').read_text())


def test_size_and_sha256(about):
    data = WEIGHTS.read_bytes()
    assert len(data) <= 2_000_000
    assert len(data) == about['bytes']
    assert hashlib.sha256(data).hexdigest() == about['sha256']


def test_the_readme_names_sha256_and_command(about):
    text = (FOLDER / 'README.md').read_text()
    assert about['sha256'] in text
    assert about['command'] in text


def test_it_never_saw_the_five(about):
    assert not set(about['kinds']) & set(NAMES)


def test_the_weights_fill_the_backbone(about):
    torch = pytest.importorskip('torch')
    registry = pytest.importorskip('mmpretrain.registry')
    import mmpretrain.models  # noqa: F401

    saved = torch.load(WEIGHTS, map_location='cpu', weights_only=True)
    assert saved['meta']['held_out_top1'] == about['held_out_top1']
    net = registry.MODELS.build(about['backbone'])
    state = {
        name.removeprefix('backbone.'): tensor
        for name, tensor in saved['state_dict'].items()
    }
    net.load_state_dict(state, strict=True)
    assert all(t.isfinite().all() for t in net.state_dict().values())
