"""The photos of a request, counted while they come in, and kept in memory."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.exceptions import HTTPException
from starlette.requests import Request

from flower_mm.errors import printable
from flower_mm.serve import limits
from flower_mm.serve.limits import MB

FIELD = b'photo'
NO_PHOTO = (
    'no photo in the request: send it as the field "photo" of a form, or as '
    'the body under its type, such as Content-Type: image/jpeg'
)


@dataclass(frozen=True)
class Upload:
    name: str  # as the client has it; nothing is ever opened by it
    data: bytes


async def photos_of(
    request: Request, take: Callable[[int], None]
) -> list[Upload]:
    """Read a form with photos, or one photo as it is.

    `take` is called with the bytes that come to lie in memory and raises
    where there is no room for them; so does this, with the status, where the
    client has to change something.
    """
    kind, options = parse_options_header(request.headers.get('Content-Type'))
    if kind == b'multipart/form-data':
        form = _Form(options.get(b'boundary', b''))
        await _pour(request, take, form.write)
        found = form.end()
    elif kind.startswith(b'image/'):
        part = _Part('photo')
        await _pour(request, take, part.write)
        found = [part.upload()] if part.size else []
    else:
        raise HTTPException(415, NO_PHOTO)
    if not found:
        raise HTTPException(400, NO_PHOTO)
    return found


async def _pour(
    request: Request,
    take: Callable[[int], None],
    into: Callable[[bytes], object],
) -> None:
    """Hand the body on as it comes in, and wait for no client for ever."""
    size = 0
    said = request.headers.get('Content-Length', '')
    if said.isdecimal():  # it may be a lie; what is too large is too large
        _check_request(int(said))
    stream = request.stream()
    try:
        async with asyncio.timeout(limits.BODY_SECONDS):
            while True:
                async with asyncio.timeout(limits.PAUSE_SECONDS):
                    chunk = await anext(stream)
                if not chunk:
                    return
                size += len(chunk)
                _check_request(size)
                take(len(chunk))
                into(chunk)
    except TimeoutError:
        raise HTTPException(
            408, 'the request came in too slowly', {'Connection': 'close'}
        ) from None


def _check_request(size: int) -> None:
    if size > limits.REQUEST_BYTES:
        raise HTTPException(
            413,
            f'a request may have {limits.REQUEST_BYTES // MB} MB: send fewer '
            'photos at a time',
        )


class _Part:
    """A photo that comes in."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._data = bytearray()

    @property
    def size(self) -> int:
        return len(self._data)

    def write(self, data: bytes) -> None:
        self._data += data
        if self.size > limits.PHOTO_BYTES:
            raise HTTPException(
                413,
                f'{self._name} has more than {limits.PHOTO_BYTES // MB} MB',
            )

    def upload(self) -> Upload:
        return Upload(self._name, bytes(self._data))


class _Form:
    """The parts of a form that are named `photo` and have a file name.

    The library's own forms go to files on the disk.
    """

    def __init__(self, boundary: bytes) -> None:
        self._photos: list[_Part] = []
        self._parts = 0
        self._whole = False
        self._open: _Part | None = None
        self._field, self._value = b'', b''
        self._disposition = b''
        if not boundary:
            raise HTTPException(400, 'a form without a boundary')
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    'on_part_begin': self._begin,
                    'on_header_field': self._add_to_field,
                    'on_header_value': self._add_to_value,
                    'on_header_end': self._end_header,
                    'on_headers_finished': self._end_headers,
                    'on_part_data': self._add_data,
                    'on_part_end': self._end_part,
                    'on_end': self._end,
                },
            )
        except FormParserError as error:
            raise _damaged(error) from error

    def write(self, data: bytes) -> None:
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise _damaged(error) from error

    def end(self) -> list[Upload]:
        if not self._whole:
            raise _damaged('its end is missing')
        return [part.upload() for part in self._photos]

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > limits.PARTS:
            raise HTTPException(413, f'more than {limits.PARTS} parts')
        self._disposition = b''

    def _add_to_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _add_to_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._field.lower() == b'content-disposition':
            self._disposition = self._value
        self._field, self._value = b'', b''

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b'filename')
        # An empty name is a form's field that nothing was chosen for.
        if options.get(b'name') == FIELD and name:
            self._open = _Part(printable(name.decode('utf-8', 'replace')))

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._open:
            self._open.write(data[start:end])

    def _end_part(self) -> None:
        if self._open:
            self._photos.append(self._open)
            self._open = None
        if len(self._photos) > limits.PHOTOS:
            raise HTTPException(
                413,
                f'more than {limits.PHOTOS} photos in a request: send the '
                'others in another',
            )

    def _end(self) -> None:
        self._whole = True


def _damaged(why: object) -> HTTPException:
    return HTTPException(400, f'a damaged form: {why}')
