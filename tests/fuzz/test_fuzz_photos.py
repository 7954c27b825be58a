"""Photos that are damaged, or none."""

import struct
import zlib
from importlib.util import find_spec
from pathlib import Path

import heic_photos
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rubbish import STEERING, damaged, fuzz, only_ours

from flower_mm import decoding
from flower_mm.prepare import scan_photos, write_dataset
from flower_mm.prepare.photo import Photo

PIXELS = 2_000_000
ENDINGS = ('jpg', 'png', 'webp', 'gif', 'tif', 'mpo', 'bmp', 'jp2', 'avif')


@pytest.fixture(scope='module', autouse=True)
def _few_pixels():
    """What is refused for its size alone takes no seconds to decode here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, 'MAX_PIXELS', PIXELS)
        patch.setattr(Image, 'MAX_IMAGE_PIXELS', PIXELS)
        yield


@pytest.fixture(scope='module')
def good(tmp_path_factory) -> dict[str, bytes]:
    """Small photos of all kinds, some moving, turned or see-through."""
    folder = tmp_path_factory.mktemp('good')
    photo = Image.linear_gradient('L').resize((48, 40)).convert('RGB')
    clear = photo.copy()
    clear.putalpha(Image.radial_gradient('L').resize(photo.size))
    exif = Image.Exif()
    exif[decoding.ORIENTATION] = 6
    frames = {'save_all': True, 'append_images': [photo.rotate(90)]}
    for ending in ENDINGS:
        photo.save(folder / f'plain.{ending}')
    for ending in ('gif', 'png', 'webp', 'tif', 'mpo'):
        photo.save(folder / f'moving.{ending}', **frames)
    for ending in ('png', 'webp', 'tif', 'avif', 'jp2'):
        clear.save(folder / f'clear.{ending}')
    for ending in ('jpg', 'png', 'webp', 'tif', 'mpo'):
        photo.save(folder / f'turned.{ending}', exif=exif)
    photo.save(folder / 'progressive.jpg', progressive=True)
    photo.convert('CMYK').save(folder / 'print.jpg')
    photo.quantize(16).save(folder / 'palette.png')
    photo.convert('I;16').save(folder / 'deep.png')
    photo.save(folder / 'packed.tif', compression='tiff_lzw')
    photo.save(folder / 'rough.tif', compression='jpeg')
    photos = {path.name: path.read_bytes() for path in folder.iterdir()}
    if find_spec('pi_heif'):
        photos['plain.heic'] = heic_photos.PLAIN
        photos['turned.heic'] = heic_photos.TURNED
        photos['clear.heic'] = heic_photos.TRANSPARENT
        photos['deep.heic'] = heic_photos.TEN_BITS
    return photos


def error_of(path: Path) -> str:
    return scan_photos.inspect_photo(str(path)).error


def inspect(data: bytes, folder: Path) -> None:
    path = folder / 'photo'
    path.write_bytes(data)
    info = scan_photos.inspect_photo(str(path))
    assert len(info.error) < 500
    assert not any(map(STEERING.match, info.error))
    if info.error:
        return
    assert len(info.thumb) == scan_photos.COLOURS + scan_photos.THUMB**2
    if info.rewrite_reason:
        photo = Photo('x', str(path), 0, rewrite_reason=info.rewrite_reason)
        (folder / 'rewritten.png').write_bytes(write_dataset.rewritten(photo))
        assert not error_of(folder / 'rewritten.png')


@pytest.mark.parametrize('name', ['plain.png', 'plain.gif', 'plain.bmp'])
def test_few_bytes_that_claim_many_pixels(name, good, tmp_path):
    data = bytearray(good[name])
    match name:
        case 'plain.png':
            data[16:24] = struct.pack('>II', 60_000, 60_000)
            data[29:33] = struct.pack('>I', zlib.crc32(data[12:29]))
        case 'plain.gif':
            data[6:10] = b'\xff' * 4
        case 'plain.bmp':
            data[18:26] = struct.pack('<ii', 60_000, 60_000)
    with only_ours('photos'):
        inspect(bytes(data), tmp_path)
    assert 'million pixels' in error_of(tmp_path / 'photo')


@fuzz(2)
@given(data=st.data())
def test_photos(good, tmp_path_factory, data):
    name = data.draw(st.sampled_from(sorted(good)))
    rubbish = data.draw(damaged(good[name], most=3))
    with only_ours('photos'):
        inspect(rubbish, tmp_path_factory.getbasetemp())


@fuzz(0.2)
@given(start=st.sampled_from(
    [b'', b'\xff\xd8\xff', b'\x89PNG\r\n\x1a\n', b'GIF89a', b'RIFF', b'II*\0',
     b'MM\0*', b'BM', b'P6 ', b'\0\0\0\x0cjP  \r\n\x87\n', b'\0\0\0 ftypavif',
     b'\0\0\0 ftypheic'],
), data=st.binary(max_size=300))  # fmt: skip
def test_bytes_that_are_no_photo(tmp_path_factory, start, data):
    with only_ours('photos'):
        inspect(start + data, tmp_path_factory.getbasetemp())
