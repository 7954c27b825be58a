"""The addresses of the page that reviews labels, and their responses."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from flower_mm.decoding import BadPhotoError
from flower_mm.errors import UserError
from flower_mm.photo_bytes import sha256_of
from flower_mm.prepare.corrections import (
    ACTIONS,
    RELABEL,
    UNDO,
    ConflictError,
    Correction,
    Corrections,
    now,
)
from flower_mm.review.dataset_photos import ReviewedDataset
from flower_mm.review.pictures import SIDES, picture
from flower_mm.review.queue import Item
from flower_mm.serve import limits
from flower_mm.serve.own_page import OWN_HOST, load_page, require_same_origin

REQUEST_BYTES = 1024**2
MOST_DECISIONS = 1000  # of a request


@dataclass
class Review:
    """A dataset with its queue.

    Attributes:
        more: How many photos the queue leaves out.
        source: What the predictions come from.
        who: The name of the person who reviews.
        next_command: The command that applies the corrections.
    """

    dataset: ReviewedDataset
    items: list[Item]
    more: int
    source: str
    corrections: Corrections
    who: str
    next_command: str

    def app(self) -> Starlette:
        self._page = load_page('flower_mm.review', images="'self' data:")
        self._index = {
            photo.key: i for i, photo in enumerate(self.dataset.photos)
        }
        return Starlette(
            routes=[
                Route('/', self.page),
                Route('/queue', self.queue),
                Route('/photos/{photo:int}/{size}', self.photo),
                Route('/decisions', self.decisions),
                Route('/decide', self.decide, methods=['POST']),
            ],
            middleware=[OWN_HOST],
            exception_handlers={
                # The stubs want a handler of any Exception.
                HTTPException: _refuse,  # type: ignore[dict-item]
                UserError: _explain,  # type: ignore[dict-item]
            },
        )

    async def page(self, _: Request) -> Response:
        return self._page

    async def queue(self, _: Request) -> Response:
        await run_in_threadpool(self.corrections.refresh)
        dataset = self.dataset
        return JSONResponse(
            {
                'dataset': Path(dataset.root).resolve().name,
                'classes': dataset.classes,
                'who': self.who,
                'source': self.source,
                'more': self.more,
                'conflicts': dataset.conflicts,
                'command': self.next_command,
                'items': [self._item(item) for item in self.items],
                'photos': self._shown_photos(),
                'lines': len(self.corrections.lines),
            }
        )

    def _item(self, item: Item) -> dict:
        photo = self.dataset.photos[item.photo]
        return {
            'photo': item.photo,
            'split': photo.split,
            'name': photo.name,
            'label': photo.label,
            'reasons': item.reasons,
            'predicted': item.predicted,
            'confidence': item.confidence,
            'label_probability': item.label_probability,
            'duplicates': item.duplicates,
            'of_label': item.of_label,
            'of_predicted': item.of_predicted,
            **self._decision(item.photo),
        }

    def _shown_photos(self) -> dict[int, dict]:
        """Return the photos beside an item that the page names."""
        shown = {
            i
            for item in self.items
            for i in (*item.duplicates, *item.of_label, *item.of_predicted)
        }
        photos = self.dataset.photos
        return {
            i: {
                'split': photos[i].split,
                'name': photos[i].name,
                'label': photos[i].label,
            }
            for i in sorted(shown)
        }

    def _decision(self, photo: int) -> dict[str, Any]:
        """Return what was decided about a photo, and its version."""
        key = self.dataset.photos[photo].key
        decision = self.corrections.decision(key)
        return {
            'version': self.corrections.version(key),
            'decision': decision
            and {
                'action': decision.action,
                'label': decision.new_label,
                'who': decision.who,
                'when': decision.when,
            },
        }

    async def photo(self, request: Request) -> Response:
        number, size = (
            request.path_params['photo'],
            request.path_params['size'],
        )
        if number >= len(self.dataset.photos) or size not in SIDES:
            raise HTTPException(404, 'unknown photo')
        file = self.dataset.photos[number].file
        try:
            jpeg = await run_in_threadpool(picture, file, size)
        except BadPhotoError as error:
            raise HTTPException(422, str(error)) from None
        return Response(jpeg, media_type='image/jpeg')

    async def decisions(self, request: Request) -> Response:
        """Tell what was decided since a line of the file."""
        try:
            after = int(request.query_params.get('after', '0'))
        except ValueError:
            raise HTTPException(400, 'invalid after') from None
        await run_in_threadpool(self.corrections.refresh)
        lines = self.corrections.lines
        if not 0 <= after <= len(lines):
            after = 0  # somebody has shortened the file
        keys = dict.fromkeys(line.key for line in lines[after:])
        return JSONResponse(self._answer(list(keys)))

    def _answer(self, keys: list) -> dict:
        photos = [self._index[key] for key in keys if key in self._index]
        return {
            'decisions': [
                {'photo': photo, **self._decision(photo)} for photo in photos
            ],
            'lines': len(self.corrections.lines),
        }

    async def decide(self, request: Request) -> Response:
        """Write decisions, and answer when they are on the disk."""
        require_same_origin(request)
        try:
            body = json.loads(await _body(request))
            action, label = body['action'], body.get('label')
            versions = {
                _number(item['photo'], len(self.dataset.photos)): _number(
                    item['version']
                )
                for item in body['items']
            }
            if action not in ACTIONS or not len(versions) > 0:
                raise ValueError
            if action == RELABEL:
                label = self.dataset.classes[_number(label)]
            else:
                label = ''
        except ClientDisconnect:
            return Response()
        except (ValueError, TypeError, LookupError, RecursionError):
            raise HTTPException(400, 'invalid decision') from None
        if len(versions) > MOST_DECISIONS:
            raise HTTPException(
                400, f'more than {MOST_DECISIONS} photos at a time'
            )
        try:
            keys = await run_in_threadpool(
                self._write, versions, action, label
            )
        except ConflictError as error:
            answer = self._answer(error.keys)
            return JSONResponse(
                {'error': 'somebody else has decided about this', **answer},
                409,
            )
        return JSONResponse(self._answer(keys))

    def _write(
        self, versions: dict[int, int], action: str, label: str
    ) -> list:
        when = now()
        corrections = []
        for number in versions:
            photo = self.dataset.photos[number]
            try:
                sha256 = sha256_of(photo.file)
            except OSError as error:
                raise UserError(
                    f'{photo.name} cannot be read: {error.strerror}'
                ) from error
            corrections.append(
                Correction(
                    when,
                    self.who,
                    photo.split,
                    photo.name,
                    sha256,
                    self.dataset.classes[photo.label],
                    action,
                    label,
                )
            )
        known = {self.dataset.photos[i].key: v for i, v in versions.items()}

        def is_known(key: tuple[str, str], version: int) -> bool:
            # An undo of what somebody else has undone would undo more.
            withdraws_nothing = (
                action == UNDO and not self.corrections.decision(key)
            )
            return known[key] == version and not withdraws_nothing

        self.corrections.add(corrections, is_known)
        return list(known)


def _number(value: object, limit: int | None = None) -> int:
    """Return a number from 0 on; a negative one would count from the end."""
    if type(value) is not int or value < 0:
        raise ValueError
    if limit is not None and value >= limit:
        raise ValueError
    return value


async def _body(request: Request) -> bytes:
    body = b''
    try:
        async with asyncio.timeout(limits.PAUSE_SECONDS):
            async for piece in request.stream():
                body += piece
                if len(body) > REQUEST_BYTES:
                    raise HTTPException(413, 'request too large')
    except TimeoutError:
        raise HTTPException(408, 'the request is too slow') from None
    return body


async def _refuse(_: Request, error: HTTPException) -> JSONResponse:
    return JSONResponse(
        {'error': error.detail}, error.status_code, error.headers
    )


async def _explain(_: Request, error: UserError) -> JSONResponse:
    return JSONResponse({'error': str(error)}, 500)
