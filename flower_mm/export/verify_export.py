"""Exported models beside the one they come from, on the same photos."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from flower_mm.console import progress
from flower_mm.decoding import BadPhotoError, decode, decode_rgb, read_bytes
from flower_mm.errors import UserError
from flower_mm.export.odd_photos import odd_photos
from flower_mm.export.onnx_model import INPUTS, PHOTOS
from flower_mm.export.sample_photos import Sample
from flower_mm.export.source_model import Source
from flower_mm.inference.photo_reader import PhotoReader, said

BATCH = 32
SECONDS = 0.5  # that a speed is measured for
# Of 255: what two builds of a JPEG library may differ by on smooth pictures.
JPEG_LEVELS = 3


@dataclass(frozen=True)
class Batch:
    """Photos at the three points where a model may take them."""

    pixels: list[np.ndarray]  # RGB, as predict_onnx.py decodes them
    prepared: list[dict]  # by validation's pipeline
    inputs: torch.Tensor  # normalised

    def first(self, count: int) -> 'Batch':
        """Its first photo `count` times."""
        return Batch(
            self.pixels[:1] * count,
            self.prepared[:1] * count,
            self.inputs[:1].repeat(count, 1, 1, 1),
        )


Ask = Callable[[Batch], np.ndarray]


@dataclass
class Candidate:
    """A file to be, and what its probabilities may differ by."""

    name: str
    content: bytes
    ask: Ask
    most: float | None = None  # of any probability
    least: float | None = None  # share of photos of the same class
    takes_photos: bool = False  # or tensors
    misread: list[str] = field(default_factory=list)  # by predict_onnx.py
    difference: float = 0.0
    agreement: float = 0.0
    accuracy: float = 0.0
    speeds: dict[int, float] = field(default_factory=dict)

    @property
    def fault(self) -> str:
        """Why it must not be used; empty where it may."""
        if self.takes_photos and self.misread:
            return (
                'with the OpenCV and the Pillow of this machine, '
                'predict_onnx.py decodes otherwise than training: '
                f'{", ".join(self.misread)}'
            )
        if self.most is not None and not self.difference <= self.most:
            return (
                f'a probability differs by {self.difference:.1e}, and '
                f'{self.most:.0e} is the most for rounding'
            )
        if self.least is not None and not self.agreement >= self.least:
            return (
                f'of {100 * self.agreement:.1f} % of the photos it says the '
                f'same class, and {100 * self.least:.0f} % is the least'
            )
        return ''


class Bench:
    """Asks the model and the candidates about the same photos.

    Args:
        source: The model, in float32.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        try:
            self._reader = PhotoReader(source.trained.first)
        except UserError as error:
            raise UserError(
                f'{source.file} cannot be exported: {error}'
            ) from None
        name = source.file.name
        self.reference = Candidate(
            f'{name} in float32',
            b'',
            lambda batch: source.scores(batch.prepared, validated=False),
        )
        # What else is compared, and not written.
        self.others = [
            Candidate(
                f'{name} in bfloat16',
                b'',
                lambda batch: source.scores(batch.prepared, validated=True),
            )
        ] * source.trained.in_bfloat16

    def compare(self, candidates: list[Candidate], sample: Sample) -> None:
        """Fill in what the candidates' answers and speeds are."""
        everyone = [self.reference, *self.others, *candidates]
        answers = [[] for _ in everyone]
        with progress(len(sample.files), 'comparing') as advance:
            for batch in self.batches(sample):
                for kept, one in zip(answers, everyone, strict=True):
                    kept.append(one.ask(batch))
                advance(len(batch.pixels))
        odd = self.of_bytes([data for _, data in odd_photos()])
        misread = self._misread()
        count = len(sample.files)
        expected = np.concatenate([*answers[0], self.reference.ask(odd)])
        said_class = expected[:count].argmax(1)
        for kept, one in zip(answers, everyone, strict=True):
            one.misread = misread
            found = np.concatenate([*kept, one.ask(odd)])
            # A probability that is no number is as wrong as can be.
            off = np.nan_to_num(np.abs(found - expected), nan=1.0)
            one.difference = float(off.max())
            label = found[:count].argmax(1)
            one.agreement = float((label == said_class).mean())
            one.accuracy = float((label == np.array(sample.labels)).mean())
        photo = self.batch(sample.files[:1])
        for one in everyone:
            for count in (1, BATCH):
                one.speeds[count] = _speed(one.ask, photo.first(count))

    def batches(self, sample: Sample) -> Iterator[Batch]:
        """A single photo first: some exports hold for one number only."""
        yield self.batch(sample.files[:1])
        for start in range(1, len(sample.files), BATCH):
            yield self.batch(sample.files[start : start + BATCH])

    def batch(self, files: list[Path]) -> Batch:
        return self.of_bytes([_read(file) for file in files], files)

    def of_bytes(
        self, photos: list[bytes], files: Sequence[Path] = ()
    ) -> Batch:
        pixels, prepared = [], []
        for data, name in zip_longest(photos, files, fillvalue=''):
            try:
                seen = self._reader.read(data)
                pixels.append(decode_rgb(data))
            except BadPhotoError as error:
                raise UserError(said(str(name), error)) from error
            prepared.append(self._source.trained.prepared(seen))
        return Batch(pixels, prepared, self._source.normalised(prepared))

    def _misread(self) -> list[str]:
        """Odd photos that predict_onnx.py decodes otherwise than training."""
        return [
            name
            for name, data in odd_photos()
            if not _alike(decode(data)[..., ::-1], decode_rgb(data))
        ]


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and bool(
        (np.abs(one.astype(int) - other) <= JPEG_LEVELS).all()
    )


def _read(file: Path) -> bytes:
    try:
        return read_bytes(str(file))
    except BadPhotoError as error:
        raise UserError(said(str(file), error)) from error


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    # See let_threads_sleep in torch_import.py: threads that spin halve the
    # speed of whatever else runs.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=['CPUExecutionProvider']
    )


def ask_tensors(model: onnx.ModelProto) -> Ask:
    runs = session(model)
    return lambda batch: runs.run(None, {INPUTS: batch.inputs.numpy()})[0]


def ask_photos(model: onnx.ModelProto) -> Ask:
    """Photos of one size go together."""
    runs = session(model)

    def ask(batch: Batch) -> np.ndarray:
        alike = defaultdict(list)
        for place, photo in enumerate(batch.pixels):
            alike[photo.shape].append(place)
        answers = {}
        for places in alike.values():
            photos = np.stack([batch.pixels[place] for place in places])
            found = runs.run(None, {PHOTOS: photos})[0]
            answers.update(zip(places, found, strict=True))
        return np.stack([answers[place] for place in range(len(answers))])

    return ask


def _speed(ask: Ask, batch: Batch) -> float:
    """Photos a second; the quickest run, the first one left out."""
    ask(batch)
    quickest, end = float('inf'), time.perf_counter() + SECONDS
    while True:
        start = time.perf_counter()
        ask(batch)
        now = time.perf_counter()
        quickest = min(quickest, now - start)
        if now >= end:
            return len(batch.pixels) / quickest
