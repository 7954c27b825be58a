"""Heat maps: exact for simple models, plausible for all."""

import io
from operator import attrgetter

import numpy as np
import pytest
import torch
from helpers import ROOT, draw_photo, mostly_nightly
from mmengine.registry import DefaultScope
from PIL import Image
from torch import nn

from flower_mm.config import read_config
from flower_mm.inference.heat_map import (
    heat_maps,
    heat_of,
    last_map_layer,
    overlay,
    thumbnail,
)
from flower_mm.registry import MODELS
from flower_mm.report.predictor import Predictor

CONFIGS = sorted((ROOT / 'configs/flower').glob('*.py'))
# Windows and patches of these are cut for 224 pixels.
FIXED = ('swin_tiny_flower', 'tinyvit_21m_flower')
# One of each kind of map, in each run of the tests; the others are nightly.
OFTEN = ('mobilenet_v2_flower', 'vit_small_flower', *FIXED)


class Colours(nn.Module):
    """Says how red and how blue a photo is, and denies what is green."""

    def __init__(self, frozen: bool = False) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 3, 1), nn.AvgPool2d(4))
        self.head = nn.Linear(3, 3)
        with torch.no_grad():
            self.backbone[0].weight.copy_(torch.eye(3)[..., None, None])
            self.backbone[0].bias.zero_()
            self.head.weight.copy_(torch.eye(3))
        self.requires_grad_(not frozen)

    def forward(self, inputs: torch.Tensor, mode: str) -> torch.Tensor:
        return self.head(self.backbone(inputs).mean((2, 3)))


def red_left_blue_right() -> torch.Tensor:
    photo = torch.zeros(1, 3, 32, 64)
    photo[0, 0, 8:24, 4:20] = 1
    photo[0, 2, 8:24, 44:60] = 1
    return photo


@pytest.mark.parametrize('frozen', [False, True])
def test_heat_lies_where_the_class_is(frozen):
    model, photo = Colours(frozen), red_left_blue_right()
    layer = last_map_layer(model, photo)
    assert layer is model.backbone
    both = photo.repeat(2, 1, 1, 1)
    red, blue = heat_of(model, layer, both, torch.tensor([0, 2]))
    assert red.shape == blue.shape == (32, 64)
    assert red[:, :24].sum() / red.sum() > 0.99
    assert blue[:, 40:].sum() / blue.sum() > 0.99
    assert red[16, 12] > 0.99
    assert blue[16, 52] > 0.99
    assert red[2, 2] < 0.1


def test_where_nothing_speaks_for_a_class_there_is_no_heat():
    model, photo = Colours(), red_left_blue_right()
    (green,) = heat_of(model, model.backbone, photo, torch.tensor([1]))
    assert not green.any()


def test_a_model_without_a_map_is_refused():
    model = nn.Module()
    model.backbone = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 64, 5))
    model.forward = lambda inputs, mode: model.backbone(inputs)
    with pytest.raises(ValueError, match='no spatial feature map'):
        last_map_layer(model, red_left_blue_right())


def build(model: dict, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    with DefaultScope.overwrite_default_scope('flower_mm'):
        return MODELS.build(model).eval()


@pytest.mark.parametrize(
    'path',
    mostly_nightly(CONFIGS, OFTEN, attrgetter('stem')),
)
def test_every_config_has_a_map_that_a_gradient_reaches(path):
    cfg = read_config(str(path))
    cfg.model.head.num_classes = 5
    model = build({'data_preprocessor': cfg.data_preprocessor, **cfg.model})
    # Fresh biases speak louder than fresh features.
    for name, weight in model.head.named_parameters():
        if name.endswith('bias'):
            nn.init.zeros_(weight)
    side = 224 if path.stem in FIXED else 96
    photos = torch.randn(2, 3, side, side)
    layer = last_map_layer(model, photos[:1])
    with torch.no_grad():
        predicted = model(photos, mode='tensor').argmax(1)
    maps = heat_of(model, layer, photos, predicted)
    assert [heat.shape for heat in maps] == [(side, side)] * 2
    for heat in maps:
        assert heat.min() >= 0
        assert 0.9 < heat.max() <= 1
        assert heat.std() > 0.01
    assert not np.array_equal(*maps)
    # A step of training leaves no trace of the question.
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize('with_cls_token', [True, False])
def test_a_vit_is_asked_where_its_patches_still_count(with_cls_token):
    model = build(
        {
            'type': 'ImageClassifier',
            'backbone': {
                'type': 'VisionTransformer',
                'arch': {
                    'embed_dims': 32,
                    'num_layers': 3,
                    'num_heads': 2,
                    'feedforward_channels': 64,
                },
                'img_size': (32, 64),
                'patch_size': 8,
                'with_cls_token': with_cls_token,
                'out_type': 'cls_token' if with_cls_token else 'avg_featmap',
            },
            'head': {
                'type': 'LinearClsHead',
                'num_classes': 3,
                'in_channels': 32,
            },
        }
    )
    photo = torch.randn(1, 3, 32, 64)
    layer = last_map_layer(model, photo)
    last = model.backbone.layers[-1]
    # Behind it the class token alone goes on to the head.
    assert layer is (last.ln1 if with_cls_token else model.backbone.ln1)
    (heat,) = heat_of(model, layer, photo, torch.tensor([1]))
    assert heat.shape == (32, 64)
    assert heat.max() > 0.9


def test_photos_of_a_run(plain_run, tmp_path):
    predictor = Predictor(plain_run / 'best.pth')
    photos = []
    for number in range(20):  # more than go at a time
        path = tmp_path / f'{number}.jpg'
        draw_photo(path, number % 3, number)
        photos.append(str(path))
    predicted = predictor.predict(photos, [0] * 20).predicted.tolist()
    prepared = [predictor.packed(photo) for photo in photos]
    maps = heat_maps(predictor.model, prepared, predicted)
    assert [heat.shape for heat in maps] == [(32, 32)] * 20
    # The batch that a photo is in makes no difference.
    (alone,) = heat_maps(predictor.model, prepared[18:19], predicted[18:19])
    assert np.allclose(alone, maps[18], atol=1e-4)


def opened(jpeg: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(jpeg))
    assert image.format == 'JPEG'
    return np.asarray(image.convert('RGB'), np.int16)


def test_the_overlay_is_grey_but_for_the_heat():
    photo = np.zeros((224, 448, 3), np.uint8)
    photo[...] = (30, 160, 60)
    heat = np.zeros((224, 448), np.float32)
    heat[:, 224:] = 1
    jpeg = overlay(photo, heat, side=160)
    assert len(jpeg) < 5000
    pixels = opened(jpeg)
    assert pixels.shape == (80, 160, 3)
    cold, hot = pixels[40, 20], pixels[40, 140]
    assert np.ptp(cold) < 12
    assert np.ptp(hot) > 40
    # Told apart without colours, too.
    assert hot.mean() > cold.mean() + 40


def test_a_thumbnail_is_small_and_never_enlarged():
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 255, (300, 200, 3)).astype(np.uint8)
    assert opened(thumbnail(photo, 96)).shape == (96, 64, 3)
    assert opened(thumbnail(photo[:40, :30], 96)).shape == (40, 30, 3)
