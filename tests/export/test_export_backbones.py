"""Each of our backbones becomes ONNX for any number of photos."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from helpers import ROOT
from mmengine.registry import DefaultScope
from torch import nn

import flower_mm.engine  # noqa: F401  registers what configs name
from flower_mm import Classifier
from flower_mm.config import apply_dataset, read_config, use_data_root
from flower_mm.errors import UserError
from flower_mm.export import export_model
from flower_mm.export.onnx_model import tensor_model
from flower_mm.registry import MODELS
from flower_mm.weights.best_checkpoint import write_best

# The fast ones train the same networks.
CONFIGS = sorted(
    path
    for path in (ROOT / 'configs' / 'flower').glob('*.py')
    if not path.stem.endswith('_fast')
)
# Calibrating keeps all that a network computes: minutes and gigabytes each.
QUANTISED = ('mobilenet_v2_flower', 'resnet18_flower', 'vit_small_flower')
SMALL_SWIN = {
    'type': 'ImageClassifier',
    'backbone': {
        'type': 'SwinTransformer',
        'arch': {
            'embed_dims': 16,
            'depths': [2],
            'num_heads': [2],
        },
        'img_size': 56,
        'out_indices': (0,),
    },
    'neck': {'type': 'GlobalAveragePooling'},
    'head': {'type': 'LinearClsHead', 'num_classes': 4, 'in_channels': 16},
}


def blurred(count: int, side: int) -> torch.Tensor:
    """Large patches of colour, as in the tests' photos of few pixels."""
    patches = 2 * torch.randn(count, 3, 8, 8)
    return nn.functional.interpolate(patches, (side, side), mode='bilinear')


def lively(model: nn.Module, side: int) -> nn.Module:
    """Weights that make photos differ, as new ones hardly do."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, values in model.named_parameters():
            if values.ndim == 1 and name.endswith('bias'):
                values.normal_(std=0.1)
            elif values.ndim == 1 or 'gamma' in name:
                values.uniform_(0.5, 1.5)
            elif not values.any():
                values.normal_(std=0.1)
        model.train()
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.train()  # frozen ones as well
                layer.momentum = None  # the mean of all that comes
        for _ in range(2):
            model(blurred(8, side), mode='tensor')
        model.eval()
        scores = model(blurred(8, side), mode='tensor')
        # So that they differ by about one.
        layers = [x for x in model.head.modules() if isinstance(x, nn.Linear)]
        layers[-1].weight /= scores.std()
    return model


@pytest.mark.nightly
def test_swin_is_right_for_any_number_of_photos():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = lively(MODELS.build(SMALL_SWIN), 56)
    content = tensor_model(model, (56, 56)).SerializeToString()
    runs = onnxruntime.InferenceSession(content)
    for count in (1, 2, 5):
        photos = blurred(count, 56)
        with torch.no_grad():
            wanted = model(photos, mode='tensor').softmax(1).numpy()
        found = runs.run(None, {'inputs': photos.numpy()})[0]
        assert np.abs(found - wanted).max() < 1e-5
        # Photos that look alike to the model would hide a mistake.
        assert count == 1 or np.ptp(wanted, 0).max() > 0.01


class Choosy(nn.Module):
    """Does one thing or another as the photos are."""

    backbone = None

    def forward(self, photos: torch.Tensor, mode: str) -> torch.Tensor:
        means = photos.mean((2, 3))
        return means if means.sum() > 0 else -means


def test_a_model_that_cannot_be_exported_says_so():
    with pytest.raises(UserError, match='--to safetensors') as error:
        tensor_model(Choosy(), (32, 32))
    assert 'cannot be exported to ONNX' in str(error.value)


@pytest.mark.nightly
@pytest.mark.parametrize('config', CONFIGS, ids=lambda path: path.stem)
def test_a_config_is_exported(config: Path, dataset, tmp_path, monkeypatch):
    cfg = read_config(str(config))
    use_data_root(cfg, str(dataset))
    classes = apply_dataset(cfg)
    with DefaultScope.overwrite_default_scope('flower_mm'):
        model = MODELS.build(
            {'data_preprocessor': cfg.data_preprocessor, **cfg.model}
        )
    crop = cfg.test_dataloader.dataset.pipeline[2].crop_size
    meta = {'dataset_meta': {'classes': classes}, 'cfg': cfg.to_dict()}
    best = tmp_path / 'best.pth'
    write_best(best, lively(model, crop).state_dict(), meta)
    monkeypatch.setattr('flower_mm.export.verify_export.SECONDS', 0)
    # What such weights see in noise is no measure of int8.
    monkeypatch.setattr(export_model, 'INT8_AGREEMENT', 0.0)
    int8 = config.stem in QUANTISED
    found = export_model.export(best, 'onnx', int8=int8)
    print(found.table, *found.notes, sep='\n')
    assert not found.failed
    files = {'best.onnx', 'best_tensor.onnx', 'predict_onnx.py'}
    if int8:
        files.add('best_int8.onnx')
    assert {path.name for path in found.files} == files
    # Of classes that are certain any export would be right.
    photos = sorted((dataset / 'val').rglob('*.jpg'))
    found = Classifier(best, device='cpu')(photos)
    assert min(one.confidence for one in found) < 0.99
    # Its traced form, too, holds for other numbers than it was traced with.
    assert not export_model.export(best, 'torchscript').failed
