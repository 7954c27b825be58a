"""Uploads are decoded in child processes with limits."""

import multiprocessing
import os
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
from helpers import CLASSES
from photo_kinds import photo_kinds
from PIL import Image
from serving import Served, serving, until

from flower_mm import decoding
from flower_mm.decoding import BadPhotoError
from flower_mm.serve import limits
from flower_mm.serve.decoder_process import (
    ERROR,
    HEADER,
    PIXELS,
    Settings,
)
from flower_mm.serve.decoders import Decoder, DecoderEndedError

pytestmark = pytest.mark.skipif(
    not Path('/proc').is_dir(), reason='no /proc here: no list of processes'
)
SETTINGS = Settings(
    'color', 'cv2', limits.FORMATS, 10**6, seconds=20, memory=2**30
)


@pytest.fixture(scope='module')
def one(photos: Path) -> bytes:
    return (photos / CLASSES[0] / '000.jpg').read_bytes()


@pytest.fixture(scope='module')
def slow() -> bytes:
    """A PNG of 1.6 million chunks, which takes seconds to decode."""
    return png(chunk(b'abCd') * 1_600_000)


def png(*more: bytes, side: int = 64, channels: int = 3) -> bytes:
    about = struct.pack('>IIBBBBB', side, side, 8, 2 * channels - 4, 0, 0, 0)
    rows = zlib.compress(bytes((channels * side + 1) * side))
    chunks = (*more, chunk(b'IDAT', rows), chunk(b'IEND'))
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', about) + b''.join(chunks)


def chunk(kind: bytes, data: bytes = b'') -> bytes:
    check = struct.pack('>I', zlib.crc32(kind + data))
    return struct.pack('>I', len(data)) + kind + data + check


@pytest.fixture(scope='module')
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(SETTINGS)
    decoder.start()
    yield decoder
    decoder.close()


def descendants(pid: int) -> list[int]:
    found = []
    for stat in Path('/proc').glob('[0-9]*/stat'):
        try:
            fields = stat.read_text().rpartition(')')[2].split()
        except OSError:
            continue  # it has just ended
        if int(fields[1]) == pid and fields[0] != 'Z':
            child = int(stat.parent.name)
            found += [child, *descendants(child)]
    return found


def is_running(pid: int) -> bool:
    try:
        stat = Path(f'/proc/{pid}/stat').read_text()
    except OSError:
        return False
    return stat.rpartition(')')[2].split()[0] != 'Z'


def test_slow_photos_do_not_block_others(plain_run, one, slow, tmp_path):
    with (
        serving(plain_run / 'best.pth', tmp_path) as served,
        ThreadPoolExecutor(6) as clients,
    ):
        asked = [clients.submit(served.post, slow) for _ in range(6)]
        until(lambda: served.waiting() == 6)
        (answer,) = served.post(one).photos
        assert 'label' in answer
        assert sum(request.done() for request in asked) < 6
        refused = [request.result() for request in asked]
        assert {found.status for found in refused} <= {200, 422, 503}
        ended = [found for found in refused if found.status == 503]
        assert ended
        assert ended[0].headers['Retry-After']
        assert 'label' in served.post(one).photos[0]


def test_a_photo_over_the_time_limit_ends_its_request(
    plain_run, one, slow, tmp_path
):
    first = """
from flower_mm.serve import limits
limits.DECODE_SECONDS = 1
"""
    with serving(plain_run / 'best.pth', tmp_path, first=first) as served:
        found = served.post(one, slow, one)
        assert found.status == 422
        assert '\n' not in found.error
        assert '1.jpg' in found.error
        assert 'label' in served.post(one).photos[0]
        assert served.run.text.count('Ctrl-C') == 1
        assert 'Traceback' not in served.run.text


@pytest.mark.parametrize('to', [os.kill, os.killpg])
def test_shutdown_does_not_wait_for_a_slow_photo(
    plain_run, slow, tmp_path, to
):
    # Else the time limits would end the photo.
    first = """
from flower_mm.serve import limits
limits.DECODE_SECONDS = limits.STOP_SECONDS = 1000
"""
    with (
        serving(plain_run / 'best.pth', tmp_path, first=first) as served,
        ThreadPoolExecutor(1) as clients,
    ):
        children = descendants(served.pid)
        assert len(children) >= limits.DECODERS
        asked = clients.submit(served.post, slow)
        until(lambda: served.waiting() == 1)
        to(served.pid, signal.SIGTERM)
        assert served.run.wait() == 143
        assert asked.result().status == 503
        until(lambda: not any(map(is_running, children)))


def test_no_process_outlives_a_server_that_is_killed(
    plain_run, slow, tmp_path
):
    with (
        serving(plain_run / 'best.pth', tmp_path) as served,
        ThreadPoolExecutor(1) as clients,
    ):
        children = descendants(served.pid)
        asked = clients.submit(served.post, slow)
        until(lambda: served.waiting() == 1)
        os.kill(served.pid, signal.SIGKILL)
        assert isinstance(asked.exception(), OSError)
        until(lambda: not any(map(is_running, children)))


def test_decoders_that_were_killed_are_replaced(plain_run, one, tmp_path):
    with serving(plain_run / 'best.pth', tmp_path) as served:
        children = descendants(served.pid)
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        until(lambda: not any(map(is_running, children)))
        for _ in range(2 * limits.DECODERS):
            assert 'label' in served.post(one).photos[0]


def test_script_starts_decoders(plain_run, one):
    """Started as a process of its own instead of a fork."""
    root = Path(__file__).parents[2]
    run = subprocess.Popen(
        [
            *(sys.executable, root / 'tools' / 'serve.py'),
            *(plain_run / 'best.pth', '--port', '0', '--debug'),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        lines = []
        while 'Ctrl-C' not in ''.join(lines):
            lines.append(run.stdout.readline())
            assert lines[-1], ''.join(lines)
        (address,) = [line for line in lines if '127.0.0.1' in line]
        served = Served(None, int(address.strip().rpartition(':')[2]))
        assert 'label' in served.post(one).photos[0]
        run.send_signal(signal.SIGINT)
        assert run.wait(20) == 130
    finally:
        run.kill()
        run.wait()


def test_rare_formats_are_refused(plain_run, one, tmp_path):
    comments = b'P6\n' + b'#\n' * 1_500_000 + b'64 64\n255\n'
    rare = BytesIO()
    Image.new('RGB', (64, 64)).save(rare, 'JPEG2000')
    with serving(plain_run / 'best.pth', tmp_path) as served:
        for name, data in (
            ('PPM', comments + bytes(64 * 64 * 3)),
            ('JPEG 2000', rare.getvalue()),
        ):
            (found,) = served.post(data).photos
            assert found['error'] == (
                f'{name} is not accepted: expected JPEG, PNG, WebP, AVIF, '
                'GIF, BMP, TIFF or HEIC'
            )


@pytest.mark.parametrize('kind', [*photo_kinds()], ids=lambda kind: kind.name)
def test_pixels_equal_those_of_decoding(decoder, kind):
    """Including formats whose module must be imported before the limits."""
    expected, found = (
        pixels_or_reason(decode, kind.data)
        for decode in (in_this_process, decoder.decode)
    )
    np.testing.assert_array_equal(found, expected)


def in_this_process(data: bytes) -> np.ndarray:
    return decoding.decode(data, formats=limits.FORMATS)


def pixels_or_reason(decode: Callable, data: bytes) -> np.ndarray | str:
    try:
        return decode(data)
    except BadPhotoError as error:
        return str(error)


@pytest.mark.parametrize(
    'data',
    [
        b'no photo',
        b'',
        png(side=16),
        png(side=1001),  # of more pixels than SETTINGS allow
        png()[:-30],
    ],
    ids=['no photo', 'empty', 'small', 'large', 'cut'],
)
def test_bad_photos_are_refused_and_good_ones_follow(decoder, data):
    with pytest.raises(BadPhotoError):
        decoder.decode(data)
    assert decoder.decode(png()).shape == (64, 64, 3)


def test_grey_is_grey():
    decoder = Decoder(SETTINGS._replace(color_type='grayscale'))
    decoder.start()
    try:
        assert decoder.decode(png()).shape == (64, 64)
    finally:
        decoder.close()


def test_memory_is_limited():
    decoder = Decoder(SETTINGS._replace(pixels=10**8, memory=2**27))
    decoder.start()
    try:
        with pytest.raises(BadPhotoError, match='memory'):
            decoder.decode(png(side=7000, channels=4))
        assert decoder.decode(png()).shape == (64, 64, 3)
    finally:
        decoder.close()


def test_a_decoder_that_was_closed_stays_closed():
    decoder = Decoder(SETTINGS)
    decoder.start()
    decoder.close()
    with pytest.raises(DecoderEndedError):
        decoder.decode(png())
    assert not decoder._process.is_alive()


class Fake:
    """Stands for a decoder process under an attacker's control."""

    def is_alive(self) -> bool:
        return True

    def kill(self) -> None:
        pass


@pytest.mark.parametrize(
    'sent',
    [
        [HEADER.pack(PIXELS, 2**31, 2**31, 3)],
        [HEADER.pack(PIXELS, 2, 2, 200), bytes(800)],
        [HEADER.pack(PIXELS, 2, 2, 3), bytes(11)],
        [HEADER.pack(PIXELS, 2, 2, 3), bytes(2**21)],
        [HEADER.pack(b'?', 2, 2, 3), bytes(12)],
        [HEADER.pack(ERROR, 0, 0, 0), bytes(2**20)],
        [b'P'],
        [bytes(2**20)],
    ],
)
def test_replies_are_validated(sent):
    decoder = Decoder(SETTINGS)
    decoder._process = Fake()
    decoder._connection, other = multiprocessing.Pipe()
    with ThreadPoolExecutor(1) as thread:
        sending = thread.submit(send_all, other, sent)
        with pytest.raises(DecoderEndedError):
            decoder.decode(b'photo')
        decoder._connection.close()
        sending.result()


def send_all(connection: Connection, messages: list[bytes]) -> None:
    with suppress(OSError):  # the reader has closed the pipe
        for message in messages:
            connection.send_bytes(message)


def test_error_texts_are_printable():
    decoder = Decoder(SETTINGS)
    decoder._process = Fake()
    decoder._connection, other = multiprocessing.Pipe()
    other.send_bytes(HEADER.pack(ERROR, 0, 0, 0))
    other.send_bytes(b'\x1b[2J\xff\n')
    with pytest.raises(BadPhotoError) as refused:
        decoder.decode(b'photo')
    assert str(refused.value).isprintable()


CONFINED = """
import os, socket, sys
from flower_mm.serve import decoder_process
settings = decoder_process.Settings('color', 'cv2', (), 1, 1, 2**28)
out = os.dup(1)
decoder_process._limit(settings)
assert 'torch' not in sys.modules and 'mmcv' not in sys.modules
assert 'SECRET' not in os.environ
for act in (
    lambda: open('/etc/hostname'),
    lambda: open(sys.argv[1], 'w'),
    lambda: socket.socket(),
    lambda: os.pipe(),
    lambda: bytes(2**29),
):
    try:
        act()
    except (OSError, MemoryError):
        continue
    os._exit(3)
os.write(out, b'confined')
"""


def test_limits_of_a_decoder(tmp_path):
    done = subprocess.run(
        [sys.executable, '-c', CONFINED, tmp_path / 'written'],
        env=os.environ | {'SECRET': 'x'},
        capture_output=True,
        text=True,
    )
    assert done.stdout == 'confined', done
    assert not (tmp_path / 'written').exists()


def test_environment_of_a_decoder(plain_run, tmp_path, monkeypatch):
    """No secrets, and no module from the current folder."""
    first = f"""
import os
os.environ['SECRET'] = 'x'
os.chdir({str(tmp_path)!r})
"""
    (tmp_path / 'cv2.py').write_text('raise SystemExit("the wrong module")')
    with serving(
        plain_run / 'best.pth', tmp_path / 'served', first=first
    ) as served:
        children = descendants(served.pid)
        assert children
        for pid in children:
            names = Path(f'/proc/{pid}/environ').read_bytes()
            assert b'SECRET=' not in names
