"""A server on loopback that misbehaves in the way its path names."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONTENT = bytes(range(256)) * 4096  # 1 MiB
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Answers by the first part of the path, as its name says."""

    def log_message(self, *args):
        pass

    def do_GET(self):
        way = self.path.split('/')[1]
        self.server.seen.append((way, self.headers.get('Range')))
        getattr(self, way)()

    def answer(self, code, body=b'', length=None, **headers):
        self.send_response(code)
        length = len(body) if length is None else length
        self.send_header('Content-Length', str(length))
        for name, value in headers.items():
            self.send_header(name.replace('_', '-'), value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def good(self, content=CONTENT, etag='"first"'):
        span = self.headers.get('Range')
        if span is None or self.headers.get('If-Range') != etag:
            return self.answer(200, content, ETag=etag)
        start = int(span.removeprefix('bytes=').removesuffix('-'))
        if start >= len(content):
            size = f'bytes */{len(content)}'
            return self.answer(416, Content_Range=size)
        size = f'bytes {start}-{len(content) - 1}/{len(content)}'
        return self.answer(206, content[start:], Content_Range=size, ETag=etag)

    def half_first(self):
        """Break off the first answer; go on when asked to."""
        if self.headers.get('Range') is None:
            half = CONTENT[: len(CONTENT) // 2]
            self.answer(200, half, length=len(CONTENT), ETag='"first"')
        else:
            self.good()

    def no_range(self):
        self.answer(200, CONTENT, ETag='"first"')

    def wrong_piece(self):
        """As long as asked for, from elsewhere in the file."""
        size = f'bytes 500-{len(CONTENT) - 1}/{len(CONTENT)}'
        self.answer(206, CONTENT[:-1000], Content_Range=size)

    def changed(self):
        self.good(etag='"second"')

    def short(self):
        self.answer(200, CONTENT[:1000], length=len(CONTENT))

    def forged(self):
        self.answer(200, b'x' + CONTENT[1:])

    def missing(self):
        self.answer(404)

    def busy_once(self):
        busy = sum(way == 'busy_once' for way, _ in self.server.seen) == 1
        self.answer(503) if busy else self.good()

    def silent(self):
        self.server.over.wait(10)

    def to_ftp(self):
        self.answer(302, Location='ftp://127.0.0.1/file.pth')

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
        scheme = 'https' if wrap else 'http'
        self.server.url = f'{scheme}://127.0.0.1:{self.server.server_port}'

    def __enter__(self):
        threading.Thread(
            target=self.server.serve_forever, args=(0.01,), daemon=True
        ).start()
        return self.server

    def __exit__(self, *args):
        self.server.over.set()
        self.server.shutdown()
        self.server.server_close()
