"""HEIC photos, as iPhones take them: prepare, predict and serve."""

import subprocess
import sys

import heic_photos
import numpy as np
import pytest
from PIL import Image
from prepare.conftest import make_photos, ok, read_record, read_splits

from flower_mm import decoding
from flower_mm.decoding import BadPhotoError, decode, decode_rgb
from flower_mm.photo_faults import reason_lines
from flower_mm.prepare.prepare_dataset import Options, prepare
from flower_mm.prepare.scan_photos import inspect_photo
from flower_mm.serve import limits
from flower_mm.serve.decoder_process import Settings
from flower_mm.serve.decoders import Decoder

pytest.importorskip('pi_heif')


def difference(pixels: np.ndarray, expected: np.ndarray) -> float:
    assert pixels.shape == expected.shape
    return np.abs(pixels.astype(int) - expected).mean()


@pytest.mark.parametrize('name', ['PLAIN', 'TEN_BITS'])
def test_the_pixels(name):
    data = getattr(heic_photos, name)
    expected = np.asarray(heic_photos.original())
    assert difference(decode_rgb(data), expected) < 6
    assert difference(decode(data)[..., ::-1], expected) < 6


def test_exif_turns_the_photo_once():
    """pi-heif turns it, and takes the orientation out of the EXIF data."""
    expected = np.asarray(heic_photos.original().rotate(-90, expand=True))
    assert difference(decode_rgb(heic_photos.TURNED), expected) < 6


def test_transparent_pixels_are_white():
    assert decode_rgb(heic_photos.TRANSPARENT).min() > 250


def test_the_format_is_not_registered():
    code = (
        'import flower_mm.decoding as d, heic_photos\n'
        'd.decode_rgb(heic_photos.PLAIN)\n'
        'from PIL import Image; print("HEIF" in Image.OPEN)'
    )
    done = subprocess.run(
        [sys.executable, '-c', code],
        env={'PYTHONPATH': ':'.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.stdout == 'False\n', done.stderr


def test_other_lists_of_formats_exclude_it():
    with pytest.raises(BadPhotoError, match='HEIC is not accepted'):
        decode_rgb(heic_photos.PLAIN, formats=('JPEG', 'PNG'))


@pytest.mark.parametrize('cut', [0.3, 0.6, 0.9])
def test_damaged_files(cut):
    data = heic_photos.PLAIN
    with pytest.raises(BadPhotoError):
        decode_rgb(data[: int(cut * len(data))])


def test_texts_that_crash_pi_heif(tmp_path):
    """The type of an item that is not UTF-8 ends the process of pi-heif."""
    data = heic_photos.TURNED
    path = tmp_path / 'a.heic'
    path.write_bytes(data.replace(b'Exif', b'\xff' * 4, 1))
    code = (
        'import sys; from flower_mm.prepare.scan_photos import inspect_photo\n'
        'print(inspect_photo(sys.argv[1]).error)'
    )
    done = subprocess.run(
        [sys.executable, '-c', code, path],
        env={'PYTHONPATH': ':'.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert done.stdout.startswith('damaged')


def test_large_photos_are_refused(monkeypatch):
    monkeypatch.setattr(decoding, 'MAX_PIXELS', 64 * 48 - 1)
    with pytest.raises(BadPhotoError, match='million pixels'):
        decode_rgb(heic_photos.PLAIN)


@pytest.fixture
def out(tmp_path):
    return tmp_path / 'data' / 'dataset'


@pytest.fixture
def phone(tmp_path):
    """Class folders of JPEG and HEIC files."""
    photos = make_photos(tmp_path / 'photos', {'daisy': 5, 'rose': 5})
    for name in ('PLAIN', 'TEN_BITS'):
        data = getattr(heic_photos, name)
        (photos / 'rose' / f'IMG_{name}.HEIC').write_bytes(data)
    return photos


def test_prepare_writes_jpeg(phone, out):
    assert prepare(phone, out, Options())
    photo = 'rose/IMG_PLAIN.jpg'
    path = out / read_splits(out)[photo] / photo
    with Image.open(path) as image:
        assert image.format == 'JPEG'
        pixels = np.asarray(image)
    assert difference(pixels, decode_rgb(heic_photos.PLAIN)) < 2
    entry = read_record(out)['rewritten'][photo]
    assert entry['path'] == 'rose/IMG_PLAIN.HEIC'
    ok('--check', out)
    assert prepare(phone, out, Options())  # up to date


def test_serve_decodes_within_its_limits():
    settings = Settings(
        'color',
        'cv2',
        limits.FORMATS,
        limits.PIXELS,
        seconds=20,
        memory=limits.DECODE_BYTES,
    )
    decoder = Decoder(settings)
    decoder.start()
    try:
        pixels = decoder.decode(heic_photos.PLAIN)
    finally:
        decoder.close()
    expected = np.asarray(heic_photos.original())
    assert difference(pixels[..., ::-1], expected) < 6


def test_without_the_decoder(phone, out, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'pi_heif', None)
    assert inspect_photo(str(phone / 'rose' / 'IMG_PLAIN.HEIC')).error == (
        decoding.NO_HEIF
    )
    assert prepare(phone, out, Options(on_bad='skip'))
    shown = capsys.readouterr().out
    assert shown.count('pip install pi-heif') == 1
    assert '2 photos such as rose/IMG_PLAIN.HEIC: ' in shown
    report = (out / 'report.txt').read_text()
    assert report.count('pip install pi-heif') == 2


def test_equal_complaints_are_one_line():
    reasons = [(f'{n}.heic', decoding.NO_HEIF) for n in range(60)]
    reasons.insert(30, ('x.jpg', 'empty file'))
    first, second = reason_lines(reasons)
    assert first.startswith('60 photos such as 0.heic: HEIC needs')
    assert second == 'x.jpg: empty file'
    assert reason_lines(reasons[:1]) == [f'0.heic: {decoding.NO_HEIF}']
