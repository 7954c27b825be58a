"""The largest class and the solved head as what a model has to exceed."""

import json

import pytest
from made_up import HOW, page, predictions

from flower_mm.engine.folds import _shortfalls
from flower_mm.report.baselines import (
    below_largest_class,
    below_solved_head,
    solved_head,
)
from flower_mm.report.formatting import name_of, value_of
from flower_mm.report.run_folder import read_run


def validated(*top1: float) -> list[dict]:
    return [
        {'accuracy/top1': value, 'step': epoch}
        for epoch, value in enumerate(top1)
    ]


@pytest.mark.parametrize(
    ('correct', 'photos', 'noted'),
    [
        (871, {'rose': 871, 'tulip': 129}, True),  # only the largest class
        (890, {'rose': 871, 'tulip': 129}, True),  # as may be by chance
        (900, {'rose': 871, 'tulip': 129}, False),
        (50, {'rose': 50, 'tulip': 50}, True),
        (95, {'rose': 50, 'tulip': 50}, False),
        (3, {'rose': 2, 'tulip': 2}, True),
    ],
)
def test_the_largest_class(correct, photos, noted):
    line = below_largest_class(correct, photos)
    assert bool(line) == noted
    assert not noted or "'rose'" in line


def test_a_fine_tuning_that_never_exceeds_the_solved_head():
    found = solved_head(validated(82.7, 71.2, 69.2, 74.0, 77.9), True)
    assert found == {
        'top1': 82.7,
        'last_epoch': 4,
        'last_top1': 77.9,
        'best_epoch': 4,
        'best_top1': 77.9,
    }
    line = below_solved_head(found)
    assert '77.90 % after epoch 4' in line
    assert '82.70 %' in line
    assert '--head-only' in line


def test_a_fine_tuning_that_comes_back_below_it():
    line = below_solved_head(solved_head(validated(82.7, 90.0, 80.0), True))
    assert '90.00 % in epoch 1' in line
    assert '--head-only' not in line


@pytest.mark.parametrize(
    ('top1', 'is_solved'),
    [
        ([82.7, 71.0, 83.0], True),
        ([82.7, 82.7], True),
        ([82.7], True),  # --head-only
        ([82.7, 71.0], False),
        ([], True),
    ],
)
def test_nothing_to_note(top1, is_solved):
    assert below_solved_head(solved_head(validated(*top1), is_solved)) == ''


@pytest.mark.parametrize(
    ('metric', 'score', 'name', 'value'),
    [
        ('accuracy/top1', 91.0, 'accuracy', '91.00 %'),
        ('single-label/f1-score', 90.5, 'single-label/f1-score', '90.50 %'),
        ('single-label/support', 40.0, 'single-label/support', '40'),
        ('cross_entropy', 0.31249, 'cross_entropy', '0.3125'),
    ],
)
def test_a_metric_is_named_as_what_it_is(metric, score, name, value):
    assert name_of(metric) == name
    assert value_of(metric, score) == value


def test_those_of_folds_are_in_the_report(tmp_path):
    """And on the screen, by the same figures."""
    rows = []
    for name, top1 in (('fold_1', (90.0, 80.0)), ('fold_2', (50.0, 60.0))):
        folder = tmp_path / name
        folder.mkdir()
        (folder / 'run.json').write_text('{"head_first": {"photos": 9}}')
        lines = [json.dumps(record) + '\n' for record in validated(*top1)]
        (folder / 'scalars.json').write_text(''.join(lines))
        rows.append({'run': name, 'photos': 20, 'top1': 50.0, 'epochs': 1})
    (tmp_path / 'folds.json').write_text(json.dumps({'folds': rows}))
    wrong = predictions(40, surety=0.0)
    how = HOW | {'folds': 2, 'split': 'train and val'}
    text, facts = page(read_run(tmp_path), wrong, how)
    heads = facts['folds']['solved_heads']
    assert [(head['run'], head['top1']) for head in heads] == [
        ('fold_1', 90.0),
        ('fold_2', 50.0),
    ]
    assert text.count('below the solved head') == 1
    first, second = _shortfalls(tmp_path, [wrong])
    assert first.startswith('fold_1: fine-tuning ends below')
    assert 'is not clearly above always predicting' in second
