"""tools/serve.py under test, and clients made of the standard library."""

import http.client
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import forked

LONGEST = 20  # seconds to wait for anything
BOUNDARY = 'a-line-between-parts'
# Makes the model slow, and prints when it has a photo.
SLOW = """
import time
from flower_mm.inference.model import TrainedModel
scores = TrainedModel.scores
def slow(self, batch):
    print('has a photo', flush=True)
    time.sleep(0.3)
    return scores(self, batch)
TrainedModel.scores = slow
"""


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> dict:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return self.json['error']

    @property
    def photos(self) -> list[dict]:
        assert self.status == 200, self.body
        return self.json['photos']


@dataclass
class Served:
    run: forked.Run
    port: int

    @property
    def address(self) -> str:
        return f'http://127.0.0.1:{self.port}'

    @property
    def pid(self) -> int:
        return self.run.process.pid

    def ask(
        self,
        path: str,
        body: object = None,
        method: str | None = None,
        **headers: str,
    ) -> Answer:
        """Send a request; `x_y` in `headers` is the header x-y."""
        connection = http.client.HTTPConnection(
            '127.0.0.1', self.port, timeout=LONGEST
        )
        try:
            connection.request(
                method or ('GET' if body is None else 'POST'),
                path,
                body,
                {name.replace('_', '-'): v for name, v in headers.items()},
            )
            return answer(connection)
        finally:
            connection.close()

    def post(self, *photos: bytes, path: str = '/predict') -> Answer:
        named = [(f'{i}.jpg', photo) for i, photo in enumerate(photos)]
        return self.ask(path, form(named), content_type=FORM)

    def health(self) -> dict:
        return self.ask('/health').json

    def waiting(self) -> int:
        return self.health()['under_way']['photos']

    def connect(self, *sent: bytes) -> socket.socket:
        """Return a connection on which `sent` was sent."""
        client = socket.create_connection(
            ('127.0.0.1', self.port), timeout=LONGEST
        )
        client.sendall(b''.join(sent))
        return client

    def stop(self, number: int) -> int:
        os.kill(self.pid, number)
        return self.run.wait()


FORM = f'multipart/form-data; boundary={BOUNDARY}'


def form(photos: list[tuple[str, bytes]], field: str = 'photo') -> bytes:
    parts = []
    for name, data in photos:
        head = (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; '
            f'name="{field}"; filename="{name}"\r\n'
            'Content-Type: application/octet-stream\r\n\r\n'
        )
        parts += [head.encode(), data, b'\r\n']
    return b''.join([*parts, f'--{BOUNDARY}--\r\n'.encode()])


def head(length: int, kind: str = FORM, path: str = '/predict') -> bytes:
    """Return the first lines of a request with photos."""
    return (
        f'POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n'
        f'Content-Length: {length}\r\n\r\n'
    ).encode()


def answer(connection: http.client.HTTPConnection) -> Answer:
    found = connection.getresponse()
    return Answer(found.status, found.headers, found.read())


def answer_of(client: socket.socket) -> Answer:
    found = http.client.HTTPResponse(client)
    found.begin()
    return Answer(found.status, found.headers, found.read())


@contextmanager
def serving(
    best: Path, folder: Path, *args: str, first: str = '', port: int = 0
) -> Iterator[Served]:
    """Serve on a free port; `first` is a script to be run before."""
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / 'first.py'
    script.write_text(first)
    log = folder / 'log'
    log.unlink(missing_ok=True)
    run = forked.start(
        log,
        'serve',
        *(best, '--port', str(port), *args),
        first=str(script),
    )
    try:
        until(lambda: 'Ctrl-C' in run.text or not run.process.is_alive())
        found = re.search(r'http://127\.0\.0\.1:(\d+)\n', run.text)
        assert found, run.text
        yield Served(run, int(found[1]))
    finally:
        if run.process.is_alive():
            run.process.kill()
        run.process.join()


def until(done: object, seconds: float = LONGEST) -> None:
    """Wait until a function returns true."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, 'timeout'
        time.sleep(0.02)
