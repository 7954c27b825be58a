"""Drawings: of every kind, the same from the same seed."""

import subprocess
import sys

import numpy as np
import pytest

from flower_mm.demo import NAMES, draw
from flower_mm.demo.kinds import KINDS
from flower_mm.demo.paint import Canvas, Frame
from flower_mm.demo.write import jpeg
from flower_mm.errors import UserError


def test_the_five_are_those_of_the_real_photos():
    assert NAMES == ('daisy', 'dandelion', 'rose', 'sunflower', 'tulip')


@pytest.mark.parametrize('kind', NAMES)
def test_a_kind_fills_its_place(kind):
    canvas = Canvas(np.full((120, 160, 3), 0.5))
    frame = Frame.canvas().move(80, 60).scale(40)
    KINDS[kind].paint(canvas, frame, np.random.default_rng(0))
    y, x = np.mgrid[:120, :160]
    inside = np.hypot(x - 80, y - 60) < 40
    assert canvas.cover[inside].mean() > 0.1
    assert canvas.rgb[canvas.cover > 0].std() > 0.02


@pytest.mark.parametrize('kind', NAMES)
def test_a_photo_of_each(kind):
    picture = np.asarray(draw(kind, 1))
    assert 128 <= max(picture.shape) <= 224
    assert picture.std() > 8


def test_an_unknown_kind_is_named_with_those_there_are():
    with pytest.raises(UserError, match=r"'dasy'.*daisy, dandelion"):
        draw('dasy', 1)


def test_same_bytes_in_another_process():
    code = (
        'import sys; from flower_mm.demo.write import jpeg;'
        "sys.stdout.buffer.write(jpeg('rose', 7, 3))"
    )
    there = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, check=True
    )
    assert there.stdout == jpeg('rose', 7, 3)


@pytest.mark.parametrize('other', [('rose', 7, 1), ('rose', 8, 0)])
def test_another_seed_or_number_is_another_picture(other):
    assert jpeg('rose', 7, 0) != jpeg(*other)


def test_kinds_do_not_share_their_chances():
    """Else the five would stand before the same backgrounds."""
    shapes = {tuple(draw(kind, n).size for n in (1, 2)) for kind in NAMES}
    assert len(shapes) == len(NAMES)


def test_photos_lie_and_stand():
    sizes = [draw('tulip', n).size for n in range(1, 21)]
    assert any(width > height for width, height in sizes)
    assert any(width < height for width, height in sizes)


def test_drawing_needs_neither_torch_nor_opencv():
    code = (
        'import sys, flower_mm.demo;'
        "print({'torch', 'cv2', 'mmengine'} & set(sys.modules))"
    )
    there = subprocess.run(
        [sys.executable, '-c', code],
        capture_output=True,
        check=True,
        text=True,
    )
    assert there.stdout.strip() == 'set()'
