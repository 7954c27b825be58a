"""From best.pth to files for other programs: made, compared, then written."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
import onnx
import torch

from flower_mm import decoding
from flower_mm.console import track
from flower_mm.errors import UserError, printable
from flower_mm.export import predict_onnx
from flower_mm.export.int8 import BITS, int8_model
from flower_mm.export.onnx_model import tensor_model
from flower_mm.export.preprocessing import (
    UnknownStepError,
    with_preprocessing,
)
from flower_mm.export.safetensors import safetensors
from flower_mm.export.sample_photos import Dataset
from flower_mm.export.source_model import Source
from flower_mm.export.torchscript import torchscript
from flower_mm.export.verification_table import table
from flower_mm.export.verify_export import (
    Batch,
    Bench,
    Candidate,
    ask_photos,
    ask_tensors,
)
from flower_mm.files import write_whole

# What a probability may differ by. The same sums in another order came to
# 2e-6 with MobileNetV2's weights, and to 4e-5 with random ones in 101 layers;
# windows that Swin had put together wrongly, to 0.03.
TENSORS = 1e-3
# Pixels are resized as OpenCV does on x86, to the bit. Elsewhere it may round
# one value in eight to the next. That moved MobileNetV2's probabilities of
# 567 flowers by 0.034 at most; photos that are off by one pixel, by 0.23.
PHOTOS = 0.1
# The share of photos that int8 has to say the same class of.
INT8 = 0.95


@dataclass
class Export:
    """What came of it."""

    table: str
    files: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: bool = False  # a file differs by more than rounding
    # Of each file, the percentage of so many val photos that it names right.
    accuracy: dict[str, float] = field(default_factory=dict)
    photos: int = 0


def export(
    checkpoint: str | Path,
    to: str,
    out: str | Path | None = None,
    data_root: str | None = None,
    int8: bool = False,
) -> Export:
    """Write what is as good as the checkpoint, and nothing else.

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
    bench = Bench(source)
    notes = []
    if to == 'onnx':
        calibration = _inputs(bench, dataset) if int8 else None
        made = list(_onnx(source, calibration, notes))
    elif to == 'torchscript':
        made = [_torchscript(source)]
    else:
        made = [_safetensors(source, folder)]
    sample = dataset.held_out()
    bench.compare(made, sample)
    some = f'{len(sample.files)} of ' * (len(sample.files) < sample.of)
    found = Export(
        f'compared on {some}the {sample.of} photos of {dataset.root}, val\n'
        + table(
            [bench.reference, *bench.others],
            source.file.stat().st_size,
            made,
        ),
        notes=notes,
        accuracy={one.name: 100 * one.accuracy for one in made},
        photos=len(sample.files),
    )
    if source.trained.in_bfloat16:
        notes.append(
            f'{source.file} was validated in bfloat16, and predicts in it on '
            'this machine; the files compute in float32'
        )
    other = source.facts.get('dataset_sha256') not in (None, dataset.sha256)
    if dataset.sha256 and other:
        notes.append(
            f'{dataset.root} is not as it was when the model was trained: it '
            'may have learned some of these photos'
        )
    for one in made:
        file = folder / one.name
        if one.fault:
            found.failed = True
            old = '; the one that is there is an older one' * file.exists()
            notes.append(f'{file} was not written: {one.fault}{old}')
        else:
            write_whole(file, one.content)
            found.files.append(file)
    if folder / f'{source.file.stem}.onnx' in found.files:
        found.files.append(_script(folder))
    return found


def _onnx(
    source: Source, calibration: Iterator[np.ndarray] | None, notes: list[str]
) -> Iterator[Candidate]:
    """A file that takes photos, one that takes tensors, and one in int8."""
    stem, facts = source.file.stem, source.facts
    of_photos = facts | {
        'input': 'uint8 (N, height, width, 3) in RGB, upright; any size, the '
        'same for all N',
        'preprocessing': f'inside: {facts["preprocessing"]}',
    }
    tensors = tensor_model(source.model, source.size)
    takes_photos = True
    try:
        photos = with_preprocessing(tensors, source.steps, source.preprocessor)
        yield _candidate(f'{stem}.onnx', photos, of_photos, PHOTOS)
    except UnknownStepError as error:
        takes_photos = False
        notes.append(
            f'no {stem}.onnx that takes photos: it would have to do '
            f'{printable(str(error))}, which flower_mm cannot say in ONNX; '
            f'{stem}_tensor.onnx takes what comes out of that'
        )
    yield _candidate(f'{stem}_tensor.onnx', tensors, facts, TENSORS)
    if calibration is None:
        return
    small = int8_model(tensors, calibration)
    if takes_photos:
        small = with_preprocessing(small, source.steps, source.preprocessor)
        name, facts = f'{stem}_int8.onnx', of_photos
    else:
        name = f'{stem}_tensor_int8.onnx'
    yield _candidate(name, small, facts | {'int8': BITS}, least=INT8)


def _candidate(
    name: str,
    model: onnx.ModelProto,
    facts: dict[str, str],
    most: float | None = None,
    least: float | None = None,
) -> Candidate:
    onnx.helper.set_model_props(model, facts)
    onnx.checker.check_model(model, full_check=True)
    takes_photos = facts['input'].startswith('uint8')
    ask = ask_photos if takes_photos else ask_tensors
    return Candidate(
        name,
        model.SerializeToString(),
        ask(model),
        most,
        least,
        takes_photos,
    )


def _torchscript(source: Source) -> Candidate:
    facts = {**source.facts, 'classes': source.trained.classes}
    content = torchscript(source.model, source.size, facts)
    loaded = torch.jit.load(BytesIO(content))

    def ask(batch: Batch) -> np.ndarray:
        with torch.no_grad():
            return loaded(batch.inputs).numpy()

    name = f'{source.file.stem}.torchscript.pt'
    return Candidate(name, content, ask, TENSORS)


def _safetensors(source: Source, folder: Path) -> Candidate:
    name = f'{source.file.stem}.safetensors'
    if source.file.resolve() == (folder / name).resolve():
        raise UserError(f'{source.file} is one already')
    content, copy = safetensors(source)
    return Candidate(
        name, content, lambda batch: copy.trained.scores(batch.prepared), 0.0
    )


def _inputs(bench: Bench, dataset: Dataset) -> Iterator[np.ndarray]:
    """What the network takes of some photos that it has learned."""
    files = dataset.learned().files
    for file in track(files, len(files), 'calibrating'):
        yield bench.batch([file]).inputs.numpy()


def _script(folder: Path) -> Path:
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
