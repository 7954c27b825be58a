"""Weights that give each class the same share of the loss."""

import json

import pytest
from helpers import tool

from flower_mm.class_weights import balanced_weights


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
    tool(
        'train', path, '--data', dataset, '--work-dir', run, '--balance',
        '--no-check', '--epochs', '1',
    )  # fmt: skip
    record = json.loads((run / 'run.json').read_text('utf-8'))
    assert record['result']['best_metric'] == 'single-label/recall'
