"""Which warnings a run gets, by their codes."""

import pytest
from made_up import HOW, page, predictions, run

from flower_mm.report.result_warnings import warnings_of
from flower_mm.report.run_folder import Run

DONE = {'epochs': 5, 'max_epochs': 5, 'best_epoch': 4, 'best_top1': 90.0}


def codes(made: Run, **how: object) -> list[str]:
    report = page(made, predictions(30), HOW | how)[1]
    return [warning['code'] for warning in warnings_of(report)]


@pytest.mark.parametrize(
    ('record', 'expected'),
    [
        ({}, []),
        ({'status': 'failed', 'error': 'x'}, ['failed']),
        ({'status': 'interrupted'}, ['interrupted']),
        ({'status': 'running'}, ['running']),
        ({'status': None}, ['no-record']),
        ({'initial_weights': 'random'}, ['random-weights']),
        ({'initial_weights': 'random, as wanted'}, []),
        ({'initial_weights': 'pretrained'}, []),
        ({'skipped_photos': {'count': 3}}, ['skipped-photos']),
        ({'went_back': [{}]}, ['loss-not-finite']),
        ({'resumed_although': ['seed']}, ['resumed-with-changes']),
    ],
)
def test_the_training(tmp_path, record, expected):
    assert codes(run(tmp_path / 'a', **record)) == expected


@pytest.mark.parametrize(
    ('how', 'expected'),
    [
        ({'dataset_changed': True}, ['dataset-changed']),
        (
            {'dataset_changed': True, 'other_photos': 3},
            ['photos-replaced', 'dataset-changed'],
        ),
    ],
)
def test_the_photos(tmp_path, how, expected):
    assert codes(run(tmp_path / 'a'), **how) == expected


@pytest.mark.parametrize(
    ('epoch', 'top1', 'expected'),
    [
        (4, 90.0, []),
        (3, 90.0, ['other-checkpoint']),
        (4, 88.0, ['other-checkpoint']),
        (9, 95.0, ['other-checkpoint']),
    ],
)
def test_a_best_of_another_run(tmp_path, epoch, top1, expected):
    made = run(tmp_path / 'a', result=DONE)
    assert codes(made, best_epoch=epoch, best_top1=top1) == expected


def test_a_stopped_run_may_have_a_later_best(tmp_path):
    made = run(tmp_path / 'a', status='interrupted', result=DONE)
    assert codes(made, best_epoch=9, best_top1=95.0) == ['interrupted']
    earlier = codes(made, best_epoch=3, best_top1=95.0)
    assert earlier == ['other-checkpoint', 'interrupted']


@pytest.mark.parametrize(
    ('of_best', 'differing'),
    [
        ({'best_seed': 3, 'best_dataset_sha256': 'a' * 64}, None),
        ({'best_seed': None}, None),
        ({'best_seed': 4}, ['seed']),
        ({'best_dataset_sha256': 'b' * 64}, ['dataset']),
    ],
)
def test_a_best_with_the_same_figures(tmp_path, of_best, differing):
    made = run(tmp_path / 'a', result=DONE, seed=3, dataset_sha256='a' * 64)
    how = HOW | {'best_epoch': 4, 'best_top1': 90.0} | of_best
    found = warnings_of(page(made, predictions(30), how)[1])
    assert [warning['differing'] for warning in found] == (
        [differing] if differing else []
    )
    made.record['resumed_although'] = ['seed was 3, is 4']
    assert codes(made, **how) == ['resumed-with-changes']


def test_a_training_that_ends_below_the_solved_head(tmp_path):
    made = run(tmp_path / 'a', head_first={'photos': 100})
    made.scalars[:] = [
        {'accuracy/top1': top1, 'step': epoch}
        for epoch, top1 in enumerate((90.0, 80.0))
    ]
    assert codes(made) == ['below-solved-head']
