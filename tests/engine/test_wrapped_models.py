"""Classifiers of MMPretrain that wrap a model of timm or transformers."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import ROOT, TINY, tool, train_tiny

from flower_mm.config import apply_dataset, read_config, use_data_root
from flower_mm.inference.classifier import Classifier
from flower_mm.inference.heat_map import heat_maps
from flower_mm.inference.model import plain_weights

TIMM = "dict(_delete_=True, type='TimmClassifier', model_name='test_resnet')"
HUGGING_FACE = (
    "dict(_delete_=True, type='HuggingFaceClassifier', model_name={!r})"
)
# What AutoConfig reads from a folder: a ResNet of two small stages.
RESNET = {
    'model_type': 'resnet',
    'embedding_size': 16,
    'hidden_sizes': [16, 32],
    'depths': [1, 1],
    'layer_type': 'basic',
}


@pytest.fixture(params=['timm', 'transformers'])
def wrapped(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A config with a wrapped model in place of the small one."""
    pytest.importorskip(request.param)
    model = TIMM
    if request.param == 'transformers':
        folder = tmp_path / 'resnet'
        folder.mkdir()
        (folder / 'config.json').write_text(json.dumps(RESNET))
        model = HUGGING_FACE.format(str(folder))
    base = tmp_path / 'tiny.py'
    base.write_text(
        TINY.format(base=str(ROOT / 'configs' / '_base_' / 'flower.py'))
    )
    config = tmp_path / 'wrapped.py'
    config.write_text(
        f'_base_ = [{str(base)!r}]\nmodel = {model}\n'
        'default_hooks = dict(checkpoint=dict(max_keep_ckpts=-1))\n'
    )
    return config


def test_the_model_gets_the_number_of_classes(wrapped, dataset):
    cfg = read_config(str(wrapped))
    use_data_root(cfg, str(dataset))
    classes = apply_dataset(cfg)
    key = 'num_classes' if cfg.model.type.startswith('Timm') else 'num_labels'
    assert cfg.model[key] == len(classes)


def test_it_trains_and_resumes_with_an_average(wrapped, dataset, tmp_path):
    run = train_tiny(wrapped, dataset, tmp_path / 'whole')
    assert (run / 'best.pth').is_file()
    whole = torch.load(run / 'epoch_2.pth', weights_only=True)
    names = {key.removeprefix('module.') for key in whole['ema_state_dict']}
    assert names == {'steps', *whole['state_dict']}
    plain, average = plain_weights(whole), whole['state_dict']
    assert plain.keys() == average.keys()
    assert any((plain[key] != average[key]).any() for key in plain)

    again = train_tiny(
        *(wrapped, dataset, tmp_path / 'resumed'),
        *('--resume', str(run / 'epoch_1.pth')),
    )
    resumed = torch.load(again / 'epoch_2.pth', weights_only=True)
    for part in ('state_dict', 'ema_state_dict'):
        for key, value in whole[part].items():
            assert torch.equal(resumed[part][key], value), (part, key)
    done = tool(
        *('test', wrapped, run / 'epoch_2.pth', '--data-root', dataset)
    )
    assert 'top-1' in done.stdout


@pytest.mark.nightly
@pytest.mark.parametrize('wrapped', ['timm'], indirect=True)
def test_its_best_pth_serves_every_tool(wrapped, dataset, tmp_path):
    run = train_tiny(wrapped, dataset, tmp_path / 'run')
    tool('report', run)
    assert (run / 'report.html').is_file()
    photo = next(dataset.glob('val/*/*.jpg'))
    assert photo.name in tool('predict', run / 'best.pth', photo).stdout
    tool('export', run / 'best.pth', '--to', 'onnx', '--data-root', dataset)
    tool('share', run, tmp_path / 'shared')
    assert 'test_resnet' in (tmp_path / 'shared' / 'README.md').read_text()
    model = Classifier(run / 'best.pth').model
    prepared = [model.prepared(np.zeros((40, 40, 3), np.uint8))]
    assert heat_maps(model.model, prepared, [0])[0].shape == (32, 32)
