"""The majority class and the linear probe as baselines."""

import json

import pytest
from made_up import EVALUATION, page, predictions

from flower_mm.engine.folds import _shortfalls
from flower_mm.report.baselines import (
    below_linear_probe,
    below_majority_class,
    linear_probe,
)
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
def test_the_majority_class(correct, photos, noted):
    line = below_majority_class(correct, photos)
    assert bool(line) == noted
    assert not noted or "'rose'" in line


def test_a_fine_tuning_that_never_exceeds_the_linear_probe():
    found = linear_probe(validated(82.7, 71.2, 69.2, 74.0, 77.9), True)
    assert found == {
        'top1': 82.7,
        'last_epoch': 4,
        'last_top1': 77.9,
        'best_epoch': 4,
        'best_top1': 77.9,
    }
    line = below_linear_probe(found)
    assert '77.90 % after epoch 4' in line
    assert '82.70 %' in line
    assert '--head-only' in line
    # --folds refuses it.
    assert '--head-only' not in below_linear_probe(found, is_fold=True)


def test_fine_tuning_that_ends_below_the_linear_probe():
    line = below_linear_probe(linear_probe(validated(82.7, 90.0, 80.0), True))
    assert '90.00 % in epoch 1' in line
    assert '--head-only' not in line


@pytest.mark.parametrize(
    ('top1', 'is_fitted'),
    [
        ([82.7, 71.0, 83.0], True),
        ([82.7, 82.7], True),
        ([82.7], True),  # --head-only
        ([82.7, 71.0], False),
        ([], True),
    ],
)
def test_runs_without_a_note(top1, is_fitted):
    assert below_linear_probe(linear_probe(validated(*top1), is_fitted)) == ''


def test_the_linear_probes_of_folds(tmp_path):
    """They are in the report and on the screen."""
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
    evaluation = EVALUATION | {'folds': 2, 'split': 'train and val'}
    text, report = page(read_run(tmp_path), wrong, evaluation)
    probes = report['folds']['linear_probes']
    assert [(probe['run'], probe['top1']) for probe in probes] == [
        ('fold_1', 90.0),
        ('fold_2', 50.0),
    ]
    assert text.count('below the linear probe') == 1
    first, second = _shortfalls(tmp_path, [wrong])
    assert first.startswith('fold_1: fine-tuning ends below')
    assert 'is not clearly above always predicting' in second
