"""How many kills, hostile files and fuzz inputs the code was tried on.

python -m benchmarks.robustness

About an hour: a hundred kills of training runs, every hostile file at every
door, thousands of inputs for each reader; `--only` takes one of these parts.
The counts go to results/robustness.csv; what fails is shown and counted as not
survived.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from pathlib import Path

from benchmarks.record import record

ROOT = Path(__file__).parents[1]
COMMAND = 'python -m benchmarks.robustness'
PARTS = ('kills', 'hostile', 'fuzz')
HOSTILE_INPUT = {
    'hostile files at every door': 'tests/test_hostile.py',
    'hostile configs in best.pth at every door': (
        'tests/test_hostile_configs.py'
    ),
    'hostile work folders at every tool': 'tests/test_hostile_folders.py',
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--only', choices=PARTS, help='one part of it')
    only = parser.parse_args().only
    parts = [only] if only else PARTS
    code, rows = 0, []
    if 'kills' in parts:
        kills = ['-m', 'benchmarks.kill_anywhere', '--kills', '100']
        code = subprocess.run([sys.executable, *kills], cwd=ROOT).returncode
    if 'hostile' in parts:
        rows += [
            _row(what, tests, {}) for what, tests in HOSTILE_INPUT.items()
        ]
    if 'fuzz' in parts:
        with tempfile.TemporaryDirectory() as folder:
            rows += _fuzz(Path(folder) / 'counts.json')
    for row in rows:
        print(f'{row["what"]}: {row["survived"]} of {row["tried"]}')
    if rows:
        print(record('robustness', rows, key=('what',)))
    return code or any(row['survived'] != row['tried'] for row in rows)


def _fuzz(counts: Path) -> list[dict]:
    env = {'FLOWER_MM_FUZZ': 'long', 'FLOWER_MM_FUZZ_COUNTS': str(counts)}
    whole = _row('fuzzing, properties', 'tests/fuzz', env)
    # An input that fails ends its property: then no count is of survivors.
    passed = whole['survived'] == whole['tried']
    return [
        whole,
        *(
            whole
            | {
                'what': f'fuzzing, inputs of {reader}',
                'tried': tried,
                'survived': tried if passed else '',
                'seconds': '',
            }
            for reader, tried in json.loads(counts.read_text()).items()
        ),
    ]


def _row(what: str, tests: str, env: dict[str, str]) -> dict:
    """Run tests, the slow ones too; count those that passed."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / 'report.xml'
        subprocess.run(
            [
                *(sys.executable, '-m', 'pytest', '-m', '', '-q', tests),
                f'--junitxml={report}',
            ],
            cwd=ROOT,
            env=os.environ | {'OMP_NUM_THREADS': '1'} | env,
        )
        suite = ET.parse(report).getroot().find('testsuite')
    tried, bad = (
        sum(int(suite.get(name)) for name in names)
        for names in (('tests',), ('failures', 'errors', 'skipped'))
    )
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
