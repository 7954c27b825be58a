"""What best.pth says of photos, from Python.

from flower_mm import Classifier

classifier = Classifier('best.pth')
print(classifier('photo.jpg').label)

Importing this takes no time: torch comes in with the first Classifier.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, overload

from flower_mm.errors import UserError, printable
from flower_mm.layout import RunDir

if TYPE_CHECKING:
    import numpy as np

    from flower_mm.inference.photo_reader import Photo

BATCH = 64  # photos, as in our configs' test_dataloader
# Threads that read photos while the model computes. One of 200 million
# pixels takes more than a gigabyte while it is read.
READERS = min(4, os.cpu_count() or 1)
NEEDED = (
    'Predicting takes best.pth of a training, which holds classes and config '
    'as well. From weights alone:\n'
    'flower-mm train CONFIG --data-root DATASET --weights FILE'
)
# A pipeline that draws does so from the process's generators.
_DRAWING = threading.Lock()


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model makes of one photo."""

    photo: str  # its path; '' of one that has none
    probabilities: dict[str, float]  # by class, in the order of training

    @property
    def label(self) -> str:
        return max(self.probabilities, key=self.probabilities.__getitem__)

    @property
    def confidence(self) -> float:
        return self.probabilities[self.label]

    def top(self, count: int) -> list[tuple[str, float]]:
        """The likeliest classes, the first one first."""
        ranked = sorted(self.probabilities.items(), key=lambda item: -item[1])
        return ranked[:count]


@dataclass(frozen=True, slots=True)
class Unread:
    """A photo that could not be used, and why."""

    photo: str
    why: str


class Classifier:
    """A trained model, from its best.pth alone.

    Several threads may use one at the same time.

    Args:
        source: best.pth, best.safetensors, or a folder that tools/share.py
            made.
        device: auto, cpu, cuda, cuda:N or mps.
        batch_size: Photos at a time.
        amp: In bfloat16, also where validation was not.
        imports: Modules of your own that register a backbone or a transform
            of this model. They are imported; a file never decides that.
    """

    def __init__(
        self,
        source: str | Path,
        device: str = 'auto',
        batch_size: int = BATCH,
        amp: bool = False,
        imports: Sequence[str] = (),
    ) -> None:
        from flower_mm.inference.model import TrainedModel
        from flower_mm.inference.photo_reader import PhotoReader
        from flower_mm.user_modules import import_modules
        from flower_mm.weights.checked_config import NoConfigError

        if batch_size < 1:
            raise UserError(f'a batch of {batch_size} photos is none')
        self.file = _file_of(Path(source))
        import_modules(imports)
        try:
            self.model = TrainedModel(self.file, device, amp)
        except NoConfigError as error:
            raise UserError(f'{error}\n{NEEDED}') from error
        self.classes: list[str] = self.model.classes
        self.batch_size = batch_size
        if len(set(self.classes)) < len(self.classes):
            raise UserError(f'{self.file} cannot predict: a class is twice')
        try:
            self._reader = PhotoReader(self.model.first)
        except UserError as error:
            raise UserError(f'{self.file} cannot predict: {error}') from None
        self._computing = threading.Lock()

    @overload
    def __call__(self, photos: Photo) -> Prediction: ...

    @overload
    def __call__(self, photos: Sequence[Photo]) -> list[Prediction]: ...

    def __call__(
        self, photos: Photo | Sequence[Photo]
    ) -> Prediction | list[Prediction]:
        """Predict one photo, or several in a list or tuple.

        A photo is a path, a PIL image, the bytes of a file, or an array
        (height, width, 3) of uint8 in the order red, green, blue; an array
        of four dimensions is several. UserError names the first that cannot
        be used.
        """
        several = (
            isinstance(photos, list | tuple) or getattr(photos, 'ndim', 0) == 4
        )
        found = []
        with closing(self.each(photos if several else [photos])) as results:
            for result in results:
                if isinstance(result, Unread):
                    name = result.photo or (
                        f'photo {len(found)}' if several else 'the photo'
                    )
                    raise UserError(printable(f'{name}: {result.why}', 500))
                found.append(result)
        return found if several else found[0]

    def each(self, photos: Iterable[Photo]) -> Iterator[Prediction | Unread]:
        """Predict photos in their order, passing over those that are bad.

        The next photos are read while the model looks at these.
        """
        # A text is no list of photos of one character.
        photos = iter([photos] if isinstance(photos, str | bytes) else photos)
        pool = ThreadPoolExecutor(READERS)
        batch, good = [], 0
        try:
            # As many as the model has and as many again.
            ahead = deque(
                pool.submit(self._read, photo)
                for photo in islice(photos, 2 * self.batch_size)
            )
            while ahead:
                item = ahead.popleft().result()
                ahead.extend(
                    pool.submit(self._read, photo)
                    for photo in islice(photos, 1)
                )
                batch.append(item)
                good += not isinstance(item[1], Unread)
                if good in (0, self.batch_size) or not ahead:
                    yield from self._predicted(batch)
                    batch, good = [], 0
        finally:
            pool.shutdown(cancel_futures=True)

    def prepared(self, photo: Photo) -> dict:
        """What the model is given of a photo; BadPhotoError if it is none."""
        pixels = self._reader.read(photo)
        with _DRAWING:
            return self.model.prepared(pixels)

    def _read(self, photo: Photo) -> tuple[str, dict | Unread]:
        """A photo's name, and what the model is given of it."""
        from flower_mm.decoding import BadPhotoError
        from flower_mm.inference.photo_reader import name_of

        name = name_of(photo)
        try:
            return name, self.prepared(photo)
        except BadPhotoError as error:
            return name, Unread(name, str(error))

    def _predicted(
        self, batch: list[tuple[str, dict | Unread]]
    ) -> Iterator[Prediction | Unread]:
        good = [item for _, item in batch if isinstance(item, dict)]
        scores = iter(self._scores(good).tolist() if good else ())
        for name, item in batch:
            if isinstance(item, Unread):
                yield item
            else:
                found = dict(zip(self.classes, next(scores), strict=True))
                yield Prediction(name, found)

    def _scores(self, photos: list[dict]) -> np.ndarray:
        # A model keeps notes between its layers, and uses all cores alone.
        with self._computing:
            scores = self.model.scores(photos)
        if (scores != scores).any():
            raise UserError(
                f'{self.file} predicts NaN, so its training failed: use '
                'another file'
            )
        return scores


def _file_of(source: Path) -> Path:
    """The file with the weights; of a folder, the one that it is about."""
    if not source.is_dir():
        return source
    for name in (RunDir.BEST_SAFETENSORS, RunDir.BEST):
        if (source / name).is_file():
            return source / name
    raise UserError(
        f'{source} holds no best.pth and no best.safetensors; give the file '
        'itself'
    )
