"""The number of epochs that follows from the number of photos."""

from pathlib import Path

import pytest
from mmengine.config import Config

from flower_mm.auto_schedule import (
    EPOCHS,
    STEPS,
    VALIDATIONS,
    fill_in_schedule,
)

AS_IN_THE_BASE = """
train_cfg = dict(max_epochs='auto', val_interval='auto')
train_dataloader = dict(batch_size=32)
optim_wrapper = dict(type='OptimWrapper')
default_hooks = dict(checkpoint=dict(interval='auto'))
param_scheduler = [
    dict(type='LinearLR', begin=0, end='auto'),
    dict(type='CosineAnnealingLR', begin='auto'),
]
"""


def filled(photos: int, folder: Path, **settings) -> Config:
    """A config of the base's form after `fill_in_schedule`."""
    path = folder / 'train.txt'
    path.write_text(''.join(f'rose/{i}.jpg 0\n' for i in range(photos)))
    cfg = Config.fromstring(AS_IN_THE_BASE, '.py')
    cfg.merge_from_dict(settings)
    fill_in_schedule(cfg, [{'data_root': str(folder)}])
    return cfg


@pytest.mark.parametrize(
    ('photos', 'epochs'), [(25, 100), (50, 50), (250, 13), (640, 5), (9999, 5)]
)
def test_small_sets_get_more_epochs(photos, epochs, tmp_path):
    loop = filled(photos, tmp_path).train_cfg
    assert loop.max_epochs == epochs
    assert epochs >= EPOCHS
    assert epochs * -(-photos // 32) >= STEPS
    assert -(-epochs // loop.val_interval) <= VALIDATIONS


def test_validations_and_checkpoints_keep_step(tmp_path):
    cfg = filled(50, tmp_path)
    assert cfg.train_cfg.val_interval == 5
    assert cfg.default_hooks.checkpoint.interval == 5


def test_the_warm_up_is_a_share_of_the_run(tmp_path):
    warm_up, cosine = filled(1000, tmp_path).param_scheduler
    iterations = 32  # an epoch
    assert int(warm_up.end * iterations) == 48  # of 160
    assert cosine.begin == warm_up.end


@pytest.mark.parametrize('photos', [20, 40, 70, 100])
def test_a_warm_up_in_a_run_of_few_iterations(photos, tmp_path):
    cfg = filled(photos, tmp_path, **{'train_cfg.max_epochs': 1})
    warm_up, cosine = cfg.param_scheduler
    iterations = -(-photos // 32)
    assert int(warm_up.end * iterations) >= 1
    assert int(cosine.begin * iterations) < iterations


def test_the_first_photos_of_a_list(tmp_path):
    filled(1000, tmp_path)
    cfg = Config.fromstring(AS_IN_THE_BASE, '.py')
    fill_in_schedule(cfg, [{'data_root': str(tmp_path), 'indices': 50}])
    assert cfg.train_cfg.max_epochs == 50


def test_a_step_of_several_batches(tmp_path):
    cfg = filled(50, tmp_path, **{'optim_wrapper.accumulative_counts': 2})
    assert cfg.train_cfg.max_epochs == 100


def test_several_processes_share_a_step(tmp_path, monkeypatch):
    monkeypatch.setenv('WORLD_SIZE', '2')
    cfg = filled(50, tmp_path, launcher='pytorch')
    assert cfg.train_cfg.max_epochs == 100


def test_a_number_of_epochs_stays(tmp_path):
    cfg = filled(50, tmp_path, **{'train_cfg.max_epochs': 40})
    assert cfg.train_cfg.max_epochs == 40
    assert cfg.train_cfg.val_interval == 1
    assert cfg.default_hooks.checkpoint.interval == 1
    assert int(cfg.param_scheduler[0].end * 2) == 24  # of 80 iterations


def test_no_photos(tmp_path):
    assert filled(0, tmp_path).train_cfg.max_epochs == EPOCHS


@pytest.mark.parametrize(
    ('photos', 'peak', 'lr'),
    [
        (5000, 3e-4, 3e-4),
        (375, 3e-4, 1.5e-4),
        (20, 3e-4, 1e-4),
        (0, 3e-4, 3e-4),
        (20, 9e-4, 3e-4),
    ],
)
def test_few_photos_get_a_lower_learning_rate(photos, peak, lr, tmp_path):
    optimizer = {'type': 'AdamW', 'lr': 'auto'}
    cfg = filled(
        photos,
        tmp_path,
        peak_lr=peak,
        **{'optim_wrapper.optimizer': optimizer},
    )
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(lr)
