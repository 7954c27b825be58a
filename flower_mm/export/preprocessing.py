"""Validation's pipeline as an ONNX graph: photos in, model inputs out."""

from typing import Any

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
    integer,
    integers,
)

KNOWN = (CenterCrop, Resize, ResizeEdge)


class UnknownStepError(Exception):
    """A step without an ONNX graph; the text names it."""


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
    """The graph of the pipeline's steps and the model's preprocessor."""
    _check_ends(steps[0], steps[-1], preprocessor)
    op = Nodes()
    pixels = ir.val(PHOTOS, ir.DataType.UINT8, [COUNT, 'height', 'width', 3])
    photos = Photos(op, pixels)
    for step in steps[1:-1]:
        photos = _apply(photos, step)
    inputs = _normalised(op, photos.pixels(), preprocessor)
    for number, node in enumerate(op.nodes):
        # Names apart from those of the model's own graph.
        node.name = f'{PHOTOS}_{number}_{node.op_type}'
        node.outputs[0].name = f'{PHOTOS}_{number}'
    inputs.name = INPUTS
    inputs.dtype = ir.DataType.FLOAT
    inputs.shape = ir.Shape([COUNT, 3, None, None])
    graph = ir.Graph(
        [pixels],
        [inputs],
        nodes=op.nodes,
        opset_imports=opsets,
        name='preprocessing',
    )
    return ir.to_proto(ir.Model(graph, ir_version=ir_version))


def describe_preprocessing(steps: list, preprocessor: Any) -> str:
    """The steps between the photo's file and the network, as text."""
    texts = [_describe_step(step) for step in steps[1:-1]]
    if type(preprocessor) is not ClsDataPreprocessor:
        return ', '.join([*texts, type(preprocessor).__name__])
    order = 'RGB' if preprocessor.to_rgb else 'BGR'
    texts.append(f'values from 0 to 255 in {order}')
    if preprocessor._enable_normalize:
        mean, std = (
            [round(value, 4) for value in values.flatten().tolist()]
            for values in (preprocessor.mean, preprocessor.std)
        )
        texts.append(f'minus {mean}, divided by {std}')
    return ', '.join(texts)


def _describe_step(step: object) -> str:
    match step:
        case ResizeEdge(edge='short'):
            return (
                f'shorter side resized to {step.scale}, the other in '
                f'proportion, rounded down ({step.backend}, '
                f'{step.interpolation})'
            )
        case CenterCrop():
            width, height = step.crop_size
            return f'center crop {width} wide and {height} high'
    return repr(step)


def _check_ends(first: Any, last: object, preprocessor: Any) -> None:
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


def _apply(photos: Photos, step: object) -> Photos:
    """The photos after one step."""
    op, height, width = photos.op, photos.rows.length, photos.columns.length
    result = None
    match step:
        case _ if type(step) not in KNOWN:
            pass  # a subclass may do anything
        case CenterCrop(crop_size=(wide, high), auto_pad=False):
            photos.crop(high, wide)
            result = photos
        case ResizeEdge(edge='short', scale=scale):
            # MMPretrain computes int(scale * height / width) in floats, which
            # are exact enough for the same integer.
            short, upright = integer(op, scale), op.Less(width, height)
            tall = op.Div(op.Mul(short, height), width)
            wide = op.Div(op.Mul(short, width), height)
            result = photos.resized(
                op.Where(upright, tall, short),
                op.Where(upright, short, wide),
                step.backend,
                step.interpolation,
            )
        case Resize(keep_ratio=False, scale=(wide, high)):
            result = photos.resized(
                integer(op, high),
                integer(op, wide),
                step.backend,
                step.interpolation,
            )
    if result is None:
        raise UnknownStepError(repr(step))
    return result


def _normalised(
    op: Nodes, pixels: ir.Value, preprocessor: ClsDataPreprocessor
) -> ir.Value:
    planes = op.Transpose(pixels, perm=[0, 3, 1, 2])
    if not preprocessor.to_rgb:
        # Back to the pipeline's order, which is OpenCV's.
        planes = op.Gather(planes, integers(op, [2, 1, 0]), axis=1)
    values = op.Cast(planes, to=ir.DataType.FLOAT)
    if not preprocessor._enable_normalize:
        return values
    mean = constant(op, preprocessor.mean.numpy())
    return op.Div(op.Sub(values, mean), constant(op, preprocessor.std.numpy()))
