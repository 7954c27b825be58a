"""Read ranges of the files below an https:// or s3:// address."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flower_mm.commands import install_command
from flower_mm.errors import UserError, printable
from flower_mm.shard_index import ShardError

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

TIMEOUT = 30.0  # seconds without a byte
LONGEST = 300.0  # seconds for a range, which may come byte by byte
PAUSES = (1.0, 4.0)  # seconds before the second and the third attempt
TEMPORARY = (408, 425, 429)  # of the answers from 400 to 499
LOOPBACK = ('localhost', '127.0.0.1', '::1')


class _FinalError(Exception):
    """Another attempt would fail as well."""


def normal_address(text: str) -> str:
    """Return an address without its last slash; refuse other schemes."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise UserError(
            f'invalid address {printable(text)}: {error}'
        ) from error
    fault = ''
    if not text.isprintable() or ' ' in text:
        fault = 'expected no blanks or control characters'
    elif parts.scheme == 'http' and parts.hostname not in LOOPBACK:
        fault = 'expected https://, which nobody can change on its way'
    elif parts.scheme not in ('http', 'https', 's3') or not parts.hostname:
        fault = 'expected https://HOST/FOLDER or s3://BUCKET/FOLDER'
    elif parts.username is not None or parts.query or parts.fragment:
        fault = 'expected no password, query or fragment (see docs/photos.md)'
    elif {'.', '..'} & set(parts.path.split('/')) or '\\' in text:
        fault = 'expected a folder without . and ..'
    if fault:
        raise UserError(f'invalid address {printable(text)}: {fault}')
    return text.rstrip('/')


class RemoteFolder:
    """The files below an address that the user has named.

    One object per process: connections do not survive a fork.
    """

    def __init__(self, address: str) -> None:
        self.address = normal_address(address)
        is_s3 = self.address.startswith('s3:')
        self._files = _s3() if is_s3 else _http()

    def read(self, name: str, start: int, end: int) -> bytes:
        """Return these bytes of a file, or raise ShardError.

        A failing server gets three attempts.
        """
        return self._retry(name, start, end, end - start)

    def read_small(self, name: str, most: int) -> bytes:
        """Return a whole file of at most this number of bytes."""
        return self._retry(name, 0, most, 0)

    def _retry(self, name: str, start: int, end: int, exactly: int) -> bytes:
        fault = ''
        for pause in (*PAUSES, 0):
            try:
                data = self._files.cat_file(
                    f'{self.address}/{name}', start=start, end=end
                )
                if not exactly or len(data) == exactly:
                    return data
                fault = (
                    f'expected {exactly} bytes from byte {start}, got '
                    f'{len(data)}: the file was cut short or the connection '
                    'ended'
                )
            except Exception as error:  # aiohttp and botocore have many types
                fault, is_final = _explain(error)
                if is_final:
                    break
            time.sleep(pause)
        raise ShardError(
            f'{self.address}/{name} cannot be read: {fault}.\n'
            'Check the address and the network, then run this command again; '
            'a training continues with --resume'
        )


def _explain(error: Exception) -> tuple[str, bool]:
    """Return a message, and whether another attempt is useless."""
    if isinstance(error, _FinalError):
        return str(error), True
    if isinstance(error, FileNotFoundError):
        return 'the server has no such file', True
    if isinstance(error, TimeoutError):
        return f'no answer within {TIMEOUT:.0f} s', False
    status = getattr(error, 'status', 0)  # of aiohttp
    text = printable(str(error).strip() or type(error).__name__)
    is_final = isinstance(error, PermissionError) or (
        400 <= status < 500 and status not in TEMPORARY
    )
    if type(error).__name__ == 'NoCredentialsError':  # of botocore
        text = 'no credentials: set AWS_PROFILE, or FSSPEC_S3_ANON=true'
        is_final = True
    return text, is_final


def _http() -> Any:
    with _needs_extra():
        import aiohttp
        from fsspec.implementations.http import HTTPFileSystem

    async def strict(
        request: 'ClientRequest', handler: 'ClientHandlerType'
    ) -> 'ClientResponse':
        response = await handler(request)
        wanted = request.headers.get('Range', '')
        fault = ''
        if 300 <= response.status < 400:
            # To a host that the user has not named, such as this machine.
            target = printable(response.headers.get('Location', '?'))
            fault = f'the server redirects to {target}; name that address'
        elif response.status == 200 and wanted:
            fault = 'the server does not support range requests'
        elif response.status == 206:
            first, _, last = wanted.removeprefix('bytes=').partition('-')
            length = response.content_length
            if length is None or length > int(last) - int(first) + 1:
                fault = 'the server sends another range'
        if fault:
            response.close()
            raise _FinalError(fault)
        return response

    return HTTPFileSystem(
        skip_instance_cache=True,
        use_listings_cache=False,
        headers={'Accept-Encoding': 'identity'},  # ranges of the file itself
        client_kwargs={
            'trust_env': True,  # proxies, and passwords in ~/.netrc
            'middlewares': (strict,),
            'timeout': aiohttp.ClientTimeout(
                total=LONGEST, sock_connect=TIMEOUT, sock_read=TIMEOUT
            ),
        },
    )


def _s3() -> Any:
    with _needs_extra():
        from s3fs import S3FileSystem

    files = S3FileSystem(
        skip_instance_cache=True,
        use_listings_cache=False,
        config_kwargs={
            'connect_timeout': TIMEOUT,
            'read_timeout': TIMEOUT,
            'retries': {'total_max_attempts': 1},  # RemoteFolder repeats
        },
    )
    files.retries = 1
    return files


@contextmanager
def _needs_extra() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise UserError(
            f'reading from a server needs the package {error.name}: '
            + install_command('remote')
        ) from error
