"""Classify photos with best.pth, from Python.

from flower_mm import Classifier

classifier = Classifier('best.pth')
print(classifier('photo.jpg').label)

The import is quick: torch is imported by the first Classifier.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from flower_mm.errors import UserError, printable
from flower_mm.layout import RunDir

if TYPE_CHECKING:
    import numpy as np

    from flower_mm.inference.photo_reader import Photo

BATCH = 64  # photos, as in our configs' test_dataloader
NEEDED = (
    'Expected best.pth of a training, with classes and config. To start a '
    'training from weights:\n'
    'flower-mm train CONFIG --data DATASET --weights FILE'
)


@dataclass(frozen=True, slots=True)
class Prediction:
    """The class probabilities of a photo."""

    photo: str  # its path, or ''
    probabilities: dict[str, float]  # by class, in the order of the training
    # With `coverage`: contains the true class for that share of photos.
    classes: tuple[str, ...] = ()
    # How unlike the training photos, if the file can tell.
    unlikeness: float | None = None
    # Whether it is more unlike than 95 % of the validation photos.
    unknown: bool = False

    @property
    def label(self) -> str:
        """The most probable class."""
        return max(self.probabilities, key=self.probabilities.__getitem__)

    @property
    def confidence(self) -> float:
        """The probability of `label`."""
        return self.probabilities[self.label]

    def top(self, count: int) -> list[tuple[str, float]]:
        """Return the most probable classes, the first one first."""
        ranked = sorted(self.probabilities.items(), key=lambda item: -item[1])
        return ranked[:count]


@dataclass(frozen=True, slots=True)
class Unread:
    """A photo that could not be classified, and the reason."""

    photo: str
    why: str


class Classifier:
    """A trained model, loaded from best.pth.

    Several threads can use it at the same time.

    Args:
        source: best.pth, best.safetensors, or a folder of `flower-mm share`
            or of a training.
        device: auto, cpu, cuda, cuda:N or mps.
        batch_size: Photos in a batch.
        amp: Compute in bfloat16, also if validation did not.
        imports: Modules of your own that register a backbone or a transform
            of this model. Only these are imported, never one that a file
            names.
        calibrated: Scale the probabilities with the temperature in the file.
        coverage: Add to each prediction `classes`, the smallest set that
            contains the true class for this share of photos like those of
            the validation, between 0 and 1.
        per_class: Let the share hold for the photos of each class.
        precision: Choose `working_point`, the confidence above which this
            share of predictions is right on the validation photos; by
            default that of `flower-mm set`, if any.
        find_unknown: Mark photos that are unlike the training photos, if the
            file can tell.
    """

    def __init__(
        self,
        source: str | Path,
        device: str = 'auto',
        batch_size: int = BATCH,
        amp: bool = False,
        imports: Sequence[str] = (),
        calibrated: bool = True,
        coverage: float | None = None,
        per_class: bool = False,
        precision: float | None = None,
        find_unknown: bool = True,
    ) -> None:
        from flower_mm.inference.model import TrainedModel
        from flower_mm.inference.model_input import InputReader
        from flower_mm.user_modules import import_modules
        from flower_mm.weights.checked_config import NoConfigError

        if batch_size < 1:
            raise UserError(f'batch_size must be at least 1, got {batch_size}')
        self.file = file_of(Path(source))
        import_modules(imports)
        try:
            self.model = TrainedModel(
                self.file, device, amp, calibrated=calibrated
            )
        except NoConfigError as error:
            raise UserError(f'{error}\n{NEEDED}') from error
        self.classes: list[str] = self.model.classes
        if not find_unknown:
            self.model.known = None
        self.batch_size = batch_size
        if (coverage or precision) and not calibrated:
            raise UserError(
                'coverage and precision need calibrated probabilities'
            )
        self._limits = self._limits_for(coverage, per_class)
        if precision is None and calibrated:
            precision = self.model.calibration.precision
        self.working_point = (
            self.model.calibration.working_point(precision)
            if precision
            else None
        )
        if len(set(self.classes)) < len(self.classes):
            raise UserError(f'invalid classes in {self.file}: duplicate names')
        self._reader = InputReader(self.model, batch_size)
        self._computing = threading.Lock()

    # A str is one photo, and also a Sequence of str.
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, photos: Photo
    ) -> Prediction: ...

    @overload
    def __call__(self, photos: Sequence[Photo]) -> list[Prediction]: ...

    def __call__(
        self, photos: Photo | Sequence[Photo]
    ) -> Prediction | list[Prediction]:
        """Classify one photo, or several in a list or tuple.

        A photo is a path, a PIL image, the bytes of a file, or an array
        (height, width, 3) of uint8 in the order red, green, blue; an array
        with four dimensions holds several. UserError names the first photo
        that cannot be read.
        """
        several = (
            isinstance(photos, list | tuple) or getattr(photos, 'ndim', 0) == 4
        )
        predictions: list[Prediction] = []
        batch: Any = photos if several else [photos]
        with closing(self.each(batch)) as results:
            for result in results:
                if isinstance(result, Unread):
                    name = result.photo or (
                        f'photo {len(predictions)}' if several else 'the photo'
                    )
                    raise UserError(printable(f'{name}: {result.why}', 500))
                predictions.append(result)
        return predictions if several else predictions[0]

    def each(
        self, photos: Iterable[Photo]
    ) -> Generator[Prediction | Unread, None, None]:
        """Classify photos in order; yield Unread for those that fail.

        The next photos are read while the model computes.
        """
        with closing(self.scored(photos)) as batches:
            for batch, scores, unlike in batches:
                numbers = count()
                for name, item in batch:
                    if isinstance(item, Unread):
                        yield item
                        continue
                    i = next(numbers)
                    yield self.prediction(
                        name,
                        scores[i],
                        None if unlike is None else float(unlike[i]),
                    )

    def scored(
        self, photos: Iterable[Photo]
    ) -> Generator[
        tuple[list[tuple[str, dict | Unread]], np.ndarray, np.ndarray | None]
    ]:
        """Classify photos in batches.

        Yields the names of a batch with their inputs or Unread, and of those
        that were read the probabilities (photos, classes) and the unlikeness,
        if the file can tell.
        """
        # A string is one photo, although it is iterable.
        photos = [photos] if isinstance(photos, str | bytes) else photos
        with closing(self._reader.batches(photos)) as batches:
            for batch in batches:
                good = [item for _, item in batch if isinstance(item, dict)]
                yield batch, *self.scores(good)

    def prepared(self, photo: Photo) -> dict:
        """Return the input of the model; raise BadPhotoError if unreadable."""
        return self._reader.prepared(photo)

    def prediction(
        self, name: str, scores: np.ndarray, unlikeness: float | None
    ) -> Prediction:
        """Return the prediction for the probabilities of a photo."""
        shares = dict(zip(self.classes, scores.tolist(), strict=True))
        chosen: tuple[str, ...] = ()
        if self._limits is not None:
            from flower_mm.inference.calibration import set_of_classes

            indices = set_of_classes(scores, self._limits)
            chosen = tuple(self.classes[i] for i in indices)
        is_unknown = unlikeness is not None and unlikeness > self.unknown_above
        return Prediction(name, shares, chosen, unlikeness, is_unknown)

    @property
    def finds_unknown(self) -> bool:
        """Whether photos unlike the training photos are marked."""
        return self.model.known is not None

    @property
    def unknown_above(self) -> float:
        """The unlikeness above which a photo is unknown."""
        return self.model.known.threshold if self.model.known else math.inf

    def _limits_for(
        self, coverage: float | None, per_class: bool
    ) -> np.ndarray | None:
        import numpy as np

        if coverage is None:
            return None
        if not 0 < coverage < 1:
            raise UserError(
                f'coverage must be between 0 and 1, got {coverage:g}'
            )
        limit_of = self.model.calibration.mass_limit
        if not per_class:
            return np.full(len(self.classes), limit_of(coverage))
        return np.array(
            [limit_of(coverage, i) for i in range(len(self.classes))]
        )

    def scores(
        self, photos: list[dict]
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the probabilities of photos and their unlikeness, if any."""
        if not photos:
            import numpy as np

            return np.empty((0, len(self.classes)), np.float32), None
        # Some models keep state between layers, and each uses all cores.
        with self._computing:
            scores, unlike = self.model.scores_and_unlikeness(photos)
        if (scores != scores).any():
            raise UserError(
                f'{self.file} predicts NaN: its training failed.\n'
                'Use another file'
            )
        return scores, unlike


def file_of(source: Path) -> Path:
    """Return the file with the weights, also of a folder."""
    if not source.is_dir():
        return source
    for name in (RunDir.BEST_SAFETENSORS, RunDir.BEST):
        if (source / name).is_file():
            return source / name
    raise UserError(
        f'{source} has neither best.pth nor best.safetensors.\n'
        'Name the file with the weights'
    )
