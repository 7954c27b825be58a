"""Photos, or those kept, much smaller or larger than what the model sees."""

from pathlib import Path

import numpy as np
import pytest
from examining import NOTE, STOP, WARN, Examined, look_at, write
from helpers import draw_photo
from making import TINY_ON_BASE, make_dataset
from PIL import Image


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Photos of 48 x 40 pixels."""
    return make_dataset(
        tmp_path / 'mine',
        train={'rose': 10, 'tulip': 10},
        val={'rose': 3, 'tulip': 3},
    )


@pytest.fixture
def examine(tmp_path: Path, root: Path):
    def run(pixels: int = 32) -> Examined:
        text = TINY_ON_BASE.replace('scale=32', f'scale={pixels}')
        path = write(
            tmp_path, text.replace('crop_size=32', f'crop_size={pixels}')
        )
        return look_at(path, '--data-root', root)

    return run


def enlarge(path: Path, width: int, height: int, **options) -> None:
    Image.new('RGB', (width, height), 'green').save(path, **options)


def test_photos_smaller_than_half_of_what_the_model_sees(examine):
    found = examine(224).one('less than half as large')
    assert found.level == WARN
    assert '20 of 20 photos' in found.what
    assert '224 pixels' in found.what
    assert '48 x 40' in found.what


def test_a_few_small_ones_are_usual(examine, root):
    Image.new('RGB', (40, 12)).save(root / 'train/rose/003.jpg')
    assert examine(32).one('less than half as large').level == NOTE


def test_photos_as_a_camera_takes_them(examine, root):
    for number in range(4):
        enlarge(root / f'train/tulip/{number:03}.jpg', 4032, 3024, quality=1)
    found = examine(32).one('much larger')
    assert found.level == WARN
    assert '4 of 20 photos' in found.what
    assert '4032 x 3024' in found.what


def test_heavy_photos(examine, root):
    pixels = np.random.default_rng(0).integers(0, 256, (1400, 1400, 3))
    for number in range(2):
        path = root / f'train/tulip/{number:03}.jpg'
        Image.fromarray(pixels.astype(np.uint8)).save(path, 'PNG')
    found = examine(32).one('much larger')
    assert '2 of 20 photos' in found.what
    assert '1400 x 1400, 5.9 MB' in found.what


def test_usual_photos(examine):
    seen = examine(64)
    for saying in ('half as large', 'much larger', 'cannot be loaded'):
        assert seen.about(saying) == []


KEPT = 'kept with a shorter side'


def keep(place: str, **settings) -> str:
    """Config text with settings of a loader's dataset."""
    return f"{TINY_ON_BASE}\n{place}['dataset'].update({settings})\n"


def test_photos_kept_smaller_than_the_crop(tmp_path, root):
    text = keep('train_dataloader', decode_once=31)
    text += keep('val_dataloader', decode_once=31).removeprefix(TINY_ON_BASE)
    seen = look_at(write(tmp_path, text), '--data-root', root)
    found = seen.one(KEPT, 'photos of train')
    assert found.level == WARN
    assert 'side of 31 pixels, and the pipeline makes 32' in found.what
    assert found.where == 'train_dataloader.dataset.decode_once'
    option = '--cfg-options train_dataloader.dataset.decode_once=320'
    assert found.mend == option
    assert seen.one(KEPT, 'photos of val').level == WARN
    assert seen.about(KEPT, 'photos of test') == []
    again = look_at(tmp_path / 'mine.py', '--data-root', root, *option.split())
    assert again.about(KEPT, 'photos of train') == []


@pytest.mark.parametrize(
    ('step', 'wanted'),
    [
        ("dict(type='GrowingCrop', scales=[128, 336])", 336),
        ("dict(type='RandomResizedCrop', scale=(400, 350))", 350),
        ("dict(type='Resize', scale=(350, -1))", 350),
        ("dict(type='ResizeEdge', scale=350, edge='long')", 0),
        ("dict(type='RandomCrop', crop_size=320)", 0),
        ("dict(type='RandomErasing', size=350)", 0),
    ],
)
def test_what_a_step_asks_for(tmp_path, root, step, wanted):
    text = f"""{keep('train_dataloader', decode_once=320)}
train_pipeline[1] = {step}
"""
    seen = look_at(write(tmp_path, text), '--data-root', root)
    if not wanted:
        assert seen.about(KEPT) == []
        return
    found = seen.one(KEPT)
    assert f'makes {wanted} of them' in found.what
    assert found.mend.endswith(f'.decode_once={wanted}')


def test_a_side_to_keep_that_is_none(tmp_path, root):
    path = write(tmp_path, keep('val_dataloader', decode_once='big'))
    found = look_at(path, '--data-root', root).one('`decode_once`')
    assert found.level == STOP
    assert "not 'big'" in found.what


def test_only_a_sample_is_looked_at(tmp_path):
    root = make_dataset(
        tmp_path / 'many',
        train={'rose': 2, 'tulip': 2},
        val={'rose': 1, 'tulip': 1},
    )
    lines = []
    for number in range(600):
        photo = f'rose/n{number:03}.jpg'
        draw_photo(root / 'train' / photo, 0, number)
        lines.append(f'{photo} 0\n')
    with (root / 'train.txt').open('a') as file:
        file.writelines(lines)
    text = TINY_ON_BASE.replace('scale=32', 'scale=224')
    seen = look_at(write(tmp_path, text), '--data-root', root)
    assert 'of 151 photos' in seen.one('half as large').what
