"""Export best.pth for other programs: convert, verify, then write."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import torch

from flower_mm import decoding
from flower_mm.console import track
from flower_mm.errors import UserError, printable
from flower_mm.export import predict_onnx
from flower_mm.export.int8 import PRECISION, int8_model
from flower_mm.export.onnx_model import UNLIKENESS, tensor_model
from flower_mm.export.preprocessing import (
    UnknownStepError,
    with_preprocessing,
)
from flower_mm.export.sample_photos import Dataset
from flower_mm.export.source_model import Source
from flower_mm.export.torchscript import torchscript
from flower_mm.export.verify_export import (
    Batch,
    ExportedModel,
    Verifier,
    photo_predictor,
    table,
    tensor_predictor,
)
from flower_mm.files import write_whole
from flower_mm.layout import RunDir
from flower_mm.weights.best_checkpoint import write_safetensors
from flower_mm.weights.read_checkpoint import read_checkpoint

# The largest difference of a probability. Summation in another order gave
# 2e-6 with MobileNetV2's weights, and 4e-5 with random ones in 101 layers;
# windows of Swin in a wrong order 0.03.
TENSOR_DIFFERENCE = 1e-3
# Pixels are resized as OpenCV does on x86, to the bit. Elsewhere it may round
# one value in eight to the next. That moved MobileNetV2's probabilities of
# 567 flowers by 0.034 at most; photos that are off by one pixel, by 0.23.
PHOTO_DIFFERENCE = 0.1
# The share of photos whose class int8 has to keep.
INT8_AGREEMENT = 0.95


@dataclass
class Export:
    """The files of an export and how they compare with the checkpoint."""

    table: str
    files: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: bool = False  # a file differs by more than rounding
    # Of each file, in percent of so many validation photos.
    accuracy: dict[str, float] = field(default_factory=dict)
    photos: int = 0


def export(
    checkpoint: str | Path,
    to: str,
    out: str | Path | None = None,
    data_root: str | None = None,
    int8: bool = False,
) -> Export:
    """Write the files that predict what the checkpoint predicts.

    Args:
        checkpoint: best.pth.
        to: onnx, torchscript or safetensors.
        out: Folder; the checkpoint's by default.
        data_root: Dataset to compare on; the config's by default.
        int8: With onnx, a quantised file as well.
    """
    source = Source(Path(checkpoint))
    folder = Path(out or source.file.parent)
    dataset = Dataset(source.trained, data_root)
    verifier = Verifier(source)
    notes: list[str] = []
    if to == 'onnx':
        calibration = _calibration(verifier, dataset) if int8 else None
        models = list(_onnx(source, calibration, notes))
    elif to == 'torchscript':
        models = [_torchscript(source)]
    else:
        models = [_safetensors(source, folder)]
    sample = dataset.held_out()
    verifier.compare(models, sample)
    some = f'{len(sample.files)} of ' * (len(sample.files) < sample.total)
    result = Export(
        f'compared on {some}the {sample.total} photos of {dataset.root}, val\n'
        + table(verifier.references, source.file.stat().st_size, models),
        notes=notes,
        accuracy={model.name: 100 * model.accuracy for model in models},
        photos=len(sample.files),
    )
    if source.trained.in_bfloat16:
        notes.append(
            f'{source.file} was validated in bfloat16, and predicts in it on '
            'this machine; the exported files compute in float32'
        )
    trained_on = source.facts.get('dataset_sha256')
    if dataset.sha256 and trained_on not in (None, dataset.sha256):
        notes.append(
            f'{dataset.root} has changed since the training: the model may '
            'have been trained on some of these photos'
        )
    for model in models:
        file = folder / model.name
        if model.fault:
            result.failed = True
            notes.append(
                f'{file} was not written: {model.fault}'
                + '; the existing file is an older one' * file.exists()
            )
        else:
            write_whole(file, model.content)
            result.files.append(file)
    if folder / f'{source.file.stem}.onnx' in result.files:
        result.files.append(_write_script(folder))
    return result


def _onnx(
    source: Source, calibration: Iterator[np.ndarray] | None, notes: list[str]
) -> Iterator[ExportedModel]:
    """A file that takes photos, one that takes tensors, and one in int8."""
    stem, facts, trained = source.file.stem, source.facts, source.trained
    if trained.known:
        facts = facts | {
            UNLIKENESS: 'how unlike the training photos, float32 (N,); '
            'unknown above the threshold',
            'unknown_above': repr(trained.known.threshold),
        }
    photo_facts = facts | {
        'input': 'uint8 (N, height, width, 3) in RGB, upright; any size, the '
        'same for all N',
        'preprocessing': f'inside: {facts["preprocessing"]}',
    }
    tensors = tensor_model(
        source.model,
        source.size,
        source.temperature,
        trained.layer,
        trained.known,
    )
    takes_photos = True
    try:
        photos = with_preprocessing(tensors, source.steps, source.preprocessor)
        yield _onnx_file(f'{stem}.onnx', photos, photo_facts, PHOTO_DIFFERENCE)
    except UnknownStepError as error:
        takes_photos = False
        notes.append(
            f'{stem}.onnx was not made: expected preprocessing that ONNX '
            f'has, got {printable(str(error))}; {stem}_tensor.onnx takes '
            'preprocessed photos'
        )
    name = f'{stem}_tensor.onnx'
    yield _onnx_file(name, tensors, facts, TENSOR_DIFFERENCE)
    if calibration is None:
        return
    # Its features are too coarse to tell what is unlike the photos.
    tensors = tensor_model(source.model, source.size, source.temperature)
    small, name = int8_model(tensors, calibration), f'{stem}_tensor_int8.onnx'
    for key in (UNLIKENESS, 'unknown_above'):
        facts.pop(key, None)
        photo_facts.pop(key, None)
    if takes_photos:
        small = with_preprocessing(small, source.steps, source.preprocessor)
        name, facts = f'{stem}_int8.onnx', photo_facts
    facts = facts | {'int8': PRECISION}
    yield _onnx_file(name, small, facts, min_agreement=INT8_AGREEMENT)


def _onnx_file(
    name: str,
    model: onnx.ModelProto,
    facts: dict[str, str],
    max_difference: float | None = None,
    min_agreement: float | None = None,
) -> ExportedModel:
    onnx.helper.set_model_props(model, facts)
    onnx.checker.check_model(model, full_check=True)
    takes_photos = facts['input'].startswith('uint8')
    predictor = photo_predictor if takes_photos else tensor_predictor
    return ExportedModel(
        name,
        model.SerializeToString(),
        predictor(model),
        max_difference,
        min_agreement,
        takes_photos,
    )


def _torchscript(source: Source) -> ExportedModel:
    facts = {**source.facts, 'classes': source.trained.classes}
    content = torchscript(source.model, source.size, facts, source.temperature)
    loaded = torch.jit.load(BytesIO(content))

    def predict(batch: Batch) -> np.ndarray:
        with torch.no_grad():
            return loaded(batch.inputs).numpy()

    name = f'{source.file.stem}.torchscript.pt'
    return ExportedModel(name, content, predict, TENSOR_DIFFERENCE)


def _safetensors(source: Source, folder: Path) -> ExportedModel:
    name = f'{source.file.stem}.safetensors'
    if source.file.resolve() == (folder / name).resolve():
        raise UserError(
            f'{source.file} is a safetensors file already: expected a .pth '
            'file'
        )
    checkpoint = read_checkpoint(source.file)
    with TemporaryDirectory() as temporary:
        file = Path(temporary) / RunDir.BEST_SAFETENSORS
        write_safetensors(file, checkpoint['state_dict'], checkpoint['meta'])
        content, copy = file.read_bytes(), Source(file)
    return ExportedModel(
        name, content, lambda batch: copy.trained.scores(batch.prepared), 0.0
    )


def _calibration(verifier: Verifier, dataset: Dataset) -> Iterator[np.ndarray]:
    """The network's inputs for some training photos."""
    files = dataset.calibration().files
    for file in track(files, len(files), 'calibrating'):
        yield verifier.batch([file]).inputs.numpy()


def _write_script(folder: Path) -> Path:
    """The program that shows how to use best.onnx without flower_mm."""
    source = Path(predict_onnx.__file__)
    # With the decoder in the place of its import.
    decoder = Path(decoding.__file__).read_text('utf-8')
    script = re.sub(
        r'from flower_mm\.decoding import .*\n',
        lambda _: decoder,
        source.read_text('utf-8'),
    )
    write_whole(folder / source.name, script.encode())
    return folder / source.name
