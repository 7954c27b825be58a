"""Weights on a hub of this test, through the command as people call it.

huggingface_hub reads its environment when it is imported, so that each test
runs processes of its own.
"""

import hashlib
import json
import os
import subprocess
import sys

import pytest
import timm
from helpers import ROOT
from hub_server import hub

from flower_mm.errors import UserError
from flower_mm.weights.pretrained_table import find

CONTENT = bytes(range(256)) * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server():
    with hub('some/model', CONTENT) as server:
        yield server


@pytest.fixture
def weights(server, tmp_path):
    """A function that calls `weights thing` with this hub and its cache."""

    def run(*args, env=None, **home):
        home = {'source': 'x', 'repo': 'some/model', 'licence': 'MIT', **home}
        row = {'architecture': 'x', 'parameters': 1, 'homes': [home]}
        (tmp_path / 'table.json').write_text(json.dumps({'thing': row}))
        return subprocess.run(
            [
                *(sys.executable, ROOT / 'tools/get_weights.py', 'thing'),
                *('--table', 'table.json', *args),
            ],
            cwd=tmp_path,
            env={
                **os.environ,
                'PYTHONPATH': str(ROOT),
                'HF_ENDPOINT': server.url,
                'HF_HOME': str(tmp_path / 'cache'),
                **(env or {}),
            },
            capture_output=True,
            text=True,
        )

    return run


@pytest.fixture
def stored(tmp_path):
    return tmp_path / 'checkpoints/model.safetensors'


def test_a_file_is_verified_recorded_and_cached(
    weights, server, stored, tmp_path
):
    done = weights()
    assert done.returncode == 0, done.stderr
    assert stored.read_bytes() == CONTENT
    assert DIGEST in stored.with_name(f'{stored.name}.sha256').read_text()
    # The cache is the one that all libraries of Hugging Face share.
    blob = next((tmp_path / 'cache').rglob(DIGEST))
    assert blob.read_bytes() == CONTENT

    stored.unlink()
    requests = len(server.seen)
    done = weights('--offline')
    assert done.returncode == 0, done.stderr
    assert stored.read_bytes() == CONTENT
    assert len(server.seen) == requests

    stored.unlink()
    blob.write_bytes(bytes(len(CONTENT)))  # a damaged cache
    assert weights(env={'HF_HUB_OFFLINE': '1'}).returncode == 2
    assert not stored.exists()
    assert weights().returncode == 0
    assert stored.read_bytes() == CONTENT


def test_offline_makes_no_request(weights, server, stored):
    done = weights('--offline')
    assert done.returncode == 2
    assert str(stored) in done.stderr
    assert server.seen == []


@pytest.mark.parametrize(
    ('fault', 'home'),
    [
        ({'stored': bytes(len(CONTENT))}, {}),
        ({'etag': 'f' * 40}, {}),
        ({}, {'revision': 'f' * 40}),
        ({}, {'sha256': 'f' * 64}),
    ],
    ids=['forged', 'no hash', 'no such commit', 'hash of the table'],
)
def test_another_file_is_refused(fault, home, weights, server, stored):
    vars(server).update(fault)
    done = weights(**home)
    assert done.returncode == 2
    assert 'Traceback' not in done.stderr
    assert not stored.exists()


# --- timm's names ------------------------------------------------------------


@pytest.mark.parametrize(
    'name', ['vit_small_patch16_dinov3', 'tf_efficientnet_lite0.in1k']
)
def test_a_name_of_timm_stands_for_its_record(name):
    record = timm.get_pretrained_cfg(name)
    entry = find(f'timm/{name}')
    home = entry.homes[0]
    assert home.repo == record.hf_hub_id
    assert home.hub_file == 'model.safetensors'
    assert home.file == f'{entry.timm_model}.safetensors'
    assert home.licence == record.license
    assert entry.preprocessing.size == record.input_size[-1]
    assert all(home.trusted for home in entry.homes)


def test_an_unknown_name_of_timm():
    with pytest.raises(UserError, match='test_resnet'):
        find('timm/test_resnte')
