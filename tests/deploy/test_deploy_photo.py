"""A photo from anywhere has the pixels that validation would have seen."""

import shutil
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from helpers import tool
from mmcv.transforms import LoadImageFromFile
from PIL import Image

from flower_mm.datasets.flower import read_photo
from flower_mm.deploy.photo import PhotoReader, Source, name_of
from flower_mm.errors import UserError
from flower_mm.prepare.scan import ORIENTATION, BadPhotoError

NOISE = np.random.default_rng(0).integers(0, 256, (48, 64, 4), np.uint8)
SMOOTH = Image.fromarray(NOISE[::12, ::12, :3]).resize((640, 480))
STEPS = {
    'as ours': {},
    'floats': {'to_float32': True},
    'not turned': {'color_type': 'color_ignore_orientation'},
    'grey': {'color_type': 'grayscale'},
    'as it is': {'color_type': 'unchanged'},
    'by Pillow': {'imdecode_backend': 'pillow'},
}


def write_strange_photos(folder: Path) -> None:
    """Each a kind that OpenCV, Pillow and people read differently."""
    turned = Image.Exif()
    turned[ORIENTATION] = 6
    rgb = Image.fromarray(NOISE[..., :3])
    grey = rgb.convert('L')
    deep = (NOISE[..., 0].astype(np.uint16) << 8) + NOISE[..., 1]
    palette = rgb.quantize(16)
    rgb.save(folder / 'plain.jpg', quality=95)
    SMOOTH.save(folder / 'large.jpg')
    SMOOTH.save(folder / 'progressive.jpg', progressive=True)
    SMOOTH.save(folder / 'turned.jpg', exif=turned)
    rgb.save(folder / 'turned.png', exif=turned)
    rgb.save(folder / 'turned.webp', exif=turned, lossless=True)
    rgb.convert('CMYK').save(folder / 'cmyk.jpg')
    grey.save(folder / 'grey.jpg')
    grey.save(folder / 'grey.png')
    grey.save(folder / 'grey.gif')
    Image.fromarray(deep).save(folder / 'deep.png')
    Image.fromarray(NOISE).save(folder / 'glass.png')
    Image.fromarray(NOISE).save(folder / 'glass.webp', lossless=True)
    rgb.convert('RGBA').save(folder / 'opaque.png')
    palette.save(folder / 'palette.png')
    palette.save(folder / 'hole.png', transparency=3)
    Image.fromarray(NOISE[..., :2], 'LA').save(folder / 'grey_glass.png')
    rgb.save(
        folder / 'moving.gif', save_all=True, append_images=[SMOOTH, grey]
    )
    rgb.save(folder / 'pages.tif', save_all=True, append_images=[grey])
    rgb.save(folder / 'photo.bmp')
    rgb.save(folder / 'photo.ppm')
    grey.convert('1').save(folder / 'bits.png')


@pytest.fixture(scope='module')
def strange(tmp_path_factory: pytest.TempPathFactory) -> list[tuple]:
    """Photos, and the files that prepare made of them."""
    folder = tmp_path_factory.mktemp('strange')
    photos, out = folder / 'photos', folder / 'dataset'
    for name in ('a', 'b'):
        (photos / name).mkdir(parents=True)
    write_strange_photos(photos / 'a')
    for seed in range(3):
        other = np.random.default_rng(seed + 9).integers(0, 256, (6, 6, 3))
        image = Image.fromarray(other.astype(np.uint8)).resize((64, 64))
        image.save(photos / 'b' / f'{seed}.jpg')
    # Which of them look alike is not the question here.
    tool('prepare_dataset', photos, '--out', out, '--on-conflict', 'keep')
    pairs = []
    for photo in sorted((photos / 'a').iterdir()):
        made = [
            file
            for side in ('train', 'val')
            for suffix in (photo.suffix, '.png')
            for file in (out / side / 'a').glob(f'{photo.stem}*{suffix}')
            if file.stem.partition('-')[0] == photo.stem
        ]
        pairs.append((photo, made))
    return pairs


@pytest.mark.parametrize('options', STEPS.values(), ids=STEPS)
def test_pixels_are_those_of_a_prepared_dataset(options, strange):
    step = LoadImageFromFile(**options)
    reader = PhotoReader(step)
    compared = 0
    for photo, made in strange:
        found = reader.read(photo)
        # Two photos of one stem may have come to one name and another.
        wanted = [
            read_photo([step], {'img_path': str(file)})['img'] for file in made
        ]
        assert any(
            pixels.dtype == found.dtype and np.array_equal(pixels, found)
            for pixels in wanted
        ), photo.name
        compared += 1
    assert compared == 22


def test_a_photo_is_the_same_from_a_path_bytes_pillow_or_an_array(tmp_path):
    reader = PhotoReader(LoadImageFromFile())
    image = Image.fromarray(NOISE[..., :3])
    path = tmp_path / 'photo.png'
    image.save(path)
    wanted = NOISE[..., 2::-1]
    for photo in (
        path,
        str(path),
        Source(str(path), path.read_bytes),
        path.read_bytes(),
        image,
        NOISE[..., :3],
        np.asfortranarray(NOISE[..., :3]),
        Image.open(path),
    ):
        assert np.array_equal(reader.read(photo), wanted)
    assert name_of(path) == name_of(Source(str(path), bytes)) == str(path)
    assert name_of(image) == name_of(b'') == ''


def test_pictures_in_memory_are_brought_upright_and_laid_on_white():
    reader = PhotoReader(LoadImageFromFile())
    image = Image.fromarray(NOISE[..., :3])
    image.getexif()[ORIENTATION] = 3
    turned = NOISE[::-1, ::-1, 2::-1]
    assert np.array_equal(reader.read(image), turned)
    nothing = np.zeros((40, 40, 4), np.uint8)
    assert (reader.read(nothing) == 255).all()
    grey = reader.read(NOISE[..., 0])
    assert grey.shape == (48, 64, 3)
    assert np.array_equal(grey[..., 1], NOISE[..., 0])


def photo_bytes(image: Image.Image, kind: str, **options) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


JPEG = photo_bytes(SMOOTH, 'JPEG')


def with_wrong_sums(png: bytes) -> bytes:
    """Which OpenCV refuses, and Pillow does not look at."""
    start = png.index(b'IDAT')
    sums = start + 4 + int.from_bytes(png[start - 4 : start], 'big')
    return png[:sums] + b'????' + png[sums + 4 :]


@pytest.mark.parametrize(
    ('photo', 'why'),
    [
        (b'', 'not a photo'),
        (b'hello, this is no photo', 'not a photo'),
        (JPEG[: len(JPEG) // 2], 'truncated'),
        (Image.open(BytesIO(JPEG[: len(JPEG) // 2])), 'truncated'),
        (photo_bytes(SMOOTH, 'PNG')[:-4000], 'truncated|damaged'),
        (with_wrong_sums(photo_bytes(SMOOTH, 'PNG')), 'damaged'),
        (Image.new('RGB', (31, 500)), 'far too small'),
        (Image.new('RGB', (32, 7000)), 'far too long'),
        (photo_bytes(Image.new('L', (7000, 32)), 'PNG'), 'far too long'),
        (Image.new('F', (40, 40)), '32-bit'),
        (np.zeros((40, 40, 3)), r'40 x 40 x 3 in float64 is no photo'),
        (np.zeros((40, 40, 2), np.uint8), '40 x 40 x 2 in uint8'),
        (np.zeros((2, 40, 40, 3), np.uint8), '2 x 40 x 40 x 3 in uint8'),
        (np.zeros((0, 40, 3), np.uint8), 'too small|damaged|no photo'),
        (np.zeros((), np.uint8), 'is no photo'),
        ('x' * 5000, 'cannot be opened'),
        ('gone.jpg', r'cannot be opened \(No such file'),
        ('a\0b', 'damaged|cannot be opened'),
        ('.', 'a folder'),
    ],
)
def test_what_is_no_photo(photo, why):
    reader = PhotoReader(LoadImageFromFile())
    with pytest.raises(BadPhotoError, match=why):
        reader.read(photo)


@pytest.mark.parametrize('photo', [None, 3, [JPEG], iter([])])
def test_what_is_not_even_meant_as_one(photo):
    with pytest.raises(TypeError, match=r'a photo is a path.*each'):
        PhotoReader(LoadImageFromFile()).read(photo)


def test_another_first_step_reads_no_photos():
    with pytest.raises(UserError, match='begins with int'):
        PhotoReader(3)


def test_a_name_may_be_any_bytes(tmp_path):
    strange = tmp_path / 'été \n花'.encode().decode('latin-1')
    strange.write_bytes(JPEG)
    plain = tmp_path / 'plain.jpg'
    shutil.copy(strange, plain)
    reader = PhotoReader(LoadImageFromFile())
    assert np.array_equal(reader.read(strange), reader.read(plain))
