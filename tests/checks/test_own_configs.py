"""Our own configs are healthy: nothing to stop for, nothing to warn of."""

import os
from pathlib import Path

import forked
import numpy as np
import pytest
from examining import NOTE, look_at
from helpers import ROOT, tool
from PIL import Image

CONFIGS = sorted((ROOT / 'configs' / 'flower').glob('*_flower.py'))
REPORTS = sorted((ROOT / 'configs' / 'flower' / 'reports').glob('*.py'))
OUR_OWN = os.environ.get('FLOWER_MM_WEIGHTS')
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


def unwell(seen) -> list[str]:
    return [
        str(finding)
        for finding in seen.found
        if (finding.level > NOTE or 'could not be checked' in finding.what)
        # For want of weights here; some stages are frozen.
        and 'stay as they are drawn' not in finding.what
    ]


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_a_config_is_healthy(path, prepared):
    words = ('--data-root', prepared, '--from-scratch', '--device', 'cpu')
    seen = look_at(path, *words, thorough=True)
    assert unwell(seen) == []
    assert len(seen.found) < 6  # and notes are few


# What is wrong with the reports' recipes, and was meant to be kept.
WRONG = {
    'a1_resnet18': 'The rate never falls',
    'a2_resnet34': 'The rate never falls',
    'c_linear': 'The rate stays',
    'd1_resnet50': 'The rate never falls',
    'e2_resnet18': 'The rate stays',
}


@pytest.mark.parametrize('path', REPORTS, ids=lambda path: path.stem)
def test_a_report_is_as_unwell_as_it_was(path, prepared):
    words = ('--data-root', prepared, '--from-scratch', '--device', 'cpu')
    found = unwell(look_at(path, *words))
    if path.stem in WRONG:
        (only,) = found
        assert WRONG[path.stem] in only
    else:
        assert found == []


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
def test_no_flag_makes_it_ill(words, prepared):
    config = ROOT / 'configs' / 'flower' / 'demo_flower.py'
    common = ('--data-root', prepared, '--device', 'cpu')
    assert unwell(look_at(config, *common, *words)) == []


def test_doctor_and_training_say_so(prepared, tmp_path):
    """The tool itself, and what a training prints before its first photo."""
    config = ROOT / 'configs' / 'flower' / 'demo_flower.py'
    words = (
        config, '--data-root', prepared, '--cfg-options',
        'train_cfg.max_epochs=1', 'train_dataloader.num_workers=0',
        'val_dataloader.num_workers=0',
    )  # fmt: skip
    asked = forked.finish(tmp_path / 'doctor.log', 'doctor', *words)
    assert '0 to stop for, 0 warnings' in asked.text
    run = ('--work-dir', tmp_path / 'run')
    trained = forked.finish(tmp_path / 'train.log', 'train', *words, *run)
    assert 'warn' not in trained.text


@pytest.mark.skipif(not OUR_OWN, reason='FLOWER_MM_WEIGHTS is not set')
def test_real_weights(prepared):
    config = ROOT / 'configs' / 'flower' / 'mobilenet_v2_flower.py'
    seen = look_at(
        config, '--data-root', prepared, '--cfg-options',
        f'default_hooks.pretrained.weights={OUR_OWN}',
        thorough=True,
    )  # fmt: skip
    assert unwell(seen) == []
    assert '260 of 260 backbone tensors' in seen.text


@pytest.mark.skipif(not PHOTOS, reason='FLOWER_MM_PHOTOS is not set')
def test_real_photos(tmp_path):
    out = tmp_path / 'real'
    tool('prepare_dataset', PHOTOS, '--out', out, '--how', 'none')
    config = ROOT / 'configs' / 'flower' / 'mobilenet_v2_flower.py'
    seen = look_at(config, '--data-root', out, '--from-scratch', thorough=True)
    assert unwell(seen) == []
