"""What one batch has held is there for the next."""

import subprocess
import sys

import pytest

# Tensors of 64 MB, one after the other; a page has 4 kB.
BATCHES = """
import resource, sys
import torch
from flower_mm.engine.memory import keep_memory
if sys.argv[1] == 'kept':
    keep_memory()
torch.ones(2**24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    torch.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != 'linux', reason='of glibc')
def test_pages_are_asked_for_once():
    faults = {
        how: int(
            subprocess.run(
                [sys.executable, '-c', BATCHES, how],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for how in ('kept', 'as ever')
    }
    # Eight times the pages, or once.
    assert faults['kept'] < faults['as ever'] / 4, faults
