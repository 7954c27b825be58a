"""Getting a file of weights: resumed, verified, then put in its place."""

import errno
import http.client
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from email.message import Message
from pathlib import Path
from urllib.parse import urlsplit

from flower_mm import console
from flower_mm.errors import UserError
from flower_mm.weights import table, verify
from flower_mm.weights.table import Entry, Home

TIMEOUT = 30.0  # seconds without a byte
PAUSES = (1.0, 3.0)  # seconds before the second and the third attempt
CHUNK = 1 << 18
OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)


class HomeError(Exception):
    """An address does not give the file; the next one may."""


class _BrokenError(Exception):
    """The transfer stopped half-way; another attempt may go on from there."""


def fetch(
    entry: Entry,
    folder: Path,
    accept_unverified: bool = False,
    say: Callable[[str], None] = print,
) -> Path:
    """Return the verified file; every step and every detour is said."""
    path = table.present(entry, folder)
    if path is not None:
        if accept_unverified:
            _accept(entry, path, say)
        say(f'{path} is here already, verified: {table.check(entry, path)}.')
        return path
    for home in entry.homes:
        path = folder / home.file
        if not home.trusted and not accept_unverified:
            say(f'{home.url} is left out: {_doubt(home)}')
            continue
        say(f'{entry.name} from {home.url} (licence {home.licence})')
        try:
            _fill(home.url, _part(path))
        except HomeError as error:
            say(f'  {error}; trying the next home')
            continue
        say(f'{path}: {_settle(entry, home, path, say)}')
        return path
    raise UserError(_nowhere(entry, folder, accept_unverified))


def _accept(entry: Entry, path: Path, say: Callable[[str], None]) -> None:
    """Record the hash of a file that no home's hash speaks about."""
    home = next(home for home in entry.homes if home.file == path.name)
    if home.sha256 or verify.recorded(path):
        return
    digest = verify.sha256_of(path)
    if entry.home_of(digest) is None:
        verify.record(path, digest)
        say(f'{path}: accepted unverified; sha256 {digest} recorded.')


def _doubt(home: Home) -> str:
    """Why a download from this home proves nothing."""
    if not home.sha256:
        return 'cannot be verified, nobody has published its hash'
    return (
        f'cannot be verified, the domain lapsed on {home.lapsed} and the '
        f'{len(home.sha256)} digits that are known can be forged'
    )


def _nowhere(entry: Entry, folder: Path, accepted: bool) -> str:
    best = entry.homes[0]
    by_hand = f'{best.url} by hand at {(folder / best.file).absolute()}'
    if accepted or all(home.trusted for home in entry.homes):
        return f'No home gave the weights of {entry.name}. Put\n  {by_hand}'
    return (
        f'No home gave verified weights of {entry.name}. Unverified ones are '
        'still loaded as data, never executed:\n'
        f'  python tools/get_weights.py {entry.name} --accept-unverified\n'
        f'or put {by_hand}'
    )


def _fill(url: str, part: Path) -> None:
    """Bring `part` to its full length, in as many attempts as allowed."""
    for pause in (*PAUSES, None):
        try:
            part.parent.mkdir(parents=True, exist_ok=True)
            _attempt(url, part)
            return
        except (_BrokenError, OSError, http.client.HTTPException) as error:
            if getattr(error, 'errno', None) in OF_THE_DISK:
                raise UserError(f'{part}: {error.strerror}.') from error
            if pause is None or _is_final(error):
                raise HomeError(_reason(error)) from error
            time.sleep(pause)


def _attempt(url: str, part: Path) -> None:
    """One request that takes up where the last one stopped."""
    tag = part.with_name(part.name + '.tag')
    headers = {'User-Agent': 'flower_mm'}
    start = part.stat().st_size if part.is_file() and tag.is_file() else 0
    if start:
        # If the file has changed since, the server sends all of it.
        headers |= {
            'Range': f'bytes={start}-',
            'If-Range': tag.read_text('utf-8'),
        }
    request = urllib.request.Request(url, headers=headers)
    try:
        response = _opener().open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        if error.headers.get('Content-Range') == f'bytes */{start}':
            return  # it was complete, and only the name was missing
        _forget(part)
        raise _BrokenError('what was there is of another file') from error
    with response:
        start, total = _span(response, start)
        if start == 0:
            _remember(tag, response.headers)
        _pour(response, part, start, total)


def _span(response: http.client.HTTPResponse, asked: int) -> tuple[int, int]:
    """Where in the file the answer begins, and how long the file is.

    The length is 0 where the server keeps it for itself.
    """
    if response.status != http.client.PARTIAL_CONTENT:
        return 0, int(response.headers.get('Content-Length') or 0)
    found = re.fullmatch(
        r'bytes (\d+)-\d+/(\d+)', response.headers.get('Content-Range', '')
    )
    if found is None or int(found[1]) != asked:
        raise HomeError('the server sent another piece than asked for')
    return asked, int(found[2])


def _pour(
    response: http.client.HTTPResponse, part: Path, start: int, total: int
) -> None:
    done = start
    with (
        part.open('r+b' if start else 'wb') as file,
        console.progress(
            total, part.name.removesuffix('.part'), start=start, size=True
        ) as advance,
    ):
        file.seek(start)
        while piece := response.read(CHUNK):
            file.write(piece)
            done += len(piece)
            advance(len(piece))
    if total and done != total:
        raise _BrokenError(f'{done} of {total} bytes came')


def _settle(
    entry: Entry, home: Home, path: Path, say: Callable[[str], None]
) -> str:
    """Give the file its name if it is the right one; say why it is."""
    part = _part(path)
    digest = verify.sha256_of(part)
    if not digest.startswith(home.sha256):
        _forget(part)
        raise UserError(
            f'{home.url} sent another file than the table knows: sha256 '
            f'{digest}, expected {home.sha256}. It is deleted; nothing '
            f'stands at {path}.'
        )
    if not home.trusted:
        say(f'  {_doubt(home)}; accepted because you said so')
        verify.record(path, digest)
    part.replace(path)
    _forget(part)
    return (
        f'verified: {verify.how(home.sha256)}.'
        if home.trusted
        else f'NOT verified; sha256 {digest} recorded.'
    )


def _part(path: Path) -> Path:
    return path.with_name(path.name + '.part')


def _remember(tag: Path, headers: Message) -> None:
    """Keep what tells this file from a later one at the same address."""
    etag = headers.get('ETag', '')
    mark = etag if etag.startswith('"') else headers.get('Last-Modified', '')
    if mark:
        tag.write_text(mark, encoding='utf-8')
    else:
        tag.unlink(missing_ok=True)


def _forget(part: Path) -> None:
    for path in (part, part.with_name(part.name + '.tag')):
        with suppress(FileNotFoundError):
            path.unlink()


class _SameOrSafer(urllib.request.HTTPRedirectHandler):
    """Follow redirects, but never out of https."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        before, after = urlsplit(req.full_url), urlsplit(newurl)
        if after.scheme not in ('https', before.scheme):
            raise HomeError(
                f'it redirects from {before.scheme} to {after.scheme}'
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_SameOrSafer)


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
    return False


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f'the server answers {error.code} {error.reason}'
    if isinstance(error, urllib.error.URLError):
        return f'no connection ({error.reason})'
    if isinstance(error, TimeoutError):
        return f'no answer within {TIMEOUT:g} s'
    return str(error) or type(error).__name__
