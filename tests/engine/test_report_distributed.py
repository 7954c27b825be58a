"""The report of a distributed run is written when the others have left."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT

# Put before the report; SECONDS and FAILS are set by the tests.
SLOW = """
import os, time
import torch
from pathlib import Path
from flower_mm.engine.hooks import report
write = report.report
def slow(folder, say, cfg):
    joined = torch.distributed.is_initialized()
    Path(folder, 'group').write_text(str(joined))
    time.sleep(float(os.environ.get('SECONDS', 0)))
    if os.environ.get('FAILS'):
        Path(folder, 'run.json').write_text('')
    write(folder, say, cfg)
report.report = slow
"""


@pytest.fixture
def launch(config, dataset, tmp_path):
    """Train in several processes; the return code and the folder."""
    (tmp_path / 'slow_report.py').write_text(SLOW)
    variant = tmp_path / 'variant.py'
    variant.write_text(
        config.read_text('utf-8') + 'custom_imports = dict('
        "imports=['flower_mm.engine', 'slow_report'])\n"
        'train_cfg = dict(max_epochs=1)\n'
    )

    def run(
        count: int, *options: str, **env: str
    ) -> tuple[subprocess.CompletedProcess, Path]:
        folder = tmp_path / 'run'
        path = os.pathsep.join([str(tmp_path), str(ROOT)])
        done = subprocess.run(
            [
                sys.executable,
                *('-m', 'torch.distributed.run', '--standalone'),
                f'--nproc-per-node={count}',
                ROOT / 'tools' / 'train.py',
                variant,
                *('--launcher=pytorch', '--device=cpu'),
                *(f'--data-root={dataset}', f'--work-dir={folder}'),
                *options,
            ],
            capture_output=True,
            text=True,
            env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': path}
            | env,
        )
        return done, folder

    return run


@pytest.mark.nightly
def test_the_group_is_left_before_the_report(launch):
    done, folder = launch(2)
    assert done.returncode == 0, done.stderr
    assert (folder / 'group').read_text() == 'False'
    assert (folder / 'report.html').is_file()
    assert str(folder / 'report.html') in done.stdout
    assert done.stdout.count('next:') == 1


@pytest.mark.nightly
def test_no_report_is_written_where_none_is_wanted(launch):
    done, folder = launch(2, '--no-report')
    assert done.returncode == 0, done.stderr
    assert not (folder / 'group').exists()


@pytest.mark.nightly
def test_a_report_that_fails_leaves_the_run_finished(launch):
    done, folder = launch(2, FAILS='1')
    assert done.returncode == 0, done.stderr
    assert (folder / 'best.pth').is_file()
    assert not (folder / 'report.html').exists()
    assert 'no report was written' in done.stdout


@pytest.mark.nightly
def test_a_report_may_take_longer_than_the_group_waits(launch):
    done, folder = launch(
        2, '--cfg-options', 'env_cfg.dist_cfg.timeout=20', SECONDS='30'
    )
    assert done.returncode == 0, done.stderr
    assert (folder / 'report.html').is_file()
