"""A server of a folder with ranges, which can misbehave."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class RangeServer(ThreadingHTTPServer):
    """Serves `folder`.

    Attributes:
        fault: What it does instead of its work: a method of `_Handler`.
        times: How many requests it does that with.
        matching: The end of the paths of these requests.
        requests: The paths and ranges of all requests.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(('127.0.0.1', 0), _Handler)
        self.folder, self.fault, self.times = folder, '', 1 << 30
        self.matching = ''
        self.requests: list[tuple[str, str]] = []

    @property
    def address(self) -> str:
        return f'http://127.0.0.1:{self.server_port}'


class _Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    server: RangeServer

    def do_GET(self) -> None:
        wanted = self.headers.get('Range', '')
        self.server.requests.append((self.path, wanted))
        fault = ''
        if self.path.endswith(self.server.matching) and self.server.times:
            fault = self.server.fault
            self.server.times -= bool(fault)
        path = self.server.folder / self.path.lstrip('/')
        if fault.isdecimal() or not path.is_file():
            self._send(int(fault or 404), b'')
            return
        data = path.read_bytes()
        match = re.fullmatch(r'bytes=(\d+)-(\d+)', wanted)
        if not match or fault == 'ignore_range':
            self._send(200, data)
            return
        data = data[int(match[1]) : int(match[2]) + 1]
        if fault == 'redirect':
            self.send_response(302)
            self.send_header('Location', 'http://localhost/secret')
            self.send_header('Content-Length', '0')
            self.end_headers()
        elif fault == 'stall':
            time.sleep(1.5)
        elif fault == 'cut':  # the connection ends early
            self._send(206, data, data[:10])
            self.close_connection = True
        else:
            if fault == 'short':  # as of a truncated file
                data = data[:-1]
            elif fault == 'long':
                data += bytes(100)
            elif fault == 'change':
                data = bytes(len(data))
            self._send(206, data)

    def _send(self, code: int, data: bytes, part: bytes | None = None) -> None:
        self.send_response(code)
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data if part is None else part)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@contextmanager
def serving(folder: Path) -> Iterator[RangeServer]:
    with RangeServer(folder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
