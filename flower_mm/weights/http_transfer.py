"""One request for a file: taken up where the last one stopped, and bounded."""

import http.client
import re
import shutil
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import Message
from pathlib import Path
from urllib.parse import urlsplit

from flower_mm import console
from flower_mm.errors import UserError, printable
from flower_mm.files import replacing
from flower_mm.lock import open_unlinked

TIMEOUT = 30.0  # seconds without a byte
# Bytes a second over that time: a server that sends one now and then would
# never run into the timeout.
SLOWEST = 1000
CHUNK = 1 << 18


class HomeError(Exception):
    """An address does not give the file; the next one may."""


class BrokenError(Exception):
    """The transfer stopped half-way; another attempt may go on from there."""


def attempt(url: str, part: Path, most: int) -> None:
    """Bring `part` to its full length, which is `most` bytes at the most.

    Raises HomeError or BrokenError; an OSError is the disk's.
    """
    tag = part.with_name(part.name + '.tag')
    headers = {'User-Agent': 'flower_mm'}
    mark = tag.read_text('latin-1') if tag.is_file() else ''
    # One with a line break in it could not be sent back.
    known = part.is_file() and mark.isprintable() and mark
    start = part.stat().st_size if known else 0
    if start:
        # If the file has changed since, the server sends all of it.
        headers |= {'Range': f'bytes={start}-', 'If-Range': mark}
    try:
        with _network():
            request = urllib.request.Request(url, headers=headers)
            response = _opener().open(request, timeout=TIMEOUT)
    except _RangeError as error:
        if error.have == f'bytes */{start}':
            return  # it was complete, and only the name was missing
        forget(part)
        raise BrokenError('what was there is of another file') from error
    with response:
        if response.headers.get_content_type() == 'text/html':
            raise HomeError('it sends a web page, no weights')
        start, total = _span(response, start)
        if start == 0:
            forget(part)  # before its mark is: they belong together
            _remember(tag, response.headers)
        done = total
        if total <= most:
            _require_room(part, total - start)
            done = _pour(response, part, start, total, most)
    if done > most:
        forget(part)
        raise HomeError(f'it sends more than the {most / 1e6:g} MB expected')
    if total and done != total:
        raise BrokenError(f'{done} of {total} bytes came')


def forget(part: Path) -> None:
    for path in (part, part.with_name(part.name + '.tag')):
        path.unlink(missing_ok=True)


def _remember(tag: Path, headers: Message) -> None:
    """Keep what tells this file from a later one at the same address."""
    etag = headers.get('ETag', '')
    mark = etag if etag.startswith('"') else headers.get('Last-Modified', '')
    if mark:
        with replacing(tag) as file:
            file.write(mark.encode('latin-1'))


def _span(response: http.client.HTTPResponse, asked: int) -> tuple[int, int]:
    """Where in the file the answer begins, and how long the file is.

    The length is 0 where the server keeps it for itself.
    """
    if response.status != http.client.PARTIAL_CONTENT:
        length = response.headers.get('Content-Length', '')
        return 0, int(length) if re.fullmatch('[0-9]{1,18}', length) else 0
    found = re.fullmatch(
        'bytes ([0-9]{1,18})-[0-9]+/([0-9]{1,18})',
        response.headers.get('Content-Range', ''),
    )
    if found is None or int(found[1]) != asked:
        raise HomeError('the server sent another piece than asked for')
    return asked, int(found[2])


def _require_room(part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed > free:
        raise UserError(
            f'no room for {part}: {needed / 1e6:.1f} MB are still to come, '
            f'{free / 1e6:.1f} MB are free there'
        )


def _pour(
    response: http.client.HTTPResponse,
    part: Path,
    start: int,
    total: int,
    most: int,
) -> int:
    """Append what comes to `part`; return the length it should have now."""
    done = start
    with (
        open_unlinked(part, 'ab') as file,
        console.progress(
            total, part.name.removesuffix('.part'), start=start, size=True
        ) as advance,
    ):
        for piece in _pieces(response):
            file.write(piece)
            done += len(piece)
            advance(len(piece))
            if done > most:
                break
    return done


def _pieces(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """Yield what comes, as it comes, and stop where it trickles."""
    came, since = 0, time.monotonic()
    while True:
        with _network():
            piece = response.read1(CHUNK)
        if not piece:
            return
        yield piece
        came += len(piece)
        waited = time.monotonic() - since
        if waited > TIMEOUT:
            if came < SLOWEST * waited:
                raise BrokenError(f'only {came} bytes in {waited:.0f} s')
            came, since = 0, time.monotonic()


class _SameOrSafer(urllib.request.HTTPRedirectHandler):
    """Follow redirects, but never out of https."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        before, after = urlsplit(req.full_url), urlsplit(newurl)
        if after.scheme not in ('https', before.scheme):
            raise HomeError(
                f'it redirects from {before.scheme} to {after.scheme}'
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Prompt(urllib.request.HTTPSHandler, urllib.request.HTTPHandler):
    """Leave a server that sends byte by byte what goes before the file."""

    def do_open(self, http_class, req, **http_conn_args):
        class Connection(http_class):
            def getresponse(self):
                late = threading.Event()

                def leave() -> None:
                    late.set()
                    with suppress(OSError, AttributeError):  # closed already
                        self.sock.shutdown(socket.SHUT_RDWR)

                timer = threading.Timer(TIMEOUT, leave)
                timer.start()
                try:
                    return super().getresponse()
                finally:
                    timer.cancel()
                    if late.is_set():
                        raise TimeoutError

        return super().do_open(Connection, req, **http_conn_args)


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_SameOrSafer, _Prompt)


class _RangeError(Exception):
    """The server has nothing at or behind the place asked for."""

    def __init__(self, have: str) -> None:
        self.have = have  # the Content-Range: how long its file is


@contextmanager
def _network() -> Iterator[None]:
    """Turn what a server and the way to it can raise into our own errors."""
    try:
        yield
    except (OSError, http.client.HTTPException, ValueError) as error:
        code = getattr(error, 'code', None)
        if code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise _RangeError(error.headers.get('Content-Range')) from error
        kind = HomeError if _is_final(error) else BrokenError
        # A server's own words are not to steer the terminal.
        raise kind(printable(_reason(error))) from error


def _is_final(error: Exception) -> bool:
    """Whether a second attempt would end like the first."""
    if isinstance(error, urllib.error.HTTPError):
        busy = error.code in (408, 429) or error.code >= 500
        return not busy
    if isinstance(error, urllib.error.URLError):
        # No such host, a refused connection, a certificate that has lapsed.
        return isinstance(
            error.reason,
            socket.gaierror | ConnectionRefusedError | ssl.SSLError,
        )
    # An address that is none, where a redirect led.
    return isinstance(error, ValueError)


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f'the server answers {error.code} {error.reason}'
    if isinstance(error, urllib.error.URLError):
        return f'no connection ({error.reason})'
    if isinstance(error, TimeoutError):
        return f'no answer within {TIMEOUT:g} s'
    return str(error) or type(error).__name__
