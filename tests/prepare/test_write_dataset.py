"""A killed run leaves the old dataset, and the next run cleans up."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from flower_mm.prepare import write_dataset

from .conftest import ENV, TOOL, contents, ok, read_splits

needs_sigkill = pytest.mark.skipif(os.name == 'nt', reason='no SIGKILL')


@needs_sigkill
def test_killed_while_writing(photos, prepared):
    before = contents(prepared)
    # Large enough that the copy takes a while.
    rng = np.random.default_rng(0)
    for i in range(60):
        noise = rng.integers(0, 256, (500, 500, 3), dtype=np.uint8)
        Image.fromarray(noise).save(photos / 'daisy' / f'big{i}.bmp')
    args = [photos, '--out', prepared, '--overwrite']
    process = subprocess.Popen(
        [sys.executable, TOOL, *args], env=ENV, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if list(prepared.parent.glob('.*.part/dataset/*/daisy/big*')):
            break
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL
    assert len(list(prepared.parent.iterdir())) == 3  # it was writing
    assert contents(prepared) == before
    ok('--check', prepared)
    ok(*args)
    assert len(read_splits(prepared)) == 82
    assert [p.name for p in prepared.parent.iterdir()] == [prepared.name]


KILLED = """
import os, signal, socket, sys
from pathlib import Path
me = os.getpid()
os.getpid, socket.gethostname = lambda: int(sys.argv[2]), lambda: sys.argv[3]
from flower_mm.prepare.write_dataset import workspace
with workspace(Path(sys.argv[1])) as work:
    (work / 'photo.jpg').write_bytes(b'pixels')
    os.kill(me, signal.SIGKILL)
"""


@needs_sigkill
@pytest.mark.parametrize(
    ('process', 'host'),
    [(os.getpid(), socket.gethostname()), (1, 'an earlier container')],
    ids=['restarted container', 'new container'],
)
def test_killed_in_a_container(tmp_path, process, host):
    """Its processes have the same number, or the host another name."""
    out = tmp_path / 'dataset'
    command = [sys.executable, '-c', KILLED, out, str(process), host]
    assert subprocess.run(command, env=ENV).returncode == -signal.SIGKILL
    (abandoned,) = tmp_path.iterdir()
    assert (abandoned / 'photo.jpg').is_file()
    with write_dataset.workspace(out) as work:
        assert list(tmp_path.iterdir()) == [work]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('new_in_place', [False, True])
def test_killed_between_the_renames(photos, prepared, new_in_place):
    before = contents(prepared)
    old = prepared.with_name(f'.{prepared.name}.old')
    if new_in_place:
        shutil.copytree(prepared, old)
    else:
        prepared.rename(old)
    shown = ok(photos, '--out', prepared)
    assert ('restored' in shown) == (not new_in_place)
    assert 'nothing to do' in shown
    assert contents(prepared) == before
    assert not old.exists()
