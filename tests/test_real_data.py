"""Real photos and real ImageNet weights, where the machine has them."""

import json
import os
from pathlib import Path

import pytest
from helpers import tool


def real(variable: str) -> Path:
    path = os.environ.get(variable)
    if not path:
        pytest.skip(f'{variable} is not set')
    return Path(path)


@pytest.mark.nightly
def test_a_fifth_of_the_flower_photos_is_learned_in_two_epochs(tmp_path):
    """Six hundred photos teach five kinds to three in four at the least."""
    photos = real('FLOWER_MM_PHOTOS')
    weights = real('FLOWER_MM_WEIGHTS')
    data, run = tmp_path / 'data', tmp_path / 'run'
    tool(
        'prepare_dataset',
        photos,
        *('--out', data, '--how', 'none', '--val', '0.1', '--test', '0.7'),
    )
    done = tool(
        'train',
        'configs/flower/mobilenet_v2_flower.py',
        *('--data-root', data, '--work-dir', run, '--amp'),
        '--cfg-options',
        'train_cfg.max_epochs=2',
        f'default_hooks.pretrained.weights={weights}',
        env={'OMP_NUM_THREADS': '2'},
        cwd=Path(__file__).parent.parent,
    )
    assert '260 of 260 backbone tensors' in done.stdout
    record = json.loads((run / 'run.json').read_text())
    assert record['result']['best_top1'] > 75
