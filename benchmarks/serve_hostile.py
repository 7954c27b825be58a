"""How long hostile uploads keep another client of tools/serve.py waiting.

python -m benchmarks.serve_hostile best.pth

Ten minutes: each file is uploaded by eight connections at once while another
client asks about an ordinary photo again and again. Then it is uploaded once
more, and the server is told to stop. The longest wait for the ordinary photo
and the time of the shutdown go to results/serve_hostile.csv.
"""

import argparse
import http.client
import io
import json
import re
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from benchmarks.record import record

ROOT = Path(__file__).parents[1]
MOST = 20 * 1024**2 - 2000  # bytes; the server takes 20 MB
AT_ONCE = 8
SMALL = Image.linear_gradient('L').resize((64, 64)).convert('RGB')
LARGE = (7000, 7000)


def saved(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def filled(before: bytes, part: bytes, after: bytes) -> bytes:
    """As many parts as fit into a file."""
    return before + part * ((MOST - len(before + after)) // len(part)) + after


def chunk(kind: bytes, data: bytes = b'') -> bytes:
    check = struct.pack('>I', zlib.crc32(kind + data))
    return struct.pack('>I', len(data)) + kind + data + check


def png(part: bytes) -> bytes:
    whole = saved(SMALL, 'PNG')
    return filled(whole[:33], part, whole[33:])


def jpeg(part: bytes) -> bytes:
    whole = saved(SMALL, 'JPEG')
    return filled(whole[:2], part, whole[2:])


def gif(part: bytes) -> bytes:
    whole = saved(SMALL.quantize(4), 'GIF')
    at = whole.index(b',', 13)
    return filled(whole[:at], part, whole[at:])


def gif_frames() -> bytes:
    whole = saved(SMALL.quantize(4), 'GIF')
    return filled(whole[:-1], whole[whole.index(b',', 13) : -1], b';')


def bmp(width: int, part: bytes) -> bytes:
    """Run-length encoded."""
    head = struct.pack('<IHHI', MOST, 0, 0, 1078)
    about = struct.pack(
        '<IiiHHIIiiII', 40, width, width, 1, 8, 1, 0, 0, 0, 256, 0
    )
    return filled(b'BM' + head + about + bytes(range(256)) * 4, part, b'')


def tiff_strips() -> bytes:
    """Two million strips of one row."""
    count = 2_000_000
    fields = (
        (256, 1, 40), (257, 1, count), (258, 1, 8), (259, 1, 1), (262, 1, 1),
        (273, count, 1000), (277, 1, 1), (278, 1, 1),
        (279, count, 1000 + 4 * count),
    )  # fmt: skip
    entries = b''.join(struct.pack('<HHII', tag, 4, *f) for tag, *f in fields)
    head = b'II*\0' + struct.pack('<IH', 8, len(fields)) + entries + bytes(4)
    tables = struct.pack('<I', 8) * count + struct.pack('<I', 40) * count
    return head.ljust(1000, b'\0') + tables


def tiff_chain() -> bytes:
    """A hundred thousand pages."""
    whole = saved(SMALL, 'TIFF')
    at = struct.unpack('<I', whole[4:8])[0]
    size = 2 + 12 * int.from_bytes(whole[at : at + 2], 'little')
    page = whole[at : at + size]
    count = (MOST - len(whole)) // (size + 4)
    start = len(whole)
    pages = b''.join(
        page + struct.pack('<I', start + (i + 1) * (size + 4))
        for i in range(count - 1)
    )
    head = whole[:4] + struct.pack('<I', start)
    return head + whole[8:] + pages + page + bytes(4)


def uploads() -> dict[str, Callable[[], bytes]]:
    rgb = Image.new('RGB', LARGE)
    bomb = zlib.compress(bytes(900_000), 9)
    pixels = struct.pack('>IIBBBBB', 60_000, 60_000, 8, 2, 0, 0, 0)
    return {
        'PPM, 3 MB of comment lines': lambda: (
            b'P6\n' + b'#\n' * 1_500_000 + b'64 64\n255\n' + bytes(12288)
        ),
        'PPM, odd maxval': lambda: b'P6\n2600 2600\n254\n' + bytes(20_280_000),
        'PNG, 1.7 million chunks': lambda: png(chunk(b'abCd')),
        'PNG, text bombs': lambda: png(chunk(b'zTXt', b'a\0\0' + bomb)),
        'PNG, frames': lambda: png(chunk(b'fdAT', bytes(4))),
        'PNG, 49 megapixels with alpha': lambda: saved(
            Image.new('RGBA', LARGE, (9, 9, 9, 7)), 'PNG', compress_level=1
        ),
        'PNG, a header of 3,600 megapixels': lambda: png(
            chunk(b'IHDR', pixels)
        ),
        'JPEG, 5 million comments': lambda: jpeg(b'\xff\xfe\0\2'),
        'JPEG, 1.3 million profiles': lambda: jpeg(
            b'\xff\xe2\0\x0eICC_PROFILE\0'
        ),
        'JPEG, 20 MB of fill bytes': lambda: jpeg(b'\xff'),
        'JPEG, 49 megapixels, progressive': lambda: saved(
            Image.effect_noise(LARGE, 9), 'JPEG', progressive=True, quality=20
        ),
        'GIF, 4 million comments': lambda: gif(b'!\xfe\1a\0'),
        'GIF, frames': gif_frames,
        'BMP, run-length, 49 megapixels': lambda: bmp(7000, b'\1\1'),
        'BMP, run-length, delta': lambda: bmp(7000, b'\0\2\1\0'),
        'TIFF, 2 million strips': tiff_strips,
        'TIFF, 100,000 pages': tiff_chain,
        'TIFF, 49 megapixels, LZW': lambda: saved(
            rgb, 'TIFF', compression='tiff_lzw'
        ),
        'WebP, 49 megapixels': lambda: saved(rgb, 'WEBP', method=0),
        'AVIF, 49 megapixels': lambda: saved(rgb, 'AVIF', speed=10),
        'AVIF, 2.6 million boxes': lambda: filled(
            saved(SMALL, 'AVIF'), b'\0\0\0\x08free', b''
        ),
    }


class Server:
    def __init__(self, best: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, 'tools/serve.py', best, '--port', '0'],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for line in self.process.stdout:
            if address := re.search(r'127\.0\.0\.1:(\d+)', line):
                self.port = int(address[1])
            if 'Ctrl-C' in line:
                return
        raise SystemExit('the server does not start')

    def post(self, photo: bytes) -> str:
        """The status, or 'label' for a photo that was classified."""
        connection = http.client.HTTPConnection('127.0.0.1', self.port)
        try:
            connection.request(
                'POST', '/predict', photo, {'Content-Type': 'image/any'}
            )
            answer = connection.getresponse()
            body = json.loads(answer.read())
        except OSError:
            return 'closed'
        finally:
            connection.close()
        if answer.status != 200:
            return str(answer.status)
        return 'label' if 'label' in body['photos'][0] else 'bad photo'

    def stop(self) -> float:
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(600)
        return time.monotonic() - began


def measure(server: Server, name: str, data: bytes, good: bytes) -> dict:
    waits, answers = [], Counter()
    with ThreadPoolExecutor(AT_ONCE) as clients:
        hostile = [clients.submit(server.post, data) for _ in range(AT_ONCE)]
        while not all(request.done() for request in hostile):
            began = time.monotonic()
            answers[server.post(good)] += 1
            waits.append(time.monotonic() - began)
        hostile_answers = Counter(request.result() for request in hostile)
        clients.submit(server.post, data)
        time.sleep(0.3)
        stop = server.stop()
    return {
        'upload': name,
        'bytes': len(data),
        'at_once': AT_ONCE,
        'answers': ' '.join(f'{n} x {a}' for a, n in hostile_answers.items()),
        'ordinary_answers': ' '.join(f'{n} x {a}' for a, n in answers.items()),
        'longest_wait_s': f'{max(waits):.2f}',
        'shutdown_s': f'{stop:.2f}',
        'command': 'python -m benchmarks.serve_hostile',
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('best', help='best.pth of any training')
    best = parser.parse_args().best
    good = saved(SMALL.resize((1600, 1200)), 'JPEG')
    for name, make in uploads().items():
        server = Server(best)
        server.post(good)
        row = measure(server, name, make(), good)
        print(*row.values(), sep='  ', flush=True)
        table = record('serve_hostile', [row], key=('upload',))
    print(table)


if __name__ == '__main__':
    main()
