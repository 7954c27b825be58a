import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from home_server import CONTENT, DIGEST

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tool(serve, tmp_path):
    rows = {
        name: {
            'architecture': 'A thing',
            'parameters': 1,
            'homes': [
                {
                    'source': 'loopback',
                    'url': f'{serve.url}/{way}/{way}.pth',
                    'licence': 'MIT',
                    'sha256': sha256,
                }
            ],
        }
        for name, way, sha256 in (
            ('thing', 'good', DIGEST),
            ('broken', 'forged', DIGEST),
            ('unknown', 'no_range', ''),
        )
    }
    (tmp_path / 'table.json').write_text(json.dumps(rows))

    def run(*args, table=True):
        extra = ['--table', 'table.json'] if table else []
        env = {k: v for k, v in os.environ.items() if 'FLOWER_MM' not in k}
        return subprocess.run(
            [sys.executable, ROOT / 'tools/get_weights.py', *args, *extra],
            cwd=tmp_path,
            env={**env, 'PYTHONPATH': str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


def test_it_gets_what_is_asked_for(tool, tmp_path):
    done = tool('thing')
    assert done.returncode == 0, done.stderr
    assert 'verified: sha256' in done.stdout
    assert (tmp_path / 'checkpoints/good.pth').read_bytes() == CONTENT
    assert 'good.pth: 1.0 of 1.0 MB' in done.stderr
    assert 'here already' in tool('thing').stdout


def test_a_forged_file_is_an_error_of_two(tool, tmp_path):
    done = tool('broken')
    assert done.returncode == 2
    assert 'another file than the table knows' in done.stderr
    assert 'Traceback' not in done.stderr
    assert list((tmp_path / 'checkpoints').iterdir()) == []


def test_unverified_needs_the_word(tool, tmp_path):
    done = tool('unknown')
    assert done.returncode == 2
    assert 'get_weights.py unknown --accept-unverified' in done.stderr
    assert not (tmp_path / 'checkpoints').exists()
    done = tool('unknown', '--accept-unverified')
    assert done.returncode == 0
    assert f'NOT verified; sha256 {DIGEST} recorded' in done.stdout


def test_another_folder(tool, tmp_path):
    done = tool('thing', '--out', 'there')
    assert (tmp_path / 'there/good.pth').is_file()
    assert 'FLOWER_MM_CHECKPOINTS=there' in done.stdout


def test_the_list_says_what_is_here(tool, tmp_path):
    assert 'here: no' in tool('--list').stdout
    tool('thing')
    (tmp_path / 'checkpoints/forged.pth').write_bytes(b'?')
    said = tool('--list').stdout
    assert 'good.pth, verified by sha256' in said
    assert 'forged.pth, NOT VERIFIED' in said


def test_the_list_of_the_package(tool):
    done = tool('--list', table=False)
    assert done.returncode == 0
    assert 'tinyvit_21m: TinyViT 21M' in done.stdout
    assert 'torchvision, BSD-3-Clause, 102.5 MB' in done.stdout


def test_nothing_asked_for(tool):
    done = tool()
    assert done.returncode == 2
    assert 'get_weights.py --list' in done.stderr


def test_a_wrong_name_fetches_nothing(tool, serve):
    done = tool('thing', 'thnig')
    assert done.returncode == 2
    assert 'Did you mean thing' in done.stderr
    assert serve.seen == []


def test_it_needs_no_torch():
    code = (
        'import sys, flower_mm.weights.download;'
        'print({"torch", "mmengine", "numpy"} & set(sys.modules) or "none")'
    )
    done = subprocess.run(
        [sys.executable, '-c', code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == 'none'
