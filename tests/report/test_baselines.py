"""The largest class and the solved head as what a model has to exceed."""

import pytest
from made_up import page, predictions, run

from flower_mm.report import words
from flower_mm.report.baselines import (
    below_largest_class,
    below_solved_head,
    solved_head,
)
from flower_mm.report.formatting import name_of, value_of


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


def test_both_are_in_the_report(tmp_path):
    made = run(tmp_path / 'a', head_first={'photos': 100})
    made.scalars[:] = validated(90.0, 80.0)
    text, facts = page(made, predictions(40, surety=0.0))
    assert facts['solved_head']['top1'] == 90.0
    assert facts['solved_head']['last_top1'] == 80.0
    assert 'below the solved head' in text
    assert 'not clearly better than always saying' in text


@pytest.mark.parametrize(
    ('noted', 'told'),
    [
        ('random', True),
        ('random, as wanted', False),
        ('random, small network', False),
        ('pretrained', False),
        (None, False),
    ],
)
def test_random_weights_are_in_the_report(tmp_path, noted, told):
    made = run(tmp_path / 'a', initial_weights=noted)
    text, facts = page(made, predictions())
    assert ('--weights FILE' in text) == told
    assert facts['run']['initial_weights'] == noted


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


def test_the_metric_of_the_best_epoch_is_in_the_report(tmp_path):
    result = {
        'epochs': 5,
        'max_epochs': 5,
        'best_epoch': 3,
        'best_top1': 88.0,
        'best_metric': 'single-label/f1-score',
        'best_score': 90.5,
    }
    made = run(tmp_path / 'a', result=result)
    text, facts = page(made, predictions())
    assert 'single-label/f1-score 90.50 %' in text
    assert ('Best epoch', '3', 'of 5, by single-label/f1-score 90.50 %') in (
        words.tiles(facts)
    )
    made.record['result'] = result | {'best_metric': 'accuracy/top1'}
    assert ('Best epoch', '3', 'of 5') in words.tiles(
        page(made, predictions())[1]
    )
