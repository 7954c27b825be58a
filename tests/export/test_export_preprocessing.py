"""In ONNX, a photo becomes what validation's pipeline makes of it."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from mmpretrain.models import ClsDataPreprocessor

import flower_mm.engine  # noqa: F401  registers what configs name
from flower_mm.export.preprocessing import (
    UnknownStepError,
    preprocessing,
)
from flower_mm.registry import TRANSFORMS

LOAD, PACK = {'type': 'LoadImageFromFile'}, {'type': 'PackInputs'}
SHORT = {'type': 'ResizeEdge', 'scale': 58, 'edge': 'short'}
CROP = {'type': 'CenterCrop', 'crop_size': 56}
IMAGENET = {
    'mean': [123.675, 116.28, 103.53],
    'std': [58.395, 57.12, 57.375],
    'to_rgb': True,
}
OPSETS, IR_VERSION = {'': 18}, 10
# Height and width: upright and not, on both sides of where a side rounds
# down or a crop begins at a half, just above and below the edge's length,
# twice it, smaller than the crop, and thin.
SIZES = [
    *((58, 58), (58, 59), (59, 58), (57, 61), (61, 57), (116, 116)),
    *((116, 118), (60, 61), (61, 60), (100, 101), (101, 100), (99, 151)),
    *((240, 320), (320, 240), (333, 500), (500, 333), (241, 319), (32, 40)),
    *((40, 32), (33, 47), (32, 331), (331, 32), (57, 57), (175, 233)),
    *((1, 1), (2, 3), (1203, 901)),
]


def built(steps: list[dict]) -> list:
    with DefaultScope.overwrite_default_scope('flower_mm'):
        return [TRANSFORMS.build(step) for step in steps]


def both(
    steps: list[dict], settings: dict, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Two photos of noise, by the pipeline and by the graph."""
    found = built([LOAD, *steps, PACK])
    preprocessor = ClsDataPreprocessor(**settings)
    model = preprocessing(found, preprocessor, OPSETS, IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    rng = np.random.default_rng((height, width))
    photos = rng.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    inputs = [
        Compose(found[1:])(
            {
                'img': np.ascontiguousarray(photo[..., ::-1]),
                'img_shape': (height, width),
                'ori_shape': (height, width),
            }
        )['inputs']
        for photo in photos
    ]
    theirs = preprocessor({'inputs': torch.stack(inputs)})['inputs'].numpy()
    runs = onnxruntime.InferenceSession(model.SerializeToString())
    return theirs, runs.run(None, {'photos': photos})[0]


@pytest.mark.parametrize(('height', 'width'), SIZES)
def test_every_value_is_the_pipelines_to_the_bit(height, width):
    theirs, ours = both([SHORT, CROP], IMAGENET, height, width)
    assert np.array_equal(theirs, ours)


@pytest.mark.parametrize(
    ('steps', 'settings'),
    [
        ([SHORT, CROP], {**IMAGENET, 'to_rgb': False}),
        ([SHORT, CROP], {}),
        ([CROP], IMAGENET),
        # A side that is shorter than the crop stays as it is.
        ([SHORT, {'type': 'CenterCrop', 'crop_size': (80, 31)}], IMAGENET),
        ([{'type': 'Resize', 'scale': (50, 36)}], IMAGENET),
        ([CROP, {'type': 'Resize', 'scale': (50, 36)}, CROP], IMAGENET),
        ([], IMAGENET),
    ],
)
def test_so_it_is_for_other_pipelines(steps, settings):
    for height, width in SIZES[:6]:
        theirs, ours = both(steps, settings, height, width)
        assert np.array_equal(theirs, ours)


@pytest.mark.parametrize('filter', ['bilinear', 'bicubic'])
def test_pillows_filters_differ_by_a_level_at_most(filter):
    pillow = {**SHORT, 'backend': 'pillow', 'interpolation': filter}
    for height, width in SIZES[:20]:
        # Without a mean, values are the pixels' own.
        theirs, ours = both([pillow, CROP], {}, height, width)
        assert theirs.shape == ours.shape
        assert np.abs(theirs - ours).max() <= 1


@pytest.mark.parametrize(
    ('steps', 'settings', 'named'),
    [
        ([LOAD, {**SHORT, 'interpolation': 'area'}, PACK], {}, 'area'),
        ([LOAD, {**SHORT, 'edge': 'long'}, PACK], {}, 'ResizeEdge'),
        ([LOAD, {'type': 'Resize', 'scale_factor': 2.0}, PACK], {}, 'Resize'),
        ([LOAD, {**CROP, 'auto_pad': True}, PACK], {}, 'CenterCrop'),
        ([LOAD, {'type': 'NumpyToPIL'}, PACK], {}, 'NumpyToPIL'),
        ([{**LOAD, 'to_float32': True}, PACK], {}, 'LoadImageFromFile'),
        ([{**LOAD, 'color_type': 'grayscale'}, PACK], {}, 'grayscale'),
        ([LOAD, CROP], {}, 'CenterCrop'),
        ([LOAD, CROP, PACK], {'pad_size_divisor': 32}, 'data_preprocessor'),
    ],
)
def test_any_other_step_is_refused_by_its_name(steps, settings, named):
    with pytest.raises(UnknownStepError, match=named):
        preprocessing(
            built(steps), ClsDataPreprocessor(**settings), OPSETS, IR_VERSION
        )
