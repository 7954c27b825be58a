"""Read the bytes of a listed photo: a file, a part of a tar file, a URL."""

import functools
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flower_mm.commands import install_command
from flower_mm.decoding import MAX_BYTES, BadPhotoError, read_bytes
from flower_mm.errors import UserError, printable
from flower_mm.inference.work_list import URLS, Photo
from flower_mm.links import is_inside

TRIES = 3
SECONDS = 30.0  # for an answer of a server


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses redirects, which could lead out of the prefix."""

    def redirect_request(self, *_: object) -> None:
        return None


def bytes_of(photo: Photo, prefix: str) -> bytes:
    """Return the bytes; raise BadPhotoError, or UserError without network."""
    if photo.error:
        raise BadPhotoError(photo.error)
    if photo.file.startswith(URLS):
        return _download(photo.file)
    if photo.offset is not None:
        return _in_tar(photo.file, photo.offset, photo.size)
    if prefix and not is_inside(photo.file, prefix):
        raise BadPhotoError('refused: a link out of the prefix')
    return read_bytes(photo.file)


def _in_tar(file: str, offset: int, size: int) -> bytes:
    if size > MAX_BYTES:
        raise BadPhotoError(f'larger than {MAX_BYTES // 1024**2} MB')
    if not size:
        raise BadPhotoError('empty file')
    try:
        with Path(file).open('rb', buffering=0) as tar:
            tar.seek(offset)
            data = tar.read(size)
    except OSError as error:
        # All photos of the file would get this error.
        raise UserError(f'{file} cannot be read: {error.strerror}') from error
    if len(data) != size:
        raise UserError(f'{file} has become shorter than its list of photos')
    return data


def _download(url: str) -> bytes:
    """Try a busy server again; errors about one photo are its own."""
    get = _get_s3 if url.startswith('s3://') else _get_http
    for attempt in range(TRIES):
        time.sleep(attempt and 2.0**attempt)
        try:
            data = get(url)
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code != 429:
                raise BadPhotoError(f'HTTP status {error.code}') from error
            reason = f'HTTP status {error.code}'
        except (FileNotFoundError, PermissionError, ValueError) as error:
            raise BadPhotoError(f'cannot be opened ({error})') from error
        except UserError:
            raise
        except Exception as error:  # each library has its own
            reason = str(error) or type(error).__name__
        else:
            if len(data) > MAX_BYTES:
                raise BadPhotoError(f'larger than {MAX_BYTES // 1024**2} MB')
            if not data:
                raise BadPhotoError('empty file')
            return data
    raise UserError(
        f'{printable(url)} cannot be downloaded: {printable(reason)}.\n'
        'The same command continues where this one has stopped'
    )


def _get_http(url: str) -> bytes:
    opener = urllib.request.build_opener(_NoRedirect)
    encoded = quote(url, safe=":/?#[]@!$&'()*+,;=%", errors='surrogateescape')
    with opener.open(encoded, timeout=SECONDS) as answer:
        return answer.read(MAX_BYTES + 1)


def _get_s3(url: str) -> bytes:
    return _s3().cat_file(url, start=0, end=MAX_BYTES + 1)


@functools.cache
def _s3() -> Any:
    try:
        import fsspec

        return fsspec.filesystem('s3')
    except ImportError as error:
        raise UserError(
            's3:// needs the package s3fs.\n'
            f'Install it: {install_command("remote")}'
        ) from error
