"""Families of timm through every command, with random weights."""

from pathlib import Path

import numpy as np
import pytest
from helpers import tool, train_tiny

from flower_mm.inference.classifier import Classifier
from flower_mm.inference.heat_map import heat_maps

# The smallest network of each family, and an image size that it accepts.
FAMILIES = {
    'tf_efficientnet_lite0': 64,
    'mobilenetv4_conv_small': 64,
    'repvit_m0_9': 64,
    'tiny_vit_5m_224': 64,
    'convnextv2_atto': 64,
    'eva02_tiny_patch14_224': 56,
    'vit_small_patch14_reg4_dinov2': 56,
    'vit_small_patch16_dinov3': 64,
    'convnext_tiny.dinov3_lvd1689m': 64,
    'vit_base_patch16_siglip_224.v2_webli': 64,
    'swinv2_tiny_window8_256': 64,
}


@pytest.mark.nightly
@pytest.mark.parametrize(('name', 'size'), FAMILIES.items())
def test_a_family_passes_every_command(name, size, dataset, tmp_path):
    # 20 photos in a batch: two iterations.
    run = train_tiny(
        *('timm', dataset, tmp_path / 'run', '--backbone', name),
        *('--image-size', size, '--epochs', '1', '--batch-size', '20'),
        *('--workers', '0', '--from-scratch', '--no-check'),
    )
    tool('report', run)
    best = run / 'best.pth'
    assert (run / 'report.html').is_file()
    photo = next(Path(dataset).glob('val/*/*.jpg'))
    assert photo.name in tool('predict', best, photo).stdout
    tool('export', best, '--to', 'onnx', '--data-root', dataset)
    assert list(run.glob('*.onnx'))
    model = Classifier(best).model
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    prepared = [model.prepared(noise)]
    predicted = int(model.scores(prepared).argmax())
    (heat,) = heat_maps(model.model, prepared, [predicted])
    assert heat.shape == (size, size)
    assert heat.max() > 0.5
    assert heat.std() > 0.01
