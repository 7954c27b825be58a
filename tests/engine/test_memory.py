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
# A worker begins where 256 MB have just become free, and the other process
# writes there again.
WORKER = """
import os, sys, time
import torch
from flower_mm.engine.memory import begin_lean, keep_memory
keep_memory()
torch.ones(2**26)
reading, writing = os.pipe()
if not os.fork():
    if sys.argv[1] == 'lean':
        begin_lean(None, 0)
    os.read(reading, 1)
    rollup = open('/proc/self/smaps_rollup').read()
    print(int(rollup.split('Private_Dirty:')[1].split()[0]), flush=True)
    os._exit(0)
time.sleep(1)  # the worker has let go
torch.ones(2**26)
os.write(writing, b'1')
os.wait()
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


@pytest.mark.skipif(sys.platform != 'linux', reason='of glibc')
def test_a_worker_holds_no_copy_of_what_was_free():
    kilobytes = {
        how: int(
            subprocess.run(
                [sys.executable, '-c', WORKER, how],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for how in ('lean', 'as ever')
    }
    assert kilobytes['as ever'] > 200_000, kilobytes
    assert kilobytes['lean'] < 100_000, kilobytes
