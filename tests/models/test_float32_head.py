"""Logits, probabilities and losses under autocast are float32."""

import copy
import csv
from types import SimpleNamespace

import forked
import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from torch import nn

import flower_mm.engine  # noqa: F401  registers what configs name
from flower_mm.inference.model import TrainedModel
from flower_mm.models.float32_head import classify_in_float32
from flower_mm.registry import MODELS

PHOTOS, CLASSES, CHANNELS = 1000, 5, 32
# Each head with features as its backbone gives them.
VECTOR = (CHANNELS,)
TOKENS = [(CHANNELS,), (CHANNELS,)]
HEADS = {
    'LinearClsHead': ({'in_channels': CHANNELS}, VECTOR),
    'StackedLinearClsHead': (
        {'in_channels': CHANNELS, 'mid_channels': [16]},
        VECTOR,
    ),
    'VisionTransformerClsHead': ({'in_channels': CHANNELS}, VECTOR),
    'DeiTClsHead': ({'in_channels': CHANNELS}, TOKENS),
    'ConformerHead': ({'in_channels': [CHANNELS] * 2}, TOKENS),
    'LeViTClsHead': ({'in_channels': CHANNELS}, VECTOR),
    'EfficientFormerClsHead': ({'in_channels': CHANNELS}, VECTOR),
    'VigClsHead': (
        {'in_channels': CHANNELS, 'hidden_dim': 16},
        VECTOR,
    ),
}
LOSSES = [
    {'type': 'CrossEntropyLoss'},
    {'type': 'CrossEntropyLoss', 'use_soft': True},
    {'type': 'CrossEntropyLoss', 'use_sigmoid': True},
    {'type': 'LabelSmoothLoss', 'label_smooth_val': 0.1},
    {'type': 'FocalLoss'},
    {'type': 'AsymmetricLoss'},
    {'type': 'SeesawLoss', 'num_classes': CLASSES},
]


def build(config: dict) -> nn.Module:
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(config)


def in_bfloat16() -> torch.autocast:
    return torch.autocast('cpu', torch.bfloat16)


def make_features(shape: tuple | list) -> object:
    """A batch as a backbone leaves it under autocast."""
    generator = torch.Generator().manual_seed(1)

    def draw(size: tuple) -> torch.Tensor:
        found = torch.randn(PHOTOS, *size, generator=generator)
        return found.bfloat16()

    if isinstance(shape, list):
        return ([draw(size) for size in shape],)
    return (draw(shape),)


def classifier(head: str, **more) -> nn.Module:
    config = {'type': head, 'num_classes': CLASSES, **HEADS[head][0], **more}
    model = nn.Module()
    model.head = build(config)
    for values in model.head.parameters():
        # As large as logits become in training.
        nn.init.normal_(values, std=CHANNELS**-0.5)
    return model


@pytest.mark.parametrize('head', HEADS)
def test_a_thousand_confidences_differ(head):
    model = classifier(head).eval()
    classify_in_float32(model)
    with torch.no_grad(), in_bfloat16():
        samples = model.head.predict(make_features(HEADS[head][1]))
    scores = torch.stack([sample.pred_score for sample in samples])
    assert scores.dtype == torch.float32
    assert (scores.double().sum(1) - 1).abs().max() < 1e-6
    assert len(scores.max(1).values.unique()) == PHOTOS
    assert scores.max() < 1


@pytest.mark.parametrize(
    'loss',
    LOSSES,
    ids=lambda loss: '-'.join(str(value) for value in loss.values()),
)
def test_the_loss_is_that_of_float32(loss):
    model = classifier('LinearClsHead', loss=loss)
    features = make_features(VECTOR)
    targets = torch.arange(PHOTOS) % CLASSES
    if 'use_soft' in loss or 'use_sigmoid' in loss or 'Asym' in loss['type']:
        targets = nn.functional.one_hot(targets, CLASSES).float()
    elif loss['type'] == 'FocalLoss':
        targets = nn.functional.one_hot(targets, CLASSES)
    key = 'gt_score' if targets.ndim == 2 else 'gt_label'
    samples = [
        _Sample({key: target if targets.ndim == 2 else target[None]})
        for target in targets
    ]
    exact = model.head.loss((features[0].float(),), samples)['loss']
    exact.backward()
    gradient = model.head.fc.weight.grad.clone()
    model.zero_grad()
    classify_in_float32(model)
    with in_bfloat16():
        found = model.head.loss(features, samples)['loss']
    found.backward()
    assert found.dtype == torch.float32
    assert torch.equal(found, exact)
    assert torch.equal(model.head.fc.weight.grad, gradient)


class _Sample(dict):
    """As much of MMPretrain's DataSample as a head reads."""

    __getattr__ = dict.__getitem__


def test_without_autocast_nothing_changes():
    model = classifier('LinearClsHead')
    features = make_features(VECTOR)[0].float()
    expected = model.head((features,))
    classify_in_float32(model)
    assert torch.equal(model.head((features,)), expected)


def test_a_copy_computes_with_its_own_weights():
    model = classifier('LinearClsHead')
    classify_in_float32(model)
    average = copy.deepcopy(model)
    with torch.no_grad():
        average.head.fc.weight.zero_()
        average.head.fc.bias.zero_()
    features = make_features(VECTOR)
    with in_bfloat16():
        assert not average.head(features).any()
        assert model.head(features).any()
    assert average.state_dict().keys() == model.state_dict().keys()


TIMM = {
    'type': 'TimmClassifier',
    'model_name': 'resnet10t',
    'num_classes': CLASSES,
}
ALEXNET = {  # as VGG, with the classifier in its backbone
    'type': 'ImageClassifier',
    'backbone': {'type': 'AlexNet', 'num_classes': CLASSES},
    'head': {'type': 'ClsHead'},
}


@pytest.mark.parametrize(
    ('config', 'side'), [(TIMM, 32), (ALEXNET, 224)], ids=['timm', 'alexnet']
)
def test_a_network_that_brings_its_classifier(config, side):
    model = build(config).eval()
    classify_in_float32(model)
    with torch.no_grad(), in_bfloat16():
        samples = model.predict(torch.randn(64, 3, side, side))
    scores = torch.stack([sample.pred_score for sample in samples])
    assert scores.dtype == torch.float32
    assert (scores.double().sum(1) - 1).abs().max() < 1e-6
    assert len(scores.max(1).values.unique()) == 64


def test_a_classifier_of_hugging_face():
    class Network(nn.Module):
        def forward(self, inputs: torch.Tensor) -> SimpleNamespace:
            return SimpleNamespace(logits=inputs.bfloat16())

    model = nn.Module()
    model.model = Network()
    classify_in_float32(model)
    assert model.model(torch.ones(2, 3)).logits.dtype == torch.float32


def test_predictions_of_a_run(plain_run):
    model = TrainedModel(plain_run / 'best.pth', 'cpu', amp=True)
    rng = np.random.default_rng(0)
    # Large patches of colour, as photos have them.
    pixels = rng.integers(0, 256, (PHOTOS, 4, 4, 3), dtype=np.uint8)
    scores = np.concatenate(
        [
            model.scores(
                [
                    model.prepared(photo.repeat(8, 0).repeat(8, 1))
                    for photo in pixels[start : start + 100]
                ]
            )
            for start in range(0, PHOTOS, 100)
        ]
    )
    assert model.in_bfloat16
    assert np.abs(scores.astype(float).sum(1) - 1).max() < 1e-6
    # The tiny backbone's own bfloat16 features repeat now and then.
    assert len(np.unique(scores.max(1))) > 0.99 * PHOTOS


def test_test_and_training_in_bfloat16(config, dataset, tmp_path):
    run = tmp_path / 'run'
    amp = ('--data-root', dataset, '--device', 'cpu', '--amp')
    forked.finish(
        tmp_path / 'log', 'train', config, *amp, '--work-dir', run,
        '--cfg-options', 'train_cfg.max_epochs=1',
    )  # fmt: skip
    out = tmp_path / 'out.csv'
    for tta in ((), ('--tta',)):
        forked.finish(
            tmp_path / 'log2', 'test', config, run / 'best.pth', *amp,
            '--out', out, *tta,
        )  # fmt: skip
        with out.open(encoding='utf-8', newline='') as file:
            rows = list(csv.reader(file))[1:]
        scores = np.array([row[5:] for row in rows], dtype=float)
        assert np.abs(scores.sum(1) - 1).max() < 1e-6
