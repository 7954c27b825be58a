import json

import numpy as np
import pytest
from matplotlib.figure import Figure

from flower_mm.report.learning_curves import (
    LEARNING_RATE,
    draw_confusion,
    draw_curves,
    draw_panel,
    read_scalars,
)


def test_a_repeated_epoch_counts_once_and_a_cut_line_not(tmp_path):
    path = tmp_path / 'scalars.json'
    records = [
        {'loss': 2.0, 'lr': 1.0, 'epoch': 1, 'step': 5},
        {'loss': 9.0, 'lr': 1.0, 'epoch': 2, 'step': 10},
        {'accuracy/top1': 50.0, 'step': 1},
        {'loss': 1.0, 'lr': 0.5, 'epoch': 2, 'step': 10},
    ]
    lines = [json.dumps(record) for record in records]
    path.write_text('\n'.join(lines) + '\n{"loss": 0.')
    found = read_scalars(path)
    assert [r['loss'] for r in found if 'loss' in r] == [2.0, 1.0]
    draw_curves(path, tmp_path / 'curves.png')
    assert (tmp_path / 'curves.png').stat().st_size > 5000


def test_many_classes_still_make_a_picture(tmp_path):
    names = [f'class {i}' for i in range(60)]
    draw_confusion(np.eye(60, dtype=int), names, tmp_path / 'c.png')
    assert (tmp_path / 'c.png').stat().st_size > 5000


def test_class_names_are_no_formulas(tmp_path):
    names = ['$x_{$', 'a $5 rose', '$\\frac{$']
    draw_confusion(np.eye(3, dtype=int), names, tmp_path / 'c.png')
    assert (tmp_path / 'c.png').stat().st_size > 5000


@pytest.mark.parametrize('count', [1, 2, 3, 5, 12])
def test_there_is_no_half_epoch(count):
    train = [
        {'loss': 1.0, 'lr': 0.1, 'epoch': e, 'step': 10 * (e - 1) + s}
        for e in range(1, count + 1)
        for s in (5, 10)
    ]
    axis = Figure(figsize=(3.6, 2.5)).subplots()
    draw_panel(axis, LEARNING_RATE, train, [])
    assert all(tick == int(tick) for tick in axis.get_xticks())
