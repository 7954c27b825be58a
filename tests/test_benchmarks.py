"""The benchmarks can be started, and show what they have measured."""

import subprocess
import sys

import pytest
from helpers import ROOT

MODULES = sorted(
    f'benchmarks.{path.stem}'
    for path in (ROOT / 'benchmarks').glob('*.py')
    if '__main__' in path.read_text(encoding='utf-8')
)


@pytest.mark.nightly
@pytest.mark.parametrize(
    'words',
    [
        *([module, '--help'] for module in MODULES),
        ['benchmarks.time_to_accuracy', '--table'],
    ],
    ids=' '.join,
)
def test_a_benchmark_starts(words):
    done = subprocess.run(
        [sys.executable, '-m', *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
