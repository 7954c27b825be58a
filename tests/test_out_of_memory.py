"""Full memory is named as such, in whatever way a library puts it."""

import subprocess
import sys
from pathlib import Path

import pytest

from flower_mm.errors import UserError
from flower_mm.machine_failures import explained

# As libraries raise it; a few of these texts name no size.
RAISED = [
    MemoryError(),
    MemoryError('std::bad_alloc'),
    RuntimeError('std::bad_alloc'),
    RuntimeError(
        '[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: '
        "can't allocate memory: you tried to allocate 96 bytes. Error code 12"
    ),
    RuntimeError('DefaultCPUAllocator: not enough memory: you tried'),
    OSError(12, 'Cannot allocate memory'),
    OSError('unable to mmap: Cannot allocate memory (12)'),
    ImportError('libx.so: failed to map segment from shared object'),
]
OTHERS = [
    RuntimeError('mat1 and mat2 shapes cannot be multiplied'),
    ValueError('std::bad_alloc'),
]
TOOL = """
import argparse, sys
from flower_mm.cli.run_command import run
sys.argv = ['tool']
def main(args):
    {act}
run(main, argparse.ArgumentParser())
"""
REAL = """import os, resource
    {before}
    with open('/proc/self/statm') as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + 10**8,) * 2)
    {fill}"""


def run_tool(act: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, '-c', TOOL.format(act=act)],
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize('error', RAISED)
def test_tool_reports_a_lack_of_memory(error):
    done = run_tool(f'raise {error!r}')
    assert done.returncode == 2, done.stderr
    assert 'out of memory' in done.stderr
    assert 'fault of flower_mm' not in done.stderr
    assert 'Traceback' not in done.stderr


@pytest.mark.parametrize('error', OTHERS)
def test_other_errors(error):
    done = run_tool(f'raise {error!r}')
    assert done.returncode == 1
    assert 'out of memory' not in done.stderr


@pytest.mark.parametrize('error', RAISED[:-1])
def test_training_test_and_prediction_say_how_to_need_less(error):
    with (
        pytest.raises(UserError, match='a batch of 7 photos'),
        explained(Path(), 7, 'less'),
    ):
        raise error


@pytest.mark.skipif(
    not Path('/proc/self/statm').exists(), reason='no RLIMIT_AS here'
)
@pytest.mark.parametrize(
    ('before', 'fill'),
    [
        ('pass', 'bytes(10**9)'),
        ('import numpy', 'numpy.ones(10**9)'),
        ('import torch', 'torch.ones(10**9)'),
        ('pass', '__import__("torch")'),
    ],
)
def test_real_limit(before, fill):
    """As after `ulimit -v`."""
    done = run_tool(REAL.format(before=before, fill=fill))
    assert done.returncode == 2, done.stderr
    assert 'out of memory' in done.stderr


def test_full_shared_memory_is_no_full_memory():
    """It has a hint of its own."""
    error = RuntimeError(
        'unable to allocate shared memory(shm) for file '
        '</torch_1_2>: Cannot allocate memory (12)'
    )
    with (
        pytest.raises(UserError, match='out of shared memory'),
        explained(Path(), 7, 'less'),
    ):
        raise error
