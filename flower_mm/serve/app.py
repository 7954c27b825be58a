"""The addresses of the page, and their responses."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any, TypeVar

from PIL import Image
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from flower_mm.decoding import BadPhotoError
from flower_mm.errors import printable
from flower_mm.inference.classifier import Classifier
from flower_mm.models.structure import backbone_of
from flower_mm.serve import limits
from flower_mm.serve.decoders import Decoders
from flower_mm.serve.limits import Capacity, RateLimit
from flower_mm.serve.own_page import OWN_HOST, load_page, require_same_origin
from flower_mm.serve.prediction_json import classify
from flower_mm.serve.upload import Upload, read_photos

T = TypeVar('T')

ADDRESSES = 'expected GET /, POST /predict or GET /health'
ERRORS = {
    404: f'unknown address: {ADDRESSES}',
    405: f'unknown method: {ADDRESSES}',
}


class Service:
    """The page of one model.

    torch uses all cores for one photo, so that a single thread runs the model.
    It takes one photo at a time: small and large requests take turns, and a
    prediction does not depend on other requests.
    """

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        with classifier.file.open('rb') as file:
            sha256 = hashlib.file_digest(file, 'sha256').hexdigest()
        model = classifier.model
        self._model: dict[str, Any] = {
            'name': printable(classifier.file.name),
            'sha256': sha256,
        }
        self.about = self._model | {
            'backbone': type(backbone_of(model.model)).__name__,
            'classes': classifier.classes,
            'top1': model.top1,
            'finds_unknown': classifier.finds_unknown,
        }
        self._page = load_page('flower_mm.serve')
        self._thread = ThreadPoolExecutor(1, 'model')
        self._decoders = Decoders(model.first)
        self._held = Capacity(
            limits.HELD_BYTES, 'the memory is full of other photos'
        )
        self._waiting = Capacity(limits.WAITING, 'too many photos wait')
        self._rate = RateLimit(limits.PHOTOS_A_MINUTE)
        self._served: Counter[str] = Counter()

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route('/', self.page),
                Route('/predict', self.predict, methods=['POST']),
                Route('/health', self.health),
            ],
            middleware=[OWN_HOST],
            exception_handlers={
                # The stubs want a handler of any Exception.
                HTTPException: self.refuse,  # type: ignore[dict-item]
                Exception: self.fail,
            },
        )

    def warm_up(self) -> None:
        """Classify a photo before the first request.

        This raises the errors of a model that cannot predict, and loads what
        the first request needs.
        """
        grey = Image.new('RGB', (640, 480), 'grey')
        png = BytesIO()
        grey.save(png, 'PNG')
        pixels = self._decoders.start(png.getvalue())
        for work in (
            (self._classifier, grey),
            (classify, self._classifier, 'grey', pixels, True),
        ):
            self._thread.submit(*work).result()

    def stop(self) -> None:
        """Finish the current requests, except photos that decode slowly."""
        self._decoders.stop()

    def close(self) -> None:
        """Wait for the photo that the model has, and cancel all others."""
        self._decoders.close()
        self._thread.shutdown(cancel_futures=True)

    async def page(self, _: Request) -> Response:
        return self._page

    async def health(self, _: Request) -> JSONResponse:
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
        require_same_origin(request)
        with_heat_map = request.query_params.get('heat') == '1'
        self._rate.check(1)  # before the photos are read
        try:
            with self._held.held() as hold, self._waiting.held() as wait:
                photos = await read_photos(request, hold)
                wait(len(photos))
                self._rate.take(len(photos))
                results = await _unless_disconnected(
                    request, self._classify_all(photos, with_heat_map)
                )
        except ClientDisconnect:
            return Response()  # the client has left
        self._served['requests'] += 1
        self._served['photos'] += len(results)
        self._served['bad'] += sum('error' in photo for photo in results)
        return JSONResponse({'photos': results, 'model': self._model})

    async def _classify_all(
        self, photos: list[Upload], with_heat_map: bool
    ) -> list[dict]:
        return [await self._classify(photo, with_heat_map) for photo in photos]

    async def _classify(self, photo: Upload, with_heat_map: bool) -> dict:
        loop = asyncio.get_running_loop()
        try:
            async with self._decoders.decoded(photo) as pixels:
                return await loop.run_in_executor(
                    self._thread,
                    classify,
                    self._classifier,
                    photo.name,
                    pixels,
                    with_heat_map,
                )
        except BadPhotoError as error:
            return {'name': photo.name, 'error': str(error)}
        except MemoryError:
            return {'name': photo.name, 'error': 'too large for the memory'}

    async def refuse(self, _: Request, error: HTTPException) -> JSONResponse:
        self._served['refused'] += 1
        return JSONResponse(
            {'error': ERRORS.get(error.status_code, error.detail)},
            error.status_code,
            error.headers,
        )

    async def fail(self, _: Request, error: Exception) -> JSONResponse:
        return JSONResponse(
            {'error': f'the model failed: {type(error).__name__}: {error}'},
            500,
        )


async def _unless_disconnected(
    request: Request, work: Coroutine[None, None, T]
) -> T:
    """Return the result, or raise when the client closes the connection."""
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait(
            (working, leaving), return_when=asyncio.FIRST_COMPLETED
        )
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        # This cancels what the thread has not begun.
        working.cancel()
        leaving.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())['type'] != 'http.disconnect':
        pass
