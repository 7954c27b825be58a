"""A server on loopback that answers in the way that its path names."""

import hashlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONTENT = bytes(range(256)) * 4096  # 1 MiB
DIGEST = hashlib.sha256(CONTENT).hexdigest()
PARKED = b'<!DOCTYPE html><title>This domain may be for sale</title>'


class Handler(BaseHTTPRequestHandler):
    """Answers by the first part of the path, as its name says."""

    def log_message(self, *args):
        pass

    def do_GET(self):
        way = self.path.split('/')[1]
        self.server.seen.append((way, self.headers.get('Range')))
        try:
            getattr(self, way)()
        except (ConnectionError, TimeoutError):
            self.close_connection = True  # the client has left

    def answer(self, code, body=b'', length=None, **headers):
        self.start(code, len(body) if length is None else length, **headers)
        self.wfile.write(body)

    def start(self, code, length=None, reason=None, **headers):
        self.send_response(code, reason)
        if length is not None:
            self.send_header('Content-Length', str(length))
        for name, value in headers.items():
            self.send_header(name.replace('_', '-'), value)
        self.end_headers()
        self.close_connection = True

    def good(self, content=CONTENT):
        span = self.headers.get('Range')
        if span is None:
            return self.answer(200, content)
        start = int(span.removeprefix('bytes=').removesuffix('-'))
        if start >= len(content):
            size = f'bytes */{len(content)}'
            return self.answer(416, Content_Range=size)
        size = f'bytes {start}-{len(content) - 1}/{len(content)}'
        return self.answer(206, content[start:], Content_Range=size)

    def half_first(self):
        """Break off the first answer; go on when asked to."""
        if self.headers.get('Range') is None:
            half = CONTENT[: len(CONTENT) // 2]
            self.answer(200, half, length=len(CONTENT))
        else:
            self.good()

    def half_then_wait(self):
        """Stop half-way, and go on when the test says so."""
        if self.headers.get('Range') is not None:
            return self.good()
        half = len(CONTENT) // 2
        self.answer(200, CONTENT[:half], len(CONTENT))
        self.server.half.set()
        self.server.go_on.wait(30)
        return self.wfile.write(CONTENT[half:])

    def no_range(self):
        self.answer(200, CONTENT)

    def no_length(self):
        self.start(200)
        self.wfile.write(CONTENT)

    def wrong_piece(self):
        """As long as asked for, from elsewhere in the file."""
        size = f'bytes 500-{len(CONTENT) - 1}/{len(CONTENT)}'
        self.answer(206, CONTENT[:-1000], Content_Range=size)

    def short(self):
        self.answer(200, CONTENT[:1000], length=len(CONTENT))

    def forged(self):
        self.answer(200, b'x' + CONTENT[1:])

    def parked(self):
        """What an expired domain shows, whatever one asks it for."""
        self.answer(200, PARKED, Content_Type='text/html; charset=utf-8')

    def missing(self):
        self.answer(404)

    def rude(self):
        """Words that would colour or clear the screen."""
        self.start(404, 0, 'no \x1b[2J\x1b[31mway')

    def busy_once(self):
        busy = sum(way == 'busy_once' for way, _ in self.server.seen) == 1
        self.answer(503) if busy else self.good()

    def silent(self):
        self.server.over.wait(10)

    def endless(self):
        self.start(200)
        until = time.monotonic() + 30
        while time.monotonic() < until:
            self.wfile.write(CONTENT)

    def vast(self):
        """Claim more than there is on any disk."""
        self.start(200, 10**17)
        self.wfile.write(CONTENT)

    def odd_length(self):
        self.start(200, 'twelve')
        self.wfile.write(CONTENT)

    def garbage(self):
        self.wfile.write(b'\0\xff' * 2000)
        self.close_connection = True

    def to_ftp(self):
        self.answer(302, Location='ftp://127.0.0.1/file.pth')

    def to_file(self):
        self.answer(302, Location=f'file://{self.server.secret}')

    def to_nowhere(self):
        self.answer(302, Location='http://[::bad/file.pth')

    def to_itself(self):
        self.answer(302, Location='/to_itself/file.pth')

    def to_good(self):
        self.answer(302, Location='/good/file.pth')

    def to_plain(self):
        self.answer(302, Location=self.server.plain)


def running(wrap=None):
    return _Running(wrap)


class _Running:
    def __init__(self, wrap):
        self.server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.server.daemon_threads = True
        if wrap:
            self.server.socket = wrap(self.server.socket)
        self.server.seen = []
        self.server.over = threading.Event()
        self.server.half = threading.Event()
        self.server.go_on = threading.Event()
        scheme = 'https' if wrap else 'http'
        self.server.url = f'{scheme}://127.0.0.1:{self.server.server_port}'

    def __enter__(self):
        threading.Thread(
            target=self.server.serve_forever, args=(0.01,), daemon=True
        ).start()
        return self.server

    def __exit__(self, *args):
        self.server.over.set()
        self.server.go_on.set()
        self.server.shutdown()
        self.server.server_close()
