"""Limits on memory, time and the number of requests."""

import http.client
import socket
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from helpers import CLASSES
from serving import (
    BOUNDARY,
    FORM,
    SLOW,
    Served,
    answer,
    answer_of,
    form,
    head,
    serving,
    until,
)
from starlette.exceptions import HTTPException

from flower_mm.serve.limits import Capacity, RateLimit

# The same mechanism, with less to send and to wait for.
SMALL = """
from flower_mm.serve import limits
limits.PHOTO_BYTES = 200_000
limits.REQUEST_BYTES = 500_000
limits.HELD_BYTES = 800_000
limits.PHOTOS_A_MINUTE = 100_000
limits.IDLE_SECONDS = 1
limits.CONNECTIONS = 20
"""


@pytest.fixture(scope='module')
def served(plain_run: Path, tmp_path_factory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp('served')
    with serving(plain_run / 'best.pth', folder, first=SMALL) as found:
        yield found


@pytest.fixture(scope='module')
def one(photos: Path) -> bytes:
    return (photos / CLASSES[0] / '000.jpg').read_bytes()


def padded(photo: bytes, size: int) -> bytes:
    """The same photo in a larger file."""
    return photo + bytes(size - len(photo))


def in_chunks(served: Served, parts: Iterator[bytes], kind: str = FORM):
    """Send a body without a Content-Length."""
    connection = http.client.HTTPConnection('127.0.0.1', served.port)
    connection.request('POST', '/predict', parts, {'Content-Type': kind})
    try:
        return answer(connection)
    finally:
        connection.close()


def test_size_of_a_photo(served, one):
    assert 'label' in served.post(padded(one, 200_000)).photos[0]
    large = padded(one, 200_001)
    for found in (
        served.post(large),
        served.post(one, large),
        served.ask('/predict', large, content_type='image/jpeg'),
        in_chunks(served, iter([large[:100_000], large[100_000:]]), 'image/x'),
    ):
        assert found.status == 413
        assert 'MB' in found.error
    assert served.post(one).status == 200


def test_size_of_a_request(served, one):
    body = form([('a', padded(one, 180_000)), ('b', padded(one, 180_000))])
    assert len(in_chunks(served, iter([body])).photos) == 2
    long = form([(str(i), padded(one, 180_000)) for i in range(3)])
    assert in_chunks(served, iter([long])).status == 413
    assert served.ask('/predict', long, content_type=FORM).status == 413


def test_content_length_is_checked_first(served):
    with served.connect(head(10**12)) as client:
        assert answer_of(client).status == 413


def test_pixels_are_counted_before_they_are_decoded(served):
    for width, height in ((8000, 6251), (60_000, 60_000)):
        about = b'IHDR' + struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
        photo = b'\x89PNG\r\n\x1a\n' + struct.pack('>I', 13) + about
        photo += struct.pack('>II', zlib.crc32(about), 99) + b'IDAT'
        (found,) = served.post(photo).photos
        assert found['error'] == 'more than 50 million pixels'


def test_photos_and_parts_are_counted(served, one):
    assert len(served.post(*[one] * 16).photos) == 16
    found = served.post(*[one] * 17)
    assert found.status == 413
    assert '16 photos' in found.error
    others = form([('x', b'')] * 33, field='other')
    assert served.ask('/predict', others, content_type=FORM).status == 413


@pytest.mark.parametrize(
    'value',
    [b'x' * 100_000, b'x: y\r\n' * 1000],
    ids=['a long line', 'many lines'],
)
def test_heads_of_parts_are_limited(served, value):
    body = f'--{BOUNDARY}\r\n'.encode() + value + b'\r\n\r\n'
    assert served.ask('/predict', body, content_type=FORM).status == 400


def test_the_head_of_a_request_is_limited(served):
    with served.connect(b'GET /health HTTP/1.1\r\n', b'x: y\r\n' * 5000) as c:
        assert answer_of(c).status == 400


def test_rate_limit():
    now = 0.0
    rate = RateLimit(60, lambda: now)
    rate.take(50)
    rate.check(10)
    with pytest.raises(HTTPException) as refused:
        rate.take(16)
    assert refused.value.status_code == 429
    assert refused.value.headers['Retry-After'] == '6'
    now = 6.0
    rate.take(16)
    now = 1000.0
    rate.take(60)  # at most
    with pytest.raises(HTTPException):
        rate.check(1)


def test_capacity():
    capacity = Capacity(10, 'full')
    with capacity.held() as take:
        take(8)
        with capacity.held() as other:
            other(2)
            assert capacity.taken == 10
        with pytest.raises(HTTPException) as refused:
            take(3)
        assert capacity.taken == 8
    assert refused.value.status_code == 503
    assert capacity.taken == 0


def test_photos_beyond_the_rate(plain_run, one, tmp_path):
    few = SMALL.replace('100_000', '20')
    with serving(plain_run / 'best.pth', tmp_path, first=few) as served:
        assert served.post(*[one] * 16).status == 200
        found = served.post(*[one] * 10)
        assert found.status == 429
        assert 1 <= int(found.headers['Retry-After']) <= 18
        assert served.post(*[one] * 4).status == 200
        # It is refused before the photos are read.
        with served.connect(head(10_000)) as client:
            found = answer_of(client)
        assert found.status == 429
        assert 1 <= int(found.headers['Retry-After']) <= 3
        assert served.health()['served']['refused'] == 2


def test_number_of_waiting_photos(plain_run, one, tmp_path):
    few = f'{SMALL}\nlimits.WAITING = 6\n{SLOW}'
    with (
        serving(plain_run / 'best.pth', tmp_path, first=few) as served,
        ThreadPoolExecutor(2) as clients,
    ):
        asked = [clients.submit(served.post, *[one] * 3) for _ in range(2)]
        until(lambda: served.waiting() == 6)
        found = served.post(one)
        assert found.status == 503
        assert found.headers['Retry-After'] == '2'
        for request in asked:
            assert len(request.result().photos) == 3
        assert served.post(one).status == 200


def test_photos_in_memory_are_counted_over_all_requests(served, one):
    """Those of a client that left count no longer."""
    body = form([(str(i), padded(one, 150_000)) for i in range(3)])
    for _ in range(2):
        most = served.connect(head(len(body)), body[:-1])
        until(lambda: served.health()['under_way']['bytes'] > 450_000)
        assert served.ask('/predict', body, content_type=FORM).status == 503
        most.close()
        until(lambda: served.health()['under_way']['bytes'] == 0)
        found = served.ask('/predict', body, content_type=FORM)
        assert len(found.photos) == 3


@pytest.mark.parametrize(
    ('sent', 'limit'),
    [(b'', 'limits.PAUSE_SECONDS = 1'), (b'x', 'limits.BODY_SECONDS = 1')],
    ids=['nothing', 'trickling'],
)
def test_slow_body(plain_run, one, tmp_path, sent, limit):
    first = f'from flower_mm.serve import limits\n{limit}'
    with (
        serving(plain_run / 'best.pth', tmp_path, first=first) as served,
        served.connect(head(400_000), form([('a', one)])[:100]) as client,
    ):
        client.settimeout(0.1)

        def is_answered() -> bool:
            assert served.post(one).status == 200  # others go on
            try:
                client.sendall(sent)
                return bool(client.recv(1, socket.MSG_PEEK))
            except TimeoutError:
                return False

        until(is_answered)
        found = answer_of(client)
        assert found.status == 408
        assert client.recv(1) == b''


def ends(client) -> bool:
    """Return whether the server has closed the connection."""
    try:
        while client.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True


def test_body_in_chunks_of_one_byte(plain_run, tmp_path):
    """Parsing it would block other clients."""
    first = 'from flower_mm.serve import limits\n'
    sent = (
        b'POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: '
        b'image/png\r\nTransfer-Encoding: chunked\r\n\r\n'
    )
    with serving(
        plain_run / 'best.pth',
        tmp_path,
        first=f'{first}limits.PARSE_SECONDS = 0.01',
    ) as served:
        with served.connect(sent, b'1\r\nx\r\n' * 100_000) as client:
            client.settimeout(5)  # the body itself may pause for longer
            assert ends(client)
        assert served.health()['status'] == 'ok'


def test_idle_connections_are_closed(served, one):
    with ExitStack() as stack:
        slow = [
            stack.enter_context(served.connect(sent))
            for sent in [b'', b'GET /', b'GET / HTTP/1.1\r\nHost: x\r\nx: ']
            * 5
        ]
        # A refused request whose body does not end.
        slow.append(
            stack.enter_context(
                served.connect(b'POST /no HTTP/1.1\r\nHost: localhost\r\n'),
            )
        )
        slow[-1].sendall(b'Content-Length: 999999\r\n\r\nx')
        assert served.post(one).status == 200
        assert all(ends(client) for client in slow)


def test_number_of_connections(plain_run, one, tmp_path):
    first = f'{SMALL}\nlimits.IDLE_SECONDS = 100'
    with serving(plain_run / 'best.pth', tmp_path, first=first) as served:
        with ExitStack() as stack:
            many = [stack.enter_context(served.connect()) for _ in range(40)]
            assert all(ends(client) for client in many[-10:])
        until(lambda: answers(served))
        assert served.post(one).status == 200


def answers(served: Served) -> bool:
    try:
        return bool(served.health())
    except ConnectionError:
        return False


def test_photos_of_a_client_that_left_are_dropped(plain_run, one, tmp_path):
    with serving(plain_run / 'best.pth', tmp_path, first=SLOW) as served:
        body = form([(str(i), one) for i in range(16)])
        for _ in range(3):
            gone = served.connect(head(len(body)), body)
            until(lambda: served.waiting())
            gone.close()
            until(lambda: not served.waiting())
        before = served.run.text.count('has a photo')
        for _ in range(5):
            assert served.post(one).status == 200
        # These five, and one that it may have begun.
        assert served.run.text.count('has a photo') - before <= 6
        counts = served.health()['served']
        assert counts == {'requests': 5, 'refused': 0, 'photos': 5, 'bad': 0}
        assert 'error' not in served.run.text


def test_disconnect_while_sending(served, one):
    body = form([('a', one)])
    for cut in (0, 10, 100, len(body) - 1):
        served.connect(head(len(body)), body[:cut]).close()
    assert served.post(one).status == 200
    assert 'error' not in served.run.text
    assert 'Traceback' not in served.run.text
