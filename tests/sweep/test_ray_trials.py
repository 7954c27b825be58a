"""Trials on a real cluster of two nodes, of which one dies."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import ray_nodes

from flower_mm.weights.read_checkpoint import read_checkpoint


def epochs(out: Path) -> list[int]:
    """The finished epochs of each trial."""
    records = [json.loads(p.read_text()) for p in out.glob('*/*/run.json')]
    return [r.get('result', {}).get('epochs') or 0 for r in records]


def weights(out: Path) -> dict[str, list[bytes]]:
    return {
        str(path.relative_to(out)): [
            tensor.numpy().tobytes()
            for tensor in read_checkpoint(path)['state_dict'].values()
        ]
        for path in out.rglob('best.pth')
    }


@pytest.mark.nightly
def test_trials_resume_on_another_node_to_the_same_bits(
    config, dataset, tmp_path
):
    words = [
        *(sys.executable, '-m', 'flower_mm', 'compare', config),
        *('--data-root', dataset, '--seeds', '0', '1', '--epochs', '24'),
        *('--device', 'cpu', '--out'),
    ]
    with ray_nodes.cluster() as nodes:
        log = tmp_path / 'log'
        with log.open('w') as file:
            driver = subprocess.Popen(
                [*words, tmp_path / 'a', '--cluster', nodes.address],
                env=nodes.environment,
                stdout=file,
                stderr=file,
            )
        deadline = time.monotonic() + 200
        for count, kill in ((2, nodes.kill_worker), (4, nodes.kill_other)):
            while min([0, 0, *epochs(tmp_path / 'a')][-2:]) < count:
                assert driver.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            kill()
        assert driver.wait(300) == 0, log.read_text()
        assert log.read_text().count('it resumes') >= 2
    env = os.environ | {'OMP_NUM_THREADS': '1'}
    subprocess.run([*words, tmp_path / 'b'], env=env, check=True)
    assert len(weights(tmp_path / 'b')) == 2
    assert weights(tmp_path / 'a') == weights(tmp_path / 'b')
