"""The process of the tests does not keep the memory of the largest one."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT

TESTS = """
import gc
import memory
import torch
from flower_mm.process_resources import keep_memory

MB = 2**20


class Cycle:
    def __init__(self):
        # In pieces, with something behind each that stays.
        self.parts = [torch.ones(MB // 2) for _ in range(1000)]
        self.itself = self


def test_large():
    keep_memory()
    global kept
    kept = []
    cycle = Cycle()
    kept = [torch.ones(1000) for _ in range(1000)]
    gc.freeze()
    assert memory.resident() > 2000 * MB


def test_next():
    assert memory.resident() < 1200 * MB
    assert memory.limit < 1500 * MB
"""


@pytest.mark.nightly
@pytest.mark.skipif(
    not Path('/proc/self/statm').is_file(), reason='no /proc here'
)
def test_memory_is_given_back_between_tests(tmp_path):
    shutil.copy(ROOT / 'tests' / 'conftest.py', tmp_path)
    (tmp_path / 'test_memory_use.py').write_text(TESTS)
    done = subprocess.run(
        [
            *(sys.executable, '-m', 'pytest', '-q', tmp_path),
            *('-p', 'no:cacheprovider', '--rootdir', tmp_path),
            *('-o', f'pythonpath={ROOT} {ROOT / "tests" / "support"}'),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
