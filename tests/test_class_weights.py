"""Weights that give each class the same share of the loss."""

import json

import pytest
import torch
from helpers import tool

from flower_mm.class_weights import balanced_weights
from flower_mm.engine.linear_probe import fit


def listed(folder, *labels):
    path = folder / 'train.txt'
    path.write_text(''.join(f'a b/{n}.jpg {n}\n' for n in labels))
    return [{'data_root': str(folder)}]


def test_rare_classes_weigh_more(tmp_path):
    assert balanced_weights(listed(tmp_path, 0, 0, 0, 1), 2) == [
        pytest.approx(2 / 3, abs=1e-6),
        2.0,
    ]


def test_a_class_without_photos(tmp_path):
    assert balanced_weights(listed(tmp_path, 0, 0, 2, 2), 3) == [1, 1, 1]


def test_train_with_balance(config, dataset, tmp_path):
    path, run = tmp_path / 'mine.py', tmp_path / 'run'
    path.write_text(
        config.read_text('utf-8').replace(
            'head_first=None', "head_first=dict(type='HeadFirstHook')"
        )
    )
    done = tool(
        'train', path, '--data', dataset, '--work-dir', run, '--balance',
        '--no-check', '--epochs', '1',
    )  # fmt: skip
    assert 'best balanced accuracy' in done.stdout
    record = json.loads((run / 'run.json').read_text('utf-8'))
    assert record['result']['best_metric'] == 'single-label/recall'


def test_the_fitted_head_weighs_them_as_well():
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([0] * 190 + [1] * 10)
    features = torch.randn(200, 2, generator=generator) + labels[:, None]
    share = {}
    for weights in (None, [200 / 380, 10.0]):
        fitted = fit(features, labels, 2, seed=0, class_weights=weights)
        logits = features @ fitted.weight.T + fitted.bias
        rare = logits.argmax(1)[labels == 1]
        share[weights is None] = rare.float().mean()
    assert share[False] > share[True] + 0.2
