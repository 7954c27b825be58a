"""The folder of drawings and the tool that makes it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flower_mm.demo import NAMES, write_demo
from flower_mm.demo.write import jpeg
from flower_mm.errors import UserError

REPO = Path(__file__).parents[2]
TOOL = [sys.executable, str(REPO / 'tools' / 'make_demo.py')]
ENV = os.environ | {'PYTHONPATH': str(REPO)}


def run(*args):
    return subprocess.run(
        [*TOOL, *map(str, args)], capture_output=True, text=True, env=ENV
    )


@pytest.fixture(scope='module')
def drawn(tmp_path_factory):
    out = tmp_path_factory.mktemp('demo') / 'photos'
    return out, run('--out', out, '--per-class', 8)


def test_class_folders_with_numbered_photos(drawn):
    out, result = drawn
    assert result.returncode == 0, result.stderr
    assert '40 photos' in result.stdout
    found = {str(path.relative_to(out)) for path in out.glob('*/*')}
    assert found == {
        f'{name}/{name}_{number:04d}.jpg'
        for name in NAMES
        for number in range(1, 9)
    }
    assert not list(out.parent.glob('.*'))


def test_a_photo_of_the_batch_is_the_one_drawn_alone(drawn):
    out, _ = drawn
    path = out / 'sunflower' / 'sunflower_0007.jpg'
    assert path.read_bytes() == jpeg('sunflower', 7)


def test_drawn_once_is_left_alone(drawn):
    out, _ = drawn
    before = (out / 'rose' / 'rose_0001.jpg').stat().st_mtime_ns
    result = run('--out', out, '--per-class', 8)
    assert result.returncode == 0
    assert 'already' in result.stdout
    assert (out / 'rose' / 'rose_0001.jpg').stat().st_mtime_ns == before


@pytest.mark.parametrize('args', [('--seed', 1), ('--per-class', 9)])
def test_another_folder_than_asked_for_is_said(drawn, args):
    out, _ = drawn
    result = run('--out', out, '--per-class', 8, *args)
    assert result.returncode == 2
    assert str(out) in result.stderr
    assert len(list(out.glob('*/*'))) == 40


def test_own_photos_are_never_touched(tmp_path):
    mine = tmp_path / 'photos' / 'rose' / 'mine.jpg'
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b'mine')
    with pytest.raises(UserError, match='your own'):
        write_demo(tmp_path / 'photos', 1)
    assert mine.read_bytes() == b'mine'


def test_a_file_in_the_way_is_said(tmp_path):
    (tmp_path / 'photos').write_text('a file')
    with pytest.raises(UserError, match='photos'):
        write_demo(tmp_path / 'photos', 1)


@pytest.mark.parametrize(
    'args', [('--per-class', 0), ('--per-class', -3), ('--seed', -1)]
)
def test_senseless_numbers(tmp_path, args):
    result = run('--out', tmp_path / 'photos', *args)
    assert result.returncode == 2
    assert not (tmp_path / 'photos').exists()


@pytest.mark.parametrize('how', [signal.SIGKILL, signal.SIGINT])
def test_a_broken_off_drawing_leaves_no_folder(tmp_path, how):
    out = tmp_path / 'photos'
    tool = subprocess.Popen(
        [*TOOL, '--out', str(out)],
        env=ENV,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        until = time.monotonic() + 20
        while len(list(tmp_path.glob('.photos.*/*/*.jpg'))) < 24:
            assert time.monotonic() < until
            time.sleep(0.05)
        if how == signal.SIGINT:
            os.killpg(tool.pid, how)  # as Ctrl-C on a terminal does
        else:
            os.kill(tool.pid, how)
        _, said = tool.communicate(timeout=20)
        # The workers are gone too: nobody writes any more.
        until = time.monotonic() + 10
        while _alive(tool.pid):
            assert time.monotonic() < until
            time.sleep(0.05)
    finally:
        if _alive(tool.pid):
            os.killpg(tool.pid, signal.SIGKILL)
    assert not out.exists()
    if how == signal.SIGINT:
        assert tool.returncode == 130
        assert 'Traceback' not in said
        assert not list(tmp_path.iterdir())


def _alive(group: int) -> bool:
    """Whether any process of the tool's group runs, zombies aside."""
    for stat in Path('/proc').glob('[0-9]*/stat'):
        try:
            state, _, gid = stat.read_text().rsplit(')', 1)[1].split()[:3]
        except OSError:
            continue
        if int(gid) == group and state != 'Z':
            return True
    return False


@pytest.mark.parametrize(
    'tool', sorted(path.stem for path in (REPO / 'tools').glob('*.py'))
)
def test_help_answers_without_torch(tool):
    code = (
        'import runpy, sys\n'
        f'sys.argv = [{tool!r}, "--help"]\n'
        'try:\n'
        f'    runpy.run_path("tools/{tool}.py", run_name="__main__")\n'
        'except SystemExit as exit:\n'
        '    assert not exit.code\n'
        'assert "torch" not in sys.modules'
    )
    subprocess.run(
        [sys.executable, '-c', code],
        cwd=REPO,
        env=ENV,
        check=True,
        stdout=subprocess.DEVNULL,
    )
