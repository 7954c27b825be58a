"""Pixels of each kind of photo, compared with what was put into the file."""

from functools import partial
from io import BytesIO

import cv2
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from photo_kinds import encoded, exif, noise, photo_kinds, tiff
from PIL import Image, ImageOps

from flower_mm import decoding
from flower_mm.decoding import BadPhotoError, decode, decode_rgb
from flower_mm.inference.photo_reader import PhotoReader

KINDS = {kind.name: kind for kind in photo_kinds()}
TURNABLE = ('JPEG', 'MPO', 'PNG', 'WEBP', 'TIFF', 'AVIF')


@pytest.mark.parametrize('kind', KINDS.values(), ids=KINDS)
def test_pixels_are_those_that_were_stored(kind):
    found = decode(kind.data)
    assert found.dtype == np.uint8
    assert found.shape[2:] == (3,)
    assert found.flags.writeable
    assert found.flags.c_contiguous
    assert np.array_equal(decode_rgb(kind.data), found[..., ::-1])
    if kind.pixels is None:
        return
    wanted = kind.pixels
    if wanted.ndim == 2:
        wanted = wanted[..., None].repeat(3, -1)
    assert found.shape == wanted.shape
    # Laying on white, and what is premultiplied, are rounded.
    glass = 'glass' in kind.name, 'premultiplied' in kind.name
    off = np.abs(found[..., ::-1].astype(int) - wanted).max()
    assert off <= (0, 1, 2)[2 * glass[1] or glass[0]]


@pytest.mark.parametrize('turn', range(1, 9))
@pytest.mark.parametrize('format_', TURNABLE)
def test_orientation_is_that_of_exif_transpose(format_, turn):
    data = encoded(Image.fromarray(noise(3)), format_, exif=exif(turn))
    with Image.open(BytesIO(data)) as image:
        wanted = np.asarray(ImageOps.exif_transpose(image).convert('RGB'))
    assert np.array_equal(decode(data)[..., ::-1], wanted)
    assert np.array_equal(decode_rgb(data), wanted)
    assert np.array_equal(decode(data, backend='pillow')[..., ::-1], wanted)


@pytest.mark.parametrize('name', ['plain.jpg', 'large.jpg', 'progressive.jpg',
                                  'grey.jpg', 'plain.png', 'grey.png',
                                  'palette.png', 'plain.bmp', 'plain.tif',
                                  'plain.webp', 'lossy.webp'])  # fmt: skip
@pytest.mark.parametrize('color_type', ['color', 'grayscale'])
def test_ordinary_photos_have_the_pixels_of_opencv(name, color_type):
    data = KINDS[name].data
    flag = cv2.IMREAD_COLOR if color_type == 'color' else cv2.IMREAD_GRAYSCALE
    wanted = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    found = decode(data, color_type)
    off = np.abs(found.astype(int) - wanted).max()
    # Some decoders of OpenCV round grey otherwise than its own conversion.
    assert off <= (color_type == 'grayscale' and not name.endswith('.jpg'))


def test_orientation_can_be_ignored_in_jpeg():
    turned, plain = KINDS['turned.jpg'].data, KINDS['large.jpg'].data
    for name in ('color_ignore_orientation', 'unchanged'):
        assert np.array_equal(decode(turned, name), decode(plain, name))
    found = decode(turned, 'grayscale_ignore_orientation')
    assert np.array_equal(found, decode(plain, 'grayscale'))


@pytest.mark.parametrize('data', [
    tiff(bytes(48 * 64 * 4), (32,), 1),
    tiff(bytes(48 * 64 * 3), (8, 8, 8), 8),  # LAB
    encoded(Image.new('F', (64, 48)), 'TIFF'),
    b'P', b'', b'\xff\xd8\xff',
])  # fmt: skip
def test_ambiguous_formats_are_refused(data):
    for decoder in (decode, decode_rgb):
        with pytest.raises(BadPhotoError):
            decoder(data)


@pytest.mark.parametrize(
    ('name', 'data', 'formats'),
    [
        ('PPM', KINDS['plain.ppm'].data, ('JPEG', 'WEBP')),
        ('PPM', b'P6\n' + b'#\n' * 10**6, ('JPEG', 'WEBP')),
        ('WebP', encoded(Image.new('RGB', (64, 48)), 'WEBP'), ('JPEG', 'GIF')),
        ('PSD', b'8BPS' + bytes(40), decoding.FORMATS),
    ],
)
def test_a_format_that_is_not_accepted_is_named(name, data, formats):
    *_, last = (decoding.SPELLED.get(name, name) for name in formats)
    for decoder in (
        partial(decode, formats=formats),
        partial(decode_rgb, formats=formats),
        partial(PhotoReader(LoadImageFromFile()).read, formats=formats),
    ):
        with pytest.raises(BadPhotoError) as refused:
            decoder(data)
        message = str(refused.value)
        assert message.startswith(f'{name} is not accepted: expected JPEG')
        assert message.endswith(f' or {last}')


def test_a_refused_format_is_not_opened(monkeypatch):
    opened = []

    def factory(*_: object) -> None:
        opened.append(1)

    _, accepts = Image.OPEN['PPM']
    monkeypatch.setitem(Image.OPEN, 'PPM', (factory, accepts))
    with pytest.raises(BadPhotoError, match='PPM'):
        decode(KINDS['plain.ppm'].data, formats=('JPEG', 'PNG'))
    assert opened == []


@pytest.mark.parametrize(
    'data', [b'GIF89a' + bytes(40), b'\x01', b'BM', b'<html>no photo</html>']
)
def test_unknown_formats(data):
    """Also what begins as an accepted format does, and is damaged."""
    with pytest.raises(BadPhotoError) as refused:
        decode(data)
    assert 'not accepted' not in str(refused.value)


def test_a_jpeg_that_opencv_cannot_read_is_read_by_pillow(monkeypatch):
    data = KINDS['turned.jpg'].data
    wanted = decode(data)
    monkeypatch.setattr(cv2, 'imdecode', lambda *_: None)
    assert np.array_equal(decode(data), wanted)
