"""Validation's pipeline as an ONNX graph: photos in, model inputs out."""

import onnx
import onnx_ir as ir
from mmcv.transforms import CenterCrop, Resize
from mmpretrain.datasets.transforms import PackInputs, ResizeEdge
from mmpretrain.models import ClsDataPreprocessor

from flower_mm.datasets.load_photo import LoadPhoto, as_load_photo
from flower_mm.export.onnx_model import COUNT, INPUTS, PHOTOS
from flower_mm.export.resizing import (
    Nodes,
    Photos,
    constant,
    whole,
    wholes,
)

KNOWN = (CenterCrop, Resize, ResizeEdge)


class UnknownStepError(Exception):
    """A step that no graph is known for; the text names it."""


def with_preprocessing(
    model: onnx.ModelProto, steps: list, preprocessor: object
) -> onnx.ModelProto:
    """The same model for photos of any size, in RGB bytes."""
    opsets = {opset.domain: opset.version for opset in model.opset_import}
    head = preprocessing(steps, preprocessor, opsets, model.ir_version)
    return onnx.compose.merge_models(head, model, [(INPUTS, INPUTS)])


def preprocessing(
    steps: list,
    preprocessor: object,
    opsets: dict[str, int],
    ir_version: int,
) -> onnx.ModelProto:
    """What `steps`, from the file on, and the model's preprocessor do."""
    _check_ends(steps[0], steps[-1], preprocessor)
    op = Nodes()
    taken = ir.val(PHOTOS, ir.DataType.UINT8, [COUNT, 'height', 'width', 3])
    photos = Photos(op, taken)
    for step in steps[1:-1]:
        photos = _stepped(photos, step)
    inputs = _normalised(op, photos.pixels(), preprocessor)
    for number, node in enumerate(op.nodes):
        # Names that the model's own graph does not have.
        node.name = f'{PHOTOS}_{number}_{node.op_type}'
        node.outputs[0].name = f'{PHOTOS}_{number}'
    inputs.name = INPUTS
    inputs.dtype = ir.DataType.FLOAT
    inputs.shape = ir.Shape([COUNT, 3, None, None])
    graph = ir.Graph(
        [taken],
        [inputs],
        nodes=op.nodes,
        opset_imports=opsets,
        name='preprocessing',
    )
    return ir.to_proto(ir.Model(graph, ir_version=ir_version))


def in_words(steps: list, preprocessor: object) -> str:
    """What a photo goes through between its file and the model."""
    said = [_step_in_words(step) for step in steps[1:-1]]
    if type(preprocessor) is not ClsDataPreprocessor:
        return ', '.join([*said, type(preprocessor).__name__])
    order = 'RGB' if preprocessor.to_rgb else 'BGR'
    said.append(f'values from 0 to 255 in {order}')
    if preprocessor._enable_normalize:
        mean, std = (
            [round(value, 4) for value in values.flatten().tolist()]
            for values in (preprocessor.mean, preprocessor.std)
        )
        said.append(f'less {mean}, divided by {std}')
    return ', '.join(said)


def _step_in_words(step: object) -> str:
    match step:
        case ResizeEdge(edge='short'):
            return (
                f'the shorter side resized to {step.scale} and the other '
                f'alike, rounded down ({step.backend}, {step.interpolation})'
            )
        case CenterCrop():
            width, height = step.crop_size
            return f'the middle, {width} wide and {height} high'
    return repr(step)


def _check_ends(first: object, last: object, preprocessor: object) -> None:
    if (
        type(as_load_photo(first)) is not LoadPhoto
        or first.to_float32
        or first.color_type != 'color'
    ):
        raise UnknownStepError(repr(first))
    if type(last) is not PackInputs:
        raise UnknownStepError(repr(last))
    if (
        type(preprocessor) is not ClsDataPreprocessor
        or preprocessor.pad_size_divisor > 1
    ):
        raise UnknownStepError(f'data_preprocessor, {preprocessor!r}')


def _stepped(photos: Photos, step: object) -> Photos:
    """The photos after one step; each knows how long its sides will be."""
    op, height, width = photos.op, photos.rows.length, photos.columns.length
    found = None
    match step:
        case _ if type(step) not in KNOWN:
            pass  # a class made of one of them may do anything
        case CenterCrop(crop_size=(wide, high), auto_pad=False):
            photos.crop(high, wide)
            found = photos
        case ResizeEdge(edge='short', scale=scale):
            # MMPretrain has int(scale * height / width), in floats; they are
            # exact enough for the same whole number.
            short, upright = whole(op, scale), op.Less(width, height)
            tall = op.Div(op.Mul(short, height), width)
            wide = op.Div(op.Mul(short, width), height)
            found = photos.resized(
                op.Where(upright, tall, short),
                op.Where(upright, short, wide),
                step.backend,
                step.interpolation,
            )
        case Resize(keep_ratio=False, scale=(wide, high)):
            found = photos.resized(
                whole(op, high),
                whole(op, wide),
                step.backend,
                step.interpolation,
            )
    if found is None:
        raise UnknownStepError(repr(step))
    return found


def _normalised(
    op: Nodes, pixels: ir.Value, preprocessor: ClsDataPreprocessor
) -> ir.Value:
    planes = op.Transpose(pixels, perm=[0, 3, 1, 2])
    if not preprocessor.to_rgb:
        # OpenCV's order, in which the pipeline has left them.
        planes = op.Gather(planes, wholes(op, [2, 1, 0]), axis=1)
    values = op.Cast(planes, to=ir.DataType.FLOAT)
    if not preprocessor._enable_normalize:
        return values
    mean = constant(op, preprocessor.mean.numpy())
    return op.Div(op.Sub(values, mean), constant(op, preprocessor.std.numpy()))
