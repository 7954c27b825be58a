"""Each of many clients gets its own responses."""

import http.client
import io
import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from helpers import CLASSES
from PIL import Image
from serving import FORM, Served, answer, form, serving, until

from flower_mm import Classifier

CLIENTS = 16
EACH = 20  # requests
# Prints each file that is opened for writing, including temporary ones.
WATCH = """
import os, sys
def watch(event, args):
    if event == 'open' and args[2] & (os.O_WRONLY | os.O_RDWR):
        os.write(2, f'writes {args[0]!r}\\n'.encode())
sys.addaudithook(watch)
"""


def ask_many(served: Served, photos: list[bytes], start: int) -> list[tuple]:
    """Send the requests of a client, on one connection and on new ones."""
    found = []
    connection = http.client.HTTPConnection('127.0.0.1', served.port)
    for i in range(EACH):
        number = (start + i) % len(photos)
        name = f'{start}-{i}.jpg'
        if i % 5 == 4:
            connection.close()
        path = '/predict?heat=1' if i % 10 == 3 else '/predict'
        body = form([(name, photos[number])])
        connection.request('POST', path, body, {'Content-Type': FORM})
        (photo,) = answer(connection).photos
        found.append((number, photo['name'] == name, photo))
    connection.close()
    return found


def run_clients(served: Served, photos: list[bytes]) -> list[tuple]:
    starts = range(0, 37 * CLIENTS, 37)
    with ThreadPoolExecutor(CLIENTS) as clients:
        asked = [
            clients.submit(ask_many, served, photos, start) for start in starts
        ]
        return list(itertools.chain(*(client.result() for client in asked)))


def test_many_clients(plain_run, photos, tmp_path):
    best = plain_run / 'best.pth'
    files = [p for name in CLASSES for p in sorted((photos / name).iterdir())]
    known = [p.probabilities for p in Classifier(best, 'cpu')(files)]
    data = [path.read_bytes() for path in files]
    # Form parsers write such a large one to the disk by default.
    large = io.BytesIO()
    Image.open(files[0]).resize((1200, 1000)).save(large, 'BMP')
    with serving(best, tmp_path, first=WATCH) as served:
        start = len(served.run.text)
        assert 'label' in served.post(large.getvalue()).photos[0]
        rest = taken(served.pid)
        run_clients(served, data)  # warm
        before = memory(served.pid)
        # So large that a leak of 320 of them would be seen.
        found = run_clients(served, [photo + bytes(300_000) for photo in data])
        assert len(found) == CLIENTS * EACH
        for number, named, photo in found:
            assert named
            expected = pytest.approx(known[number], abs=1e-6)
            assert photo['probabilities'] == expected
        counts = served.health()['served']
        assert counts['requests'] == 1 + 2 * CLIENTS * EACH
        assert counts['refused'] == counts['bad'] == 0
        assert memory(served.pid) - before < 40
        until(lambda: taken(served.pid) <= rest)
        assert served.run.text[start:] == ''


def taken(pid: int) -> tuple[int, int]:
    """How many threads and open files a process has."""
    process = Path(f'/proc/{pid}')
    return len([*process.glob('task/*')]), len([*process.glob('fd/*')])


def memory(pid: int) -> float:
    """In MB; 0 where there is no /proc."""
    try:
        pages = Path(f'/proc/{pid}/statm').read_text().split()[1]
    except FileNotFoundError:
        return 0
    return int(pages) * os.sysconf('SC_PAGE_SIZE') / 1e6
