"""Exported models compared with their checkpoint, on the same photos."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from flower_mm.console import progress
from flower_mm.decoding import BadPhotoError, decode, decode_rgb
from flower_mm.errors import UserError
from flower_mm.export.onnx_model import INPUTS, PHOTOS
from flower_mm.export.sample_photos import Sample, decoding_photos
from flower_mm.export.source_model import Source
from flower_mm.inference.photo_reader import PhotoReader, photo_error
from flower_mm.photo_bytes import read_bytes

BATCH = 32
SECONDS = 0.5  # of a speed measurement
# Of 255: the difference of two builds of a JPEG library on smooth pictures.
JPEG_LEVELS = 3
HEADER = (
    'file',
    'MB',
    'images/s, batch 1',
    f'batch {BATCH}',
    'largest difference',
    'same class',
    'accuracy',
)


@dataclass(frozen=True)
class Batch:
    """Photos at the three points where a model may take them."""

    pixels: list[np.ndarray]  # RGB, as predict_onnx.py decodes them
    prepared: list[dict]  # by validation's pipeline
    inputs: torch.Tensor  # normalised

    def repeated(self, count: int) -> 'Batch':
        """A batch of its first photo `count` times."""
        return Batch(
            self.pixels[:1] * count,
            self.prepared[:1] * count,
            self.inputs[:1].repeat(count, 1, 1, 1),
        )


Predict = Callable[[Batch], np.ndarray]


@dataclass
class ExportedModel:
    """The content of a file, and how much it may differ."""

    name: str
    content: bytes
    predict: Predict
    max_difference: float | None = None  # of any probability
    min_agreement: float | None = None  # share of photos with the same class
    takes_photos: bool = False  # or tensors
    decoding_faults: list[str] = field(default_factory=list)
    difference: float = 0.0
    agreement: float = 0.0
    accuracy: float = 0.0
    speeds: dict[int, float] = field(default_factory=dict)  # by batch size

    @property
    def fault(self) -> str:
        """Why the file must not be written; empty if it may."""
        if self.takes_photos and self.decoding_faults:
            return (
                'with the OpenCV and the Pillow of this machine, '
                'predict_onnx.py decodes differently from training: '
                f'{", ".join(self.decoding_faults)}'
            )
        most, least = self.max_difference, self.min_agreement
        if most is not None and not self.difference <= most:
            return (
                f'a probability differs by {self.difference:.1e}: expected '
                f'at most {most:.0e}, for rounding'
            )
        if least is not None and not self.agreement >= least:
            return (
                f'it predicts the same class for {100 * self.agreement:.1f} % '
                f'of the photos: expected at least {100 * least:.0f} %'
            )
        return ''


class Verifier:
    """Compares exported models with the checkpoint on the same photos.

    Args:
        source: The checkpoint, in float32.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        try:
            self._reader = PhotoReader(source.trained.first)
        except UserError as error:
            raise UserError(
                f'{source.file} cannot be exported: {error}'
            ) from None
        self.references = [_reference(source, 'float32', validated=False)]
        if source.trained.in_bfloat16:  # compared, and not written
            self.references.append(
                _reference(source, 'bfloat16', validated=True)
            )

    def compare(self, models: list[ExportedModel], sample: Sample) -> None:
        """Measure the models' differences, accuracies and speeds."""
        models = [*self.references, *models]
        outputs: list[list[np.ndarray]] = [[] for _ in models]
        with progress(len(sample.files), 'comparing') as advance:
            for batch in self.batches(sample):
                for parts, model in zip(outputs, models, strict=True):
                    parts.append(model.predict(batch))
                advance(len(batch.pixels))
        kinds = self.batch_of([data for _, data in decoding_photos()])
        faults = _decoding_faults()
        count = len(sample.files)
        expected = np.concatenate([*outputs[0], models[0].predict(kinds)])
        for parts, model in zip(outputs, models, strict=True):
            model.decoding_faults = faults
            output = np.concatenate([*parts, model.predict(kinds)])
            # NaN is as wrong as a probability can be.
            difference = np.nan_to_num(np.abs(output - expected), nan=1.0)
            model.difference = float(difference.max())
            predicted = output[:count].argmax(1)
            same = predicted == expected[:count].argmax(1)
            model.agreement = float(same.mean())
            correct = predicted == np.array(sample.labels)
            model.accuracy = float(correct.mean())
        photo = self.batch(sample.files[:1])
        for model in models:
            for size in (1, BATCH):
                batch = photo.repeated(size)
                model.speeds[size] = _speed(model.predict, batch)

    def batches(self, sample: Sample) -> Iterator[Batch]:
        """A single photo first: some exports have a fixed batch size."""
        yield self.batch(sample.files[:1])
        for start in range(1, len(sample.files), BATCH):
            yield self.batch(sample.files[start : start + BATCH])

    def batch(self, files: list[Path]) -> Batch:
        return self.batch_of([_read(file) for file in files], files)

    def batch_of(
        self, photos: list[bytes], files: Sequence[Path] = ()
    ) -> Batch:
        """The batch of encoded photos; errors name their files."""
        pixels, prepared = [], []
        names = [str(file) for file in files] or [''] * len(photos)
        for data, name in zip(photos, names, strict=True):
            try:
                image = self._reader.read(data)
                pixels.append(decode_rgb(data))
            except BadPhotoError as error:
                raise UserError(photo_error(name, error)) from error
            prepared.append(self._source.trained.prepared(image))
        return Batch(pixels, prepared, self._source.normalised(prepared))


def _decoding_faults() -> list[str]:
    """Kinds of photos that predict_onnx.py and training decode differently."""
    faults = []
    for name, data in decoding_photos():
        expected = decode(data)[..., ::-1].astype(int)
        pixels = decode_rgb(data)
        if expected.shape != pixels.shape or (
            np.abs(expected - pixels).max() > JPEG_LEVELS
        ):
            faults.append(name)
    return faults


def _read(file: Path) -> bytes:
    try:
        return read_bytes(str(file))
    except BadPhotoError as error:
        raise UserError(photo_error(str(file), error)) from error


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    # See let_threads_sleep in torch_import.py: threads that spin halve the
    # speed of other programs.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=['CPUExecutionProvider']
    )


def _reference(
    source: Source, precision: str, validated: bool
) -> ExportedModel:
    """The checkpoint itself, as a model to compare with."""
    return ExportedModel(
        f'{source.file.name} in {precision}',
        b'',
        lambda batch: source.scores(batch.prepared, validated),
    )


def tensor_predictor(model: onnx.ModelProto) -> Predict:
    runtime = session(model)
    return lambda batch: runtime.run(None, {INPUTS: batch.inputs.numpy()})[0]


def photo_predictor(model: onnx.ModelProto) -> Predict:
    """Predictions of photos; those of one size form a batch."""
    runtime = session(model)

    def predict(batch: Batch) -> np.ndarray:
        by_size = defaultdict(list)
        for index, photo in enumerate(batch.pixels):
            by_size[photo.shape].append(index)
        outputs: dict[int, np.ndarray] = {}
        for indices in by_size.values():
            photos = np.stack([batch.pixels[index] for index in indices])
            output = runtime.run(None, {PHOTOS: photos})[0]
            outputs.update(zip(indices, output, strict=True))
        return np.stack([outputs[index] for index in range(len(outputs))])

    return predict


def _speed(predict: Predict, batch: Batch) -> float:
    """Images per second of the fastest run after the first one."""
    predict(batch)
    fastest, end = float('inf'), time.perf_counter() + SECONDS
    while True:
        start = time.perf_counter()
        predict(batch)
        now = time.perf_counter()
        fastest = min(fastest, now - start)
        if now >= end:
            return len(batch.pixels) / fastest


def table(
    references: list[ExportedModel],
    checkpoint_size: int,
    models: list[ExportedModel],
) -> str:
    """One line per file, after those of the checkpoint.

    All differences are from the first reference.
    """
    rows = [HEADER]
    for model in (*references, *models):
        size = len(model.content) or checkpoint_size
        is_first = model is references[0]
        rows.append(
            (
                model.name,
                f'{size / 1e6:.1f}',
                f'{model.speeds[1]:.1f}',
                f'{model.speeds[BATCH]:.1f}',
                '' if is_first else f'{model.difference:.1e}',
                '' if is_first else f'{100 * model.agreement:.2f} %',
                f'{100 * model.accuracy:.2f} %',
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return '\n'.join(
        '  '.join(
            ['  ' + row[0].ljust(widths[0])]
            + [
                text.rjust(width)
                for text, width in zip(row[1:], widths[1:], strict=True)
            ]
        )
        for row in rows
    )
