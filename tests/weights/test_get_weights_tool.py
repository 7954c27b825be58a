import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from home_server import CONTENT, DIGEST

ROOT = Path(__file__).parents[2]


class Tool:
    """get_weights.py as users call it, with a table of its own."""

    def __init__(self, serve, folder):
        self.serve, self.folder, self.rows = serve, folder, {}

    def add(self, name, *ways, sha256=DIGEST):
        """Let `name` have homes that answer in these ways."""
        homes = [
            {
                'source': 'loopback',
                'url': f'{self.serve.url}/{way}/{way}.pth',
                'licence': 'MIT',
                'sha256': sha256,
                'megabytes': 1.0,
            }
            for way in ways
        ]
        self.rows[name] = {
            'architecture': 'A thing',
            'parameters': 1,
            'homes': homes,
        }
        text = json.dumps(self.rows)
        (self.folder / 'table.json').write_text(text)

    def start(self, *args, table=True):
        extra = ['--table', 'table.json'] if table else []
        env = {k: v for k, v in os.environ.items() if 'FLOWER_MM' not in k}
        return subprocess.Popen(
            [sys.executable, ROOT / 'tools/get_weights.py', *args, *extra],
            cwd=self.folder,
            env={**env, 'PYTHONPATH': str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *args, **options):
        return ended(self.start(*args, **options))


def ended(process):
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    return subprocess.CompletedProcess(
        process.args, process.returncode, out, err
    )


@pytest.fixture
def tool(serve, tmp_path):
    tool = Tool(serve, tmp_path)
    tool.add('thing', 'good')
    tool.add('broken', 'forged')
    tool.add('unknown', 'no_range', sha256='')
    return tool


def names(folder):
    return sorted(path.name for path in folder.glob('[!.]*'))


def test_it_downloads_a_name(tool, tmp_path):
    done = tool('thing')
    assert done.returncode == 0, done.stderr
    assert 'verified: sha256' in done.stdout
    assert (tmp_path / 'checkpoints/good.pth').read_bytes() == CONTENT
    assert 'good.pth: 1.0 of 1.0 MB' in done.stderr
    assert 'stored already' in tool('thing').stdout


def test_a_forged_file_is_an_error_of_two(tool, tmp_path):
    done = tool('broken')
    assert done.returncode == 2
    error = done.stderr[done.stderr.index('error: ') :].strip()
    assert f'expected sha256 {DIGEST}' in error
    assert len(error.splitlines()) == 3
    assert names(tmp_path / 'checkpoints') == []


def test_the_next_name_follows_one_that_fails(tool, tmp_path):
    done = tool('broken', 'thing')
    assert done.returncode == 2
    assert names(tmp_path / 'checkpoints') == ['good.pth']
    assert f'expected sha256 {DIGEST}' in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last == 'error: 1 of 2 weights are missing: broken'


def test_a_server_that_does_not_answer_is_asked_once(tool, tmp_path):
    with socket.create_server(('127.0.0.1', 0)) as closed:
        url = f'http://127.0.0.1:{closed.getsockname()[1]}'
    tool.add('first', 'good')
    tool.add('second', 'good')
    table = tmp_path / 'table.json'
    table.write_text(table.read_text().replace(tool.serve.url, url))
    done = tool('first', 'second')
    assert done.returncode == 2
    assert done.stdout.count('connection failed') == 1
    assert done.stdout.count('does not answer') == 1
    assert 'missing: first, second' in done.stderr


def test_unverified_needs_a_flag(tool, tmp_path):
    done = tool('unknown')
    assert done.returncode == 2
    assert 'get_weights.py unknown --accept-unverified' in done.stderr
    assert names(tmp_path / 'checkpoints') == []
    done = tool('unknown', '--accept-unverified')
    assert done.returncode == 0
    assert f'NOT verified; sha256 {DIGEST} recorded' in done.stdout


def test_another_folder(tool, tmp_path):
    done = tool('thing', '--out', 'there')
    assert (tmp_path / 'there/good.pth').is_file()
    assert 'FLOWER_MM_CHECKPOINTS=there' in done.stdout


def test_the_list_shows_what_is_stored(tool, tmp_path):
    assert 'stored: no' in tool('--list').stdout
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


def test_a_missing_name(tool):
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


@pytest.fixture
def half_way(tool, serve, tmp_path):
    """The tool in the middle of a download."""
    tool.add('half', 'half_then_wait')
    process = tool.start('half')
    assert serve.half.wait(30)
    part = tmp_path / 'checkpoints/half_then_wait.pth.part'
    until = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size > 400_000):
        assert time.monotonic() < until
        time.sleep(0.01)
    yield process
    process.kill()
    process.communicate()


def test_killed_and_resumed(half_way, tool, serve, tmp_path):
    half_way.kill()
    half_way.wait()
    done = tool('half')
    assert done.returncode == 0, done.stderr
    assert len(serve.seen) == 2
    assert int(serve.seen[1][1].strip('bytes=-')) > 400_000
    assert names(tmp_path / 'checkpoints') == ['half_then_wait.pth']
    path = tmp_path / 'checkpoints/half_then_wait.pth'
    assert path.read_bytes() == CONTENT


def test_two_at_once_do_not_mix(half_way, tool, serve, tmp_path):
    second = tool.start('half')
    assert second.stdout.readline().startswith('waiting for another process')
    serve.go_on.set()
    for process in (half_way, second):
        done = ended(process)
        assert done.returncode == 0, done.stderr
    assert len(serve.seen) == 1
    path = tmp_path / 'checkpoints/half_then_wait.pth'
    assert path.read_bytes() == CONTENT


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 600 KB at checkpoints/; a function makes it larger."""
    folder = tmp_path / 'checkpoints'
    folder.mkdir()

    def mount(options):
        return subprocess.run(
            ['mount', '-t', 'tmpfs', '-o', options, 'tmpfs', folder],
            capture_output=True,
            text=True,
        )

    if shutil.which('mount') is None:
        pytest.skip('needs the mount command for a small disk')
    done = mount('size=600k')
    if done.returncode:
        pytest.skip(f'no small disk can be mounted: {done.stderr.strip()}')
    yield lambda: mount('remount,size=8m')
    subprocess.run(['umount', folder], check=True)


def test_a_full_disk(tool, small_disk, tmp_path):
    tool.add('large', 'good')
    done = tool('large')
    assert done.returncode == 2
    assert 'no disk space for checkpoints/good.pth.part' in done.stderr
    assert not (tmp_path / 'checkpoints/good.pth').exists()
    small_disk()
    assert tool('large').returncode == 0
    assert names(tmp_path / 'checkpoints') == ['good.pth']


def test_a_file_in_place_of_the_folder(tool, tmp_path):
    (tmp_path / 'checkpoints').write_text('mine')
    done = tool('thing')
    assert done.returncode == 2
    assert 'File exists' in done.stderr
    assert (tmp_path / 'checkpoints').read_text() == 'mine'
