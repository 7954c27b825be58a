"""What reading a photo finds: errors, notes and reasons to rewrite it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flower_mm import decoding
from flower_mm.prepare.scan_photos import COLOURS, THUMB, inspect_photo

from .conftest import ENV, make_photos, picture, save


def error_of(path: Path) -> str:
    return inspect_photo(str(path)).error


def test_plain_photo_is_used_as_it_is(tmp_path):
    info = inspect_photo(str(save(tmp_path / 'a.jpg', 1)))
    assert (info.error, info.note, info.rewrite_reason) == ('', '', '')
    assert len(info.thumb) == COLOURS + THUMB**2
    assert info.size == (tmp_path / 'a.jpg').stat().st_size


@pytest.mark.parametrize('ending', ['jpg', 'png', 'webp', 'bmp', 'tif', 'gif'])
def test_truncated(tmp_path, ending):
    path = save(tmp_path / f'a.{ending}', 1)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    assert 'truncated' in error_of(path) or 'damaged' in error_of(path)


def test_last_bytes_missing(tmp_path):
    path = save(tmp_path / 'a.jpg', 1)
    path.write_bytes(path.read_bytes()[:-40])
    assert error_of(path) == 'truncated: its end is missing'


def test_not_photos(tmp_path):
    empty, text, gone = (tmp_path / f'{n}.jpg' for n in 'abc')
    empty.touch()
    text.write_text('<html>404</html>')
    assert error_of(empty) == 'empty file'
    assert error_of(text) == 'not a photo by its content'
    assert error_of(gone).startswith('cannot be opened')
    heic = tmp_path / 'd.heic'
    heic.write_bytes(b'\0\0\0\x18ftypheic' + bytes(100))  # damaged
    assert error_of(heic)


def test_postscript_is_not_run(tmp_path):
    path = tmp_path / 'a.jpg'
    picture(1).save(path, 'EPS')
    assert error_of(path).startswith('EPS is not accepted: expected JPEG')


def test_too_small(tmp_path):
    picture(1, (31, 500)).save(tmp_path / 'a.png')
    assert error_of(tmp_path / 'a.png').startswith('too small')
    picture(1, (32, 32)).save(tmp_path / 'b.png')
    assert not error_of(tmp_path / 'b.png')


def test_too_large(tmp_path, monkeypatch):
    path = save(tmp_path / 'a.png', 1)
    for limit in (64 * 48 - 1, 64 * 48 // 2 - 1):
        monkeypatch.setattr(decoding, 'MAX_PIXELS', limit)
        monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', limit)
        assert 'million pixels' in error_of(path)
    monkeypatch.setattr(decoding, 'MAX_BYTES', 10)
    assert error_of(path).startswith('larger than')


def test_rare_modes_are_rewritten(tmp_path):
    reasons = {}

    def keep(name: str, image: Image.Image, **options) -> None:
        image.save(tmp_path / name, **options)
        reasons[name] = inspect_photo(str(tmp_path / name)).rewrite_reason

    photo, other = picture(1), picture(2)
    clear = photo.copy()
    clear.putalpha(Image.linear_gradient('L').resize(photo.size))
    full = photo.copy()
    full.putalpha(255)
    frames = {'save_all': True, 'append_images': [other]}
    keep('cmyk.jpg', photo.convert('CMYK'))
    keep('clear.png', clear)
    keep('clear.webp', clear)
    keep('clear_palette.png', clear.quantize(16))
    keep('moving.gif', photo, **frames)
    keep('moving.png', photo, **frames)
    keep('moving.webp', photo, **frames)
    keep('still.gif', photo)
    exif = Image.Exif()
    exif[decoding.ORIENTATION] = 6
    keep('turned.png', photo, exif=exif)
    assert all(reasons.values())
    assert reasons['cmyk.jpg'] == 'CMYK'
    # Each version of OpenCV reads these as Pillow does.
    reasons.clear()
    keep('full.png', full)
    keep('palette.png', photo.quantize(16))
    keep('grey.jpg', photo.convert('L'))
    keep('bits.png', photo.convert('1'))
    assert not any(reasons.values())


def test_notes(tmp_path):
    deep = np.arange(64 * 48, dtype=np.uint16).reshape(48, 64) * 21
    Image.fromarray(deep).save(tmp_path / 'a.png')
    info = inspect_photo(str(tmp_path / 'a.png'))
    assert '16 bits' in info.note
    # Scaled, not clipped to white, which would leave no contrast.
    assert np.frombuffer(info.thumb, np.uint8).std() > 20
    exif = Image.Exif()
    exif[decoding.ORIENTATION] = 3
    picture(1).save(tmp_path / 'b.jpg', exif=exif)
    assert 'EXIF' in inspect_photo(str(tmp_path / 'b.jpg')).note


def test_float_photos_have_no_white(tmp_path):
    Image.fromarray(np.ones((64, 64), np.float32)).save(tmp_path / 'a.tif')
    assert '32-bit' in error_of(tmp_path / 'a.tif')


@pytest.mark.parametrize('turn', range(1, 9))
def test_turned_photo_looks_like_the_upright_one(tmp_path, turn):
    """EXIF says how the camera was held; people see the same photo."""
    undo = {6: 8, 8: 6}.get(turn, turn)
    upright = picture(3, (320, 240))
    stored = upright
    if undo in decoding._TURNS:
        stored = upright.transpose(decoding._TURNS[undo])
    exif = Image.Exif()
    exif[decoding.ORIENTATION] = turn
    stored.save(tmp_path / 'a.png', exif=exif)
    with Image.open(tmp_path / 'a.png') as image:
        assert np.array_equal(decoding.to_plain(image), upright)


def test_invalid_exif(tmp_path):
    picture(1).save(tmp_path / 'a.jpg', exif=b'Exif\0\0MM\0*\xff\xff\xff\xff')
    assert not error_of(tmp_path / 'a.jpg')


@pytest.mark.skipif(
    not Path('/proc').exists(), reason='looks for processes in /proc'
)
def test_readers_die_with_the_run(tmp_path):
    """SIGKILL gives the run no chance to stop the processes it started."""
    photos = make_photos(tmp_path / 'p', {'a': 900})
    code = (
        'import sys\n'
        'from flower_mm.prepare import scan_photos\n'
        'from flower_mm.prepare.photo import Photo\n'
        'scan_photos.cores = lambda: 2\n'
        'if __name__ == "__main__":\n'
        '    scan_photos.scan([Photo("", f, 0) for f in sys.argv[1:] * 20])\n'
    )
    (tmp_path / 'reads.py').write_text(code)
    files = sorted(photos.rglob('*.jpg'))
    process = subprocess.Popen(
        [sys.executable, tmp_path / 'reads.py', *files],
        env=ENV,
        stderr=subprocess.DEVNULL,
    )
    children = []
    until = time.monotonic() + 20
    while len(children) < 3 and time.monotonic() < until:
        children = children_of(process.pid)  # two readers, one bookkeeper
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert len(children) == 3
    until = time.monotonic() + 10
    while any(map(is_alive, children)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(is_alive, children))


def children_of(process: int) -> list[int]:
    path = Path(f'/proc/{process}/task/{process}/children')
    return [int(number) for number in path.read_text().split()]


def is_alive(process: int) -> bool:
    try:
        state = Path(f'/proc/{process}/stat').read_text()
    except OSError:
        return False
    return state.rpartition(')')[2].split()[0] != 'Z'


def test_png_with_a_wrong_checksum(tmp_path):
    """Pillow shows it; OpenCV, which training reads with, does not."""
    path = save(tmp_path / 'photo.png', 1)
    data = bytearray(path.read_bytes())
    idat = data.index(b'IDAT')
    size = int.from_bytes(data[idat - 4 : idat], 'big')
    data[idat + 4 + size] ^= 0xFF
    path.write_bytes(data)
    assert 'damaged' in error_of(path)


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='no pipes here')
def test_pipe(tmp_path):
    os.mkfifo(tmp_path / 'photo.jpg')
    assert 'pipe' in error_of(tmp_path / 'photo.jpg')


def test_jpeg_with_thousands_of_scans(tmp_path):
    """With the maximum of pixels, a megabyte would take minutes."""
    path = save(tmp_path / 'photo.jpg', 1, progressive=True)
    data = path.read_bytes()
    scan_ = data[data.rindex(b'\xff\xda') : -2]
    path.write_bytes(data[:-2] + scan_ * decoding.MAX_SCANS + data[-2:])
    assert 'scans' in error_of(path)
    # Behind the photo or in a part of its own they do no harm.
    path.write_bytes(data + scan_ * decoding.MAX_SCANS)
    assert not error_of(path)
    part = b'\xff\xe5\x03\xea' + b'\xff\xda' * 500
    path.write_bytes(data[:2] + part + data[2:])
    assert not error_of(path)
