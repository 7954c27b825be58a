"""The memory of one batch serves the next."""

import subprocess
import sys

import mmengine.runner.runner
import pytest

from flower_mm.allocator import begin_lean
from flower_mm.engine.runner import FlowerRunner

# Tensors of 64 MB, one after the other; a page has 4 kB.
BATCHES = """
import resource, sys
import torch
import flower_mm.engine  # a heap with gaps, as a training has
from flower_mm.allocator import keep_memory
if sys.argv[1] == 'kept':
    keep_memory()
torch.ones(2**24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    torch.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
# A worker begins where 256 MB have just become free, and the other process
# writes to half of them again.
WORKER = """
import os, sys
import torch
import flower_mm.engine
from flower_mm.allocator import begin_lean, keep_memory
keep_memory()
torch.ones(2**26)
begun, written = os.pipe(), os.pipe()
if not os.fork():
    if sys.argv[1] == 'lean':
        begin_lean(None, 0)
    os.write(begun[1], b'1')
    os.read(written[0], 1)
    rollup = open('/proc/self/smaps_rollup').read()
    print(int(rollup.split('Private_Dirty:')[1].split()[0]), flush=True)
    os._exit(0)
os.read(begun[0], 1)
torch.ones(2**25)  # fits there, whatever lies behind
os.write(written[1], b'1')
os.wait()
"""
of_glibc = pytest.mark.skipif(sys.platform != 'linux', reason='of glibc')


def number(script: str, how: str) -> int:
    """What a script prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, '-c', script, how],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@of_glibc
def test_pages_are_asked_for_once():
    # 64 MB have 16,384 pages; new for each batch they were 131,072.
    assert number(BATCHES, 'kept') < 131_072 / 4


@of_glibc
def test_a_worker_holds_no_copy_of_what_was_free():
    assert number(WORKER, 'lean') < 50_000  # kilobytes


@pytest.mark.nightly
@of_glibc
def test_both_are_otherwise_as_ever():
    assert number(BATCHES, 'as ever') > 131_072 / 2
    assert number(WORKER, 'as ever') > 100_000


def test_workers_of_a_run_begin_lean(monkeypatch):
    """And then as MMEngine has them begin."""
    begun = []
    monkeypatch.setattr(
        mmengine.runner.runner,
        'default_worker_init_fn',
        lambda *args, **kwargs: begun.append(args),
    )
    loader = FlowerRunner.build_dataloader(
        {'dataset': [0, 1], 'sampler': [0, 1], 'batch_size': 1,
         'num_workers': 1},
        seed=0,
    )  # fmt: skip
    assert loader.worker_init_fn.func is begin_lean
    loader.worker_init_fn(5)
    assert begun == [(5,)]
