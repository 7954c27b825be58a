"""Install flower_mm beside other versions, and try what users do with it.

python -m benchmarks.versions 3.11 newest
python -m benchmarks.versions 3.11 locked --family onedl
python -m benchmarks.versions --every          the rows of results/versions.csv

Each combination gets an environment of its own, of 5 GB, which is deleted
afterwards. There the installed package draws the photos of the demo, trains,
resumes a training that was killed, tests, predicts and exports, and the tests
of the clone run. `--tests` takes fewer of them, or other options of pytest.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

from benchmarks.config_tables import markdown
from benchmarks.record import record, recorded

ROOT = Path(__file__).parents[1]
PYTHONS = ('3.11', '3.12', '3.13')
PAIRS = {  # torch with the torchvision that belongs to it
    'oldest': ('2.10.0', '0.25.0'),
    'locked': ('2.11.0', '0.26.0'),
    'newest': ('2.15.0', '0.29.2'),
}
OPENMMLAB = ('mmengine', 'mmcv-lite', 'mmpretrain')
FAMILIES = {  # what replaces OpenMMLab's packages
    'openmmlab': (),
    'onedl': (
        'onedl-mmengine==0.10.12',
        'onedl-mmcv==2.3.6',
        'onedl-mmpretrain==1.3.6',
    ),
}
EVERY = [
    *((python, pair, 'openmmlab') for python in PYTHONS for pair in PAIRS),
    ('3.11', 'locked', 'onedl'),
]
SHOWN = (
    *('torch', 'torchvision', 'numpy', 'opencv-python-headless', 'onnx'),
    *OPENMMLAB,
    *(package.partition('==')[0] for package in FAMILIES['onedl']),
)
USE = ('install', 'train', 'test', 'predict', 'resume', 'export')
DEMO = ('demo', '--data', 'data')
DEMO_RUN = ('train', *DEMO, '--epochs', '2', '--work-dir')
KEY = ('python', 'torch', 'family')
LONGEST = 200  # characters of a reason


class StepError(Exception):
    """A step of a combination that failed, with the reason."""


class Environment:
    """A virtual environment and a folder to work in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / 'env'
        self.bin = self.folder / 'bin'
        self.work = folder / 'work'
        self.work.mkdir()

    def uv(self, *words: str | Path) -> str:
        return self._run(ROOT, sys.executable, '-m', 'uv', *words)

    def install(self, *packages: str) -> None:
        self.uv(
            *('pip', 'install', '--quiet', '--python', self.bin / 'python'),
            *('--override', ROOT / 'requirements-override.in', *packages),
        )

    def packages(self) -> dict[str, str]:
        listed = self.uv(
            *('pip', 'list', '--format', 'json'),
            *('--python', self.bin / 'python'),
        )
        return {row['name']: row['version'] for row in json.loads(listed)}

    def flower_mm(self, *words: str) -> str:
        return self._run(self.work, self.bin / 'flower-mm', *words)

    def kill(self, *words: str, when: Callable[[], bool]) -> None:
        """Start a command, and kill it as soon as `when` is true."""
        process = subprocess.Popen(
            [self.bin / 'flower-mm', *words],
            cwd=self.work,
            env=_env(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while process.poll() is None and not when():
            time.sleep(0.05)
        process.kill()
        if process.wait() == 0:
            raise StepError('ended before it was killed')

    def pytest(self, words: list[str]) -> str:
        """Run tests of the clone; return how many passed."""
        report = self.work / 'tests.xml'
        command = [self.bin / 'python', '-m', 'pytest', '-q', *words]
        done = subprocess.run(
            [*command, f'--junitxml={report}'], cwd=ROOT, env=_env()
        )
        if not report.is_file():
            raise StepError(f'pytest ended with {done.returncode}')
        suite = ET.parse(report).getroot().find('testsuite')
        tests, failures, errors, skipped = (
            int(suite.get(name))
            for name in ('tests', 'failures', 'errors', 'skipped')
        )
        bad = failures + errors
        text = f'{tests - bad - skipped} passed, {skipped} skipped'
        if bad:
            names = [
                case.get('name')
                for case in suite.iter('testcase')
                if case.find('failure') is not None
                or case.find('error') is not None
            ]
            raise StepError(f'{bad} failed, {text}: {" ".join(names)}')
        return text

    def _run(self, folder: Path, *command: str | Path) -> str:
        done = subprocess.run(
            list(map(str, command)),
            cwd=folder,
            env=_env(),
            capture_output=True,
            text=True,
        )
        if done.returncode:
            print(done.stdout, done.stderr, sep='\n', file=sys.stderr)
            lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
            errors = [line for line in lines if line.startswith('error')]
            raise StepError((errors or lines or ['no output'])[0])
        return done.stdout


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('python', nargs='?', choices=PYTHONS)
    parser.add_argument('pair', nargs='?', choices=PAIRS)
    parser.add_argument('--family', choices=FAMILIES, default='openmmlab')
    parser.add_argument('--every', action='store_true')
    parser.add_argument(
        '--tests', default='tests', help='arguments of pytest, in one word'
    )
    args = parser.parse_args()
    if not args.every and not args.pair:
        parser.error('expected --every, or a Python and a pair of versions')
    wanted = EVERY if args.every else [(args.python, args.pair, args.family)]
    code = 0
    for combination in wanted:
        row = _tried(*combination, tests=args.tests)
        print(json.dumps(row, indent=2))
        record('versions', [row], KEY)
        code |= any(value.startswith('failed') for value in row.values())
    return code


def table() -> str:
    """What was tried, for the page of versions."""
    columns = ('python', 'torch', 'torchvision', 'family', *USE, 'tests')
    return markdown(
        [*columns, 'date'],
        [
            [*(row[name] or 'not tried' for name in columns), row['date']]
            for row in sorted(
                recorded('versions'), key=lambda row: [row[k] for k in KEY]
            )
        ],
    )


def _tried(python: str, pair: str, family: str, tests: str) -> dict[str, str]:
    """Try one combination; return its row."""
    torch, torchvision = PAIRS[pair]
    command = ['python', '-m', 'benchmarks.versions', python, pair]
    command += ['--family', family] if family != 'openmmlab' else []
    row = {
        'python': python,
        'torch': torch,
        'torchvision': torchvision,
        'family': family,
    }
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        env = Environment(Path(folder))
        for name, step in _steps(env, row, tests).items():
            try:
                row[name] = step() or 'ok'
            except StepError as error:
                row[name] = f'failed: {str(error)[:LONGEST]}'
                if name in ('install', 'train'):
                    break  # the others need it
    return row | {
        'seconds': f'{time.monotonic() - start:.0f}',
        'tested': tests,
        'command': shlex.join([*command, '--tests', tests]),
        'versions': f'python {python} torch {torch}',
    }


def _steps(
    env: Environment, row: dict[str, str], tests: str
) -> dict[str, Callable[[], str | None]]:
    """The steps by the names of their columns; each returns its result.

    The first one notes the installed packages in the row.
    """
    best = 'run/best.pth'

    def install() -> None:
        env.uv('venv', '--quiet', '--python', row['python'], env.folder)
        pair = (f'{name}=={row[name]}' for name in ('torch', 'torchvision'))
        env.install(f'{ROOT}[dev]', 'opencv-python-headless', *pair)
        if replacements := FAMILIES[row['family']]:
            env.uv(
                *('pip', 'uninstall', '--quiet'),
                *('--python', env.bin / 'python', *OPENMMLAB),
            )
            env.install(*replacements)
        packages = env.packages()
        row['packages'] = ' '.join(
            f'{name} {packages[name]}' for name in SHOWN if name in packages
        )

    def train() -> None:
        env.flower_mm('demo', '--out', 'photos', '--per-class', '40')
        env.flower_mm('prepare', 'photos', '--out', 'data')
        env.flower_mm(*DEMO_RUN, 'run')

    def test() -> None:
        env.flower_mm('test', *DEMO, best)

    def predict(checkpoint: str = best, out: str = 'run.csv') -> None:
        env.flower_mm('predict', checkpoint, 'photos', '--csv', out)

    def resume() -> None:
        """Kill a training after an epoch; its end is that of `run`."""
        checkpoint = env.work / 'killed' / 'epoch_1.pth'
        env.kill(*DEMO_RUN, 'killed', when=checkpoint.is_file)
        env.flower_mm(*DEMO_RUN, 'killed', '--resume')
        predict('killed/best.pth', 'killed.csv')
        run, killed = (env.work / 'run.csv', env.work / 'killed.csv')
        if run.read_text() != killed.read_text():
            raise StepError('other predictions than without the kill')

    def export() -> None:
        env.flower_mm('export', best, '--to', 'onnx')

    return {
        'install': install,
        'train': train,
        'test': test,
        'predict': predict,
        'resume': resume,
        'export': export,
        'tests': lambda: env.pytest(shlex.split(tests)),
    }


def _env() -> dict[str, str]:
    """The variables of this process, without paths to other packages."""
    hidden = ('PYTHONPATH', 'PYTHONHOME', 'VIRTUAL_ENV')
    kept = {k: v for k, v in os.environ.items() if k not in hidden}
    return kept | {'OMP_NUM_THREADS': '1'}


if __name__ == '__main__':
    sys.exit(main())
