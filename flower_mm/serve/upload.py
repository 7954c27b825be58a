"""The photos of a request, kept in memory within limits."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from flower_mm.errors import printable
from flower_mm.serve import limits
from flower_mm.serve.limits import MB

FIELD = 'photo'
NO_PHOTO = (
    'the request has no photo: send it as the field "photo" of a form, or as '
    'the body with its type, such as Content-Type: image/jpeg'
)
FIELD_BYTES = 1024  # of a form field without a photo


@dataclass(frozen=True)
class Upload:
    """A photo in a request."""

    name: str  # given by the client; it is never used as a path
    data: bytes


async def read_photos(
    request: Request, take: Callable[[int], None]
) -> list[Upload]:
    """Read a form with photos, or one photo as the body.

    `take` is called with the size of each chunk and raises where the memory
    for it is lacking.
    """
    kind, _ = parse_options_header(request.headers.get('Content-Type'))
    if kind == b'multipart/form-data':
        photos = await _read_form(request, take)
    elif kind.startswith(b'image/'):
        data = b''.join([chunk async for chunk in _body(request, take)])
        photos = [Upload('photo', data)] if data else []
    else:
        raise HTTPException(415, NO_PHOTO)
    if not photos:
        raise HTTPException(400, NO_PHOTO)
    if len(photos) > limits.PHOTOS:
        raise HTTPException(
            413,
            f'more than {limits.PHOTOS} photos in a request: send the others '
            'in another request',
        )
    for photo in photos:
        if len(photo.data) > limits.PHOTO_BYTES:
            raise HTTPException(
                413,
                f'{photo.name} has more than {limits.PHOTO_BYTES // MB} MB',
            )
    return photos


class _Form(MultiPartParser):
    """Starlette's parser, which keeps files in memory and notes the end."""

    spool_max_size = limits.REQUEST_BYTES
    is_complete = False

    def on_end(self) -> None:
        self.is_complete = True


async def _read_form(
    request: Request, take: Callable[[int], None]
) -> list[Upload]:
    form = _Form(
        request.headers,
        _body(request, take),
        max_files=limits.PARTS,
        max_fields=limits.PARTS,
        max_part_size=FIELD_BYTES,
    )
    try:
        fields = await form.parse()
    except (MultiPartException, FormParserError) as error:
        is_too_large = str(error).startswith(('Too many', 'Part exceeded'))
        raise HTTPException(
            413 if is_too_large else 400, f'invalid form: {error}'
        ) from error
    if not form.is_complete:
        raise HTTPException(400, 'invalid form: its end is missing')
    return [
        Upload(printable(field.filename), await field.read())
        for field in fields.getlist(FIELD)
        # A field of a browser's form without a file has an empty name.
        if isinstance(field, UploadFile) and field.filename
    ]


async def _body(
    request: Request, take: Callable[[int], None]
) -> AsyncGenerator[bytes, None]:
    """Yield the body in chunks, within limits of size and time."""
    size = 0
    length = request.headers.get('Content-Length', '')
    if length.isdecimal():
        _check_size(int(length))
    stream = request.stream()
    now = asyncio.get_running_loop().time
    deadline = now() + limits.BODY_SECONDS
    while True:
        try:
            async with asyncio.timeout_at(
                min(deadline, now() + limits.PAUSE_SECONDS)
            ):
                chunk = await anext(stream)
        except TimeoutError:
            raise HTTPException(
                408, 'the request is too slow', {'Connection': 'close'}
            ) from None
        if not chunk:
            return
        size += len(chunk)
        _check_size(size)
        take(len(chunk))
        yield chunk


def _check_size(size: int) -> None:
    if size > limits.REQUEST_BYTES:
        raise HTTPException(
            413,
            f'more than {limits.REQUEST_BYTES // MB} MB in a request: send '
            'fewer photos at a time',
        )
