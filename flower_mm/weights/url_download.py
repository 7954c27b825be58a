"""Weights at an HTTP address: an interrupted download is continued."""

import http.client
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from flower_mm import console
from flower_mm.errors import printable
from flower_mm.lock import open_unlinked
from flower_mm.weights.pretrained_table import (
    HomeError,
    UnreachableError,
    UrlHome,
)

TIMEOUT = 30.0  # seconds without a byte
PAUSES = (1.0, 3.0)  # seconds before the second and the third attempt
# The largest file of a home without a size; the table's largest is 242 MB.
# Files may be a tenth larger than their size in the table, in MB or MiB.
LARGEST, TOLERANCE = 4000.0, 1.1  # MB
CHUNK = 1 << 18
_RANGE_NOT_SATISFIABLE = http.client.REQUESTED_RANGE_NOT_SATISFIABLE


class _InterruptedError(Exception):
    """The transfer ended early; another attempt may continue it."""


def download(home: UrlHome, part: Path) -> str:
    """Bring `part` to its full length; return the hash to expect.

    Only where a hash will be compared is an earlier `part` continued.
    """
    most = int((home.megabytes or LARGEST) * TOLERANCE * 1e6)
    if not home.sha256:
        part.unlink(missing_ok=True)
    reason = ''
    for pause in (*PAUSES, 0):
        try:
            _transfer(home.url, part, most)
            return home.sha256
        except _InterruptedError as error:
            reason = str(error)
            time.sleep(pause)
    raise UnreachableError(reason)


def _transfer(url: str, part: Path, most: int) -> None:
    start = part.stat().st_size if part.is_file() else 0
    headers = {'User-Agent': 'flower_mm'}
    if start:
        headers['Range'] = f'bytes={start}-'
    opener = urllib.request.build_opener(_KeepHttps)
    with _network():
        request = urllib.request.Request(url, headers=headers)
        try:
            response = opener.open(request, timeout=TIMEOUT)
        except urllib.error.HTTPError as error:
            if start and error.code == _RANGE_NOT_SATISFIABLE:
                return  # complete or of another file: its hash decides
            raise
    with response:
        if response.headers.get_content_type() == 'text/html':
            raise HomeError('the server sends a web page instead of weights')
        if not _continues(response, start):
            start = 0
        length = response.headers.get('Content-Length', '')
        # Longer numbers than any file has are left out, as texts are.
        known = re.fullmatch('[0-9]{1,18}', length) is not None
        total = start + int(length) if known else 0
        done = total
        if total <= most:
            done = _save(response, part, start, total, most)
    if done > most:
        part.unlink(missing_ok=True)
        raise HomeError(
            f'the file is larger than the {most / 1e6:g} MB expected'
        )
    if total and done != total:
        raise _InterruptedError(f'{done} of {total} bytes received')


def _continues(response: http.client.HTTPResponse, start: int) -> bool:
    """Return whether the response is the rest of a file from `start` on."""
    content_range = response.headers.get('Content-Range', '')
    return response.status == http.client.PARTIAL_CONTENT and (
        content_range.startswith(f'bytes {start}-')
    )


def _save(
    response: http.client.HTTPResponse,
    part: Path,
    start: int,
    total: int,
    most: int,
) -> int:
    """Append the response to the first `start` bytes; return the length."""
    done = start
    with (
        open_unlinked(part, 'ab') as file,
        console.progress(
            total, part.name.removesuffix('.part'), start=start, size=True
        ) as advance,
    ):
        file.truncate(start)
        while done <= most:
            with _network():
                piece = response.read1(CHUNK)
            if not piece:
                break
            file.write(piece)
            done += len(piece)
            advance(len(piece))
    return done


class _KeepHttps(urllib.request.HTTPRedirectHandler):
    """Follow redirects, but only from https to https."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        before, after = urlsplit(req.full_url), urlsplit(newurl)
        if after.scheme not in ('https', before.scheme):
            raise HomeError(
                f'the server redirects from {before.scheme} to {after.scheme}'
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@contextmanager
def _network() -> Iterator[None]:
    """Raise HomeError or _InterruptedError for what the network raises."""
    try:
        yield
    except (OSError, http.client.HTTPException, ValueError) as error:
        kind = (
            _InterruptedError
            if not _is_final(error)
            else HomeError
            if isinstance(error, urllib.error.HTTPError | ValueError)
            else UnreachableError
        )
        # The server's words are made harmless for the terminal.
        raise kind(printable(_reason(error))) from error


def _is_final(error: Exception) -> bool:
    """Return whether a second attempt would end like the first."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code < 500 and error.code not in (408, 429)
    if isinstance(error, urllib.error.URLError):
        # An unknown host, a firewall that drops or refuses connections, an
        # invalid certificate.
        return isinstance(
            error.reason,
            socket.gaierror
            | ConnectionRefusedError
            | TimeoutError
            | ssl.SSLError,
        )
    return isinstance(error, ValueError)  # a redirect to an invalid address


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f'the server answers {error.code} {error.reason}'
    if isinstance(error, urllib.error.URLError):
        return f'connection failed: {error.reason}'
    if isinstance(error, TimeoutError):
        return f'no answer within {TIMEOUT:g} s'
    return str(error) or type(error).__name__
