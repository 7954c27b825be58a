"""How many kills, hostile files and fuzz inputs the code was tried on.

python -m benchmarks.robustness

About an hour: a hundred kills of training runs, every hostile file at every
door, thousands of inputs for each reader; `--only` takes one of these parts,
or one file of tests/fuzz. The counts of each go to results/robustness.csv;
what fails is shown and counted as not survived.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from benchmarks.record import record

ROOT = Path(__file__).parents[1]
COMMAND = 'python -m benchmarks.robustness'
PARTS = ('kills', 'hostile', 'fuzz')
FUZZERS = sorted(file.stem for file in ROOT.glob('tests/fuzz/test_*.py'))
HOSTILE_INPUT = {
    'hostile files at every door': 'tests/test_hostile.py',
    'hostile configs in best.pth at every door': (
        'tests/test_hostile_configs.py'
    ),
    'hostile work folders at every tool': 'tests/test_hostile_folders.py',
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--only', choices=[*PARTS, *FUZZERS], help='one part of it'
    )
    only = parser.parse_args().only
    parts = [only] if only else PARTS
    code = 0
    if 'kills' in parts:
        kills = ['-m', 'benchmarks.kill_anywhere', '--kills', '100']
        code = subprocess.run([sys.executable, *kills], cwd=ROOT).returncode
    if 'hostile' in parts:
        for what, tests in HOSTILE_INPUT.items():
            code |= _record([_tests(what, tests)])
    for fuzzer in FUZZERS if 'fuzz' in parts else parts:
        if fuzzer in FUZZERS:
            with tempfile.TemporaryDirectory() as folder:
                code |= _record(_fuzz(fuzzer, Path(folder)))
    return code


def _record(rows: list[dict]) -> bool:
    """Write and show rows; whether one is of inputs that failed."""
    for row in rows:
        print(f'{row["what"]}: {row["survived"]} of {row["tried"]}')
    print(record('robustness', rows, key=('what',)))
    return any(row['survived'] != row['tried'] for row in rows)


def _fuzz(fuzzer: str, folder: Path) -> list[dict]:
    """Run a file of tests/fuzz, on each core a part of its tests."""
    start, cores = time.monotonic(), os.cpu_count()
    tests = f'tests/fuzz/{fuzzer}.py'
    files = [
        (folder / f'{core}.xml', folder / f'{core}.json')
        for core in range(cores)
    ]
    processes = [
        _start(
            tests,
            report,
            FLOWER_MM_FUZZ='long',
            FLOWER_MM_FUZZ_COUNTS=str(counts),
            FLOWER_MM_FUZZ_PART=f'{core}/{cores}',
        )
        for core, (report, counts) in enumerate(files)
    ]
    for process in processes:
        process.wait()
    numbers = [_numbers(report) for report, _ in files]
    kind = fuzzer.removeprefix('test_fuzz_')
    whole = _row(
        f'fuzzing, properties of {kind}',
        tests,
        map(sum, zip(*numbers, strict=True)),
        start,
    )
    tried = sum(
        (Counter(json.loads(counts.read_text())) for _, counts in files),
        Counter(),
    )
    # An input that fails ends its property: then no count is of survivors.
    passed = whole['survived'] == whole['tried']
    return [
        whole,
        *(
            whole
            | {
                'what': f'fuzzing, inputs of {reader}',
                'tried': count,
                'survived': count if passed else '',
                'seconds': '',
            }
            for reader, count in sorted(tried.items())
        ),
    ]


def _tests(what: str, tests: str) -> dict:
    """Run tests, the nightly ones too; count those that passed."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / 'report.xml'
        _start(tests, report).wait()
        return _row(what, tests, _numbers(report), start)


def _start(tests: str, report: Path, **env: str) -> subprocess.Popen:
    return subprocess.Popen(
        [
            *(sys.executable, '-m', 'pytest', '-m', '', '-q', tests),
            f'--junitxml={report}',
        ],
        cwd=ROOT,
        env=os.environ | {'OMP_NUM_THREADS': '1'} | env,
    )


def _numbers(report: Path) -> tuple[int, int]:
    """How many tests there were, and how many did not pass."""
    suite = ET.parse(report).getroot().find('testsuite')
    tried, *bad = (
        int(suite.get(name))
        for name in ('tests', 'failures', 'errors', 'skipped')
    )
    return tried, sum(bad)


def _row(what: str, tests: str, numbers: Iterable[int], start: float) -> dict:
    tried, bad = numbers
    return {
        'what': what,
        'tried': tried,
        'survived': tried - bad,
        'detail': f'pytest -m "" {tests}',
        'seconds': f'{time.monotonic() - start:.0f}',
        'command': COMMAND,
    }


if __name__ == '__main__':
    sys.exit(main())
