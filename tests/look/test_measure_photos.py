"""Measures and thumbnails of photos of all kinds."""

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter

from flower_mm.look.measure_photos import in_threads, measure_photo
from flower_mm.look.thumbnails import Size, encode, thumbnail_of


def textured(side: int = 300) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (side // 10, side // 10))
    image = Image.fromarray(noise.astype(np.uint8))
    return image.resize((side, side), Image.Resampling.NEAREST)


def test_brightness_and_sharpness(tmp_path):
    images = {
        'black': Image.new('RGB', (200, 100)),
        'white': Image.new('RGB', (200, 100), 'white'),
        'sharp': textured(),
        'blurred': textured().filter(ImageFilter.GaussianBlur(8)),
    }
    found = {}
    for name, image in images.items():
        path = tmp_path / f'{name}.png'
        image.save(path)
        found[name] = measure_photo(str(path))
        assert found[name].error == ''
    assert found['black'].brightness == 0
    assert found['white'].brightness == 255
    assert found['black'].sharpness == 0
    assert found['blurred'].sharpness < found['sharp'].sharpness / 10
    assert (found['black'].width, found['black'].height) == (200, 100)


def test_a_size_is_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / 'a.jpg'
    Image.new('RGB', (400, 300)).save(path, exif=exif)
    found = measure_photo(str(path))
    assert (found.width, found.height) == (300, 400)


@pytest.mark.parametrize(
    ('mode', 'suffix', 'kind'),
    [
        ('L', 'jpg', 'JPEG, grey'),
        ('CMYK', 'jpg', 'JPEG, CMYK'),
        ('RGB', 'webp', 'WEBP, colour'),
        ('RGBA', 'png', 'PNG, with transparency'),
        ('I;16', 'png', 'PNG, 16-bit grey'),
        ('P', 'gif', 'GIF, palette'),
        ('1', 'png', 'PNG, black and white'),
    ],
)
def test_kinds(mode, suffix, kind, tmp_path):
    path = tmp_path / f'photo.{suffix}'
    Image.new(mode, (64, 48)).save(path)
    found = measure_photo(str(path))
    assert found.error == ''
    assert found.kind == kind
    assert thumbnail_of(str(path), Size(40, 5000))


def test_a_transparent_photo_is_on_white(tmp_path):
    path = tmp_path / 'photo.png'
    Image.new('RGBA', (64, 64), (0, 0, 0, 0)).save(path)
    assert measure_photo(str(path)).brightness == 255


@pytest.mark.parametrize('content', [None, b'', b'text', b'\xff\xd8\xff\xe0'])
def test_broken_photos_have_a_reason(content, tmp_path):
    path = tmp_path / 'photo.jpg'
    if content is not None:
        path.write_bytes(content)
    assert measure_photo(str(path)).error
    assert thumbnail_of(str(path), Size(40, 5000)) is None


def test_a_thumbnail_has_a_limit():
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3))
    image = Image.fromarray(noise.astype(np.uint8))
    content = encode(image, 6000)
    assert len(content) <= 6000
    assert Image.open(io.BytesIO(content)).size == (128, 128)


def test_threads_keep_the_order():
    assert list(in_threads(abs, range(-50, 50))) == [
        abs(i) for i in range(-50, 50)
    ]
    assert list(in_threads(abs, [])) == []
