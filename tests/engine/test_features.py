"""Features are those of the photos as validation prepares them."""

import shutil
from contextlib import nullcontext

import pytest
import torch
from mmengine.registry import DefaultScope
from PIL import Image

from flower_mm.config import read_config, use_data_root
from flower_mm.engine.features import features_of, plain_batches, plain_photos
from flower_mm.engine.hooks.head_first import last_layer
from flower_mm.inference.model import build_classifier
from flower_mm.registry import DATASETS


@pytest.fixture
def cfg(config, dataset, tmp_path):
    """One photo is transparent, which decoders treat differently."""
    data = tmp_path / 'data'
    shutil.copytree(dataset, data)
    first = (data / 'train.txt').read_text('utf-8').splitlines()[0]
    photo = data / 'train' / first.rpartition(' ')[0]
    Image.new('RGBA', (48, 40), (200, 30, 30, 90)).save(photo, 'PNG')
    cfg = read_config(str(config))
    use_data_root(cfg, str(data))
    cfg.model.head.num_classes = 3
    with DefaultScope.overwrite_default_scope('flower_mm'):
        yield cfg


def test_they_are_the_inputs_of_the_last_layer(cfg):
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    as_validated = DATASETS.build(
        cfg.val_dataloader.dataset | {'split': 'train'}
    )
    model = build_classifier(cfg)
    batches = plain_batches(plain_photos(dataset, cfg), cfg, workers=0)
    layer = last_layer(model, 3)
    found = list(features_of(model, layer, batches, nullcontext))
    features, labels = (torch.cat(part) for part in zip(*found, strict=True))
    assert labels.tolist() == dataset.get_gt_labels().tolist()
    assert model.training
    model.eval()
    for i in (0, 1, 38):
        data = model.data_preprocessor(
            {'inputs': [as_validated[i]['inputs']]}, training=False
        )
        with torch.no_grad():
            expected = model(data['inputs'], mode='tensor')
        torch.testing.assert_close(layer(features[i : i + 1]), expected)
