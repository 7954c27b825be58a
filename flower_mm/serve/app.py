"""The addresses of the page, and what each answers."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import TypeVar

from PIL import Image
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from flower_mm.decoding import BadPhotoError
from flower_mm.errors import printable
from flower_mm.inference.classifier import Classifier
from flower_mm.models.structure import backbone_of
from flower_mm.serve import limits
from flower_mm.serve.decoders import Decoders
from flower_mm.serve.limits import Rate, Room
from flower_mm.serve.origin_check import guarded
from flower_mm.serve.page import Page
from flower_mm.serve.prediction_json import answer
from flower_mm.serve.upload import Upload, photos_of

T = TypeVar('T')

SAID = {  # what the library says of an address in one word
    404: 'nothing here; there are GET /, POST /predict and GET /health',
    405: 'not asked in this way; there are GET /, POST /predict and GET '
    '/health',
}


class Service:
    """One model, and who asks it.

    torch uses all cores for one photo already: a single thread has the model.
    It takes photos one at a time, so that requests of one photo and of many
    take turns, and an answer does not depend on what else is asked.
    """

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        with classifier.file.open('rb') as file:
            sha256 = hashlib.file_digest(file, 'sha256').hexdigest()
        model = classifier.model
        self._model = {
            'name': printable(classifier.file.name),
            'sha256': sha256,
        }
        self.about = self._model | {
            'backbone': type(backbone_of(model.model)).__name__,
            'classes': classifier.classes,
            'top1': model.top1,
        }
        self._thread = ThreadPoolExecutor(1, 'model')
        self._decoders = Decoders(model.first)
        self._held = Room(
            limits.HELD_BYTES, 'other photos take the memory; try again soon'
        )
        self._waiting = Room(
            limits.WAITING, 'too many photos wait; try again soon'
        )
        self._rate = Rate(limits.PHOTOS_A_MINUTE)
        self._served: Counter[str] = Counter()

    def app(self) -> ASGIApp:
        page = Page()
        return guarded(
            Starlette(
                routes=[
                    Route('/', page.get),
                    Route('/predict', self.predict, methods=['POST']),
                    Route('/health', self.health),
                ],
                exception_handlers={
                    HTTPException: self.refuse,
                    Exception: self.fail,
                },
            )
        )

    def warm_up(self) -> None:
        """Let the model see a photo before anybody waits for one.

        What cannot predict is told here; the thread, its memory and what
        draws pictures are ready for the first who asks.
        """
        grey = Image.new('RGB', (640, 480), 'grey')
        png = BytesIO()
        grey.save(png, 'PNG')
        pixels = self._decoders.start(png.getvalue())
        for work in (
            (self._classifier, grey),
            (answer, self._classifier, 'grey', pixels, True),
        ):
            self._thread.submit(*work).result()

    def stop(self) -> None:
        """Answer what is under way, if it takes no long time to decode."""
        self._decoders.stop()

    def close(self) -> None:
        """Wait for the photo that the model has, and for no other."""
        self._decoders.close()
        self._thread.shutdown(cancel_futures=True)

    async def health(self, request: Request) -> JSONResponse:
        return JSONResponse(
            {
                'status': 'ok',
                'model': self.about,
                'served': {
                    name: self._served[name]
                    for name in ('requests', 'refused', 'photos', 'bad')
                },
                'under_way': {
                    'photos': self._waiting.taken,
                    'bytes': self._held.taken,
                },
                'limits': {
                    'photo_bytes': limits.PHOTO_BYTES,
                    'request_bytes': limits.REQUEST_BYTES,
                    'pixels': limits.PIXELS,
                    'photos': limits.PHOTOS,
                    'photos_a_minute': limits.PHOTOS_A_MINUTE,
                },
            }
        )

    async def predict(self, request: Request) -> Response:
        heat = request.query_params.get('heat') == '1'
        self._rate.check(1)  # before the photos are read
        try:
            with self._held.held() as hold, self._waiting.held() as wait:
                photos = await photos_of(request, hold)
                wait(len(photos))
                self._rate.take(len(photos))
                found = await _while_there(
                    request, self._answers(photos, heat)
                )
        except ClientDisconnect:
            return Response()  # which nobody gets
        self._served['requests'] += 1
        self._served['photos'] += len(found)
        self._served['bad'] += sum('error' in photo for photo in found)
        return JSONResponse({'photos': found, 'model': self._model})

    async def _answers(self, photos: list[Upload], heat: bool) -> list[dict]:
        return [await self._answer(photo, heat) for photo in photos]

    async def _answer(self, photo: Upload, heat: bool) -> dict:
        """Its classes, or why it cannot be used."""
        loop = asyncio.get_running_loop()
        try:
            async with self._decoders.decoded(photo) as pixels:
                return await loop.run_in_executor(
                    self._thread,
                    *(answer, self._classifier, photo.name, pixels, heat),
                )
        except BadPhotoError as error:
            return {'name': photo.name, 'error': str(error)}
        except MemoryError:
            return {'name': photo.name, 'error': 'too large for the memory'}

    async def refuse(self, _: Request, error: HTTPException) -> JSONResponse:
        self._served['refused'] += 1
        return JSONResponse(
            {'error': SAID.get(error.status_code, error.detail)},
            error.status_code,
            error.headers,
        )

    async def fail(self, _: Request, error: Exception) -> JSONResponse:
        return JSONResponse(
            {'error': f'the model failed: {type(error).__name__}: {error}'},
            500,
        )


async def _while_there(request: Request, work: Coroutine[None, None, T]) -> T:
    """Its result, or ClientDisconnect as soon as nobody waits for it."""
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_gone(request))
    try:
        await asyncio.wait(
            (working, leaving), return_when=asyncio.FIRST_COMPLETED
        )
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        # What the thread has not begun is not begun any more.
        working.cancel()
        leaving.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())['type'] != 'http.disconnect':
        pass
