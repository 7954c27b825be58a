"""Batches reuse memory, and containers limit the cores."""

import subprocess
import sys

import mmengine.runner.runner
import pytest

from flower_mm import process_resources
from flower_mm.engine.runner import FlowerRunner
from flower_mm.process_resources import begin_lean

# Tensors of 64 MB in turn; a page has 4 kB.
BATCHES = """
import resource, sys
import torch
import flower_mm.engine  # a heap with gaps, as a training has
from flower_mm.process_resources import keep_memory
if sys.argv[1] == 'kept':
    keep_memory()
torch.ones(2**24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    torch.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
# A worker starts after 256 MB became free; its parent writes to half of them.
WORKER = """
import os, sys
import torch
import flower_mm.engine
from flower_mm.process_resources import begin_lean, keep_memory
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
torch.ones(2**25)
os.write(written[1], b'1')
os.wait()
"""
of_glibc = pytest.mark.skipif(sys.platform != 'linux', reason='of glibc')


def number(script: str, how: str) -> int:
    """Return the number that a script prints."""
    done = subprocess.run(
        [sys.executable, '-c', script, how],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@of_glibc
def test_batches_reuse_pages():
    # 64 MB have 16,384 pages; new for each batch they are 131,072.
    assert number(BATCHES, 'kept') < 131_072 / 4


@of_glibc
def test_worker_returns_free_memory():
    assert number(WORKER, 'lean') < 50_000  # kilobytes


@pytest.mark.nightly
@of_glibc
def test_default_allocator_keeps_and_asks():
    assert number(BATCHES, 'default') > 131_072 / 2
    assert number(WORKER, 'default') > 100_000


def test_init_of_workers(monkeypatch):
    """MMEngine's function follows."""
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


def test_cores_of_a_container(monkeypatch, tmp_path):
    available = process_resources.cores()
    assert available >= 1
    limit = tmp_path / 'cpu.max'
    monkeypatch.setattr(process_resources, 'QUOTA', limit)
    for text, count in (
        ('100000 100000', 1),
        ('max 100000', available),
        ('99900000 100000', available),
        ('invalid', available),
    ):
        limit.write_text(f'{text}\n')
        assert process_resources.cores() == count
