"""Which warnings a run gets, by their codes."""

import pytest
from made_up import EVALUATION, page, predictions, run

from flower_mm.report.result_warnings import warnings_of
from flower_mm.report.run_folder import Run

DONE = {'epochs': 5, 'max_epochs': 5, 'best_epoch': 4, 'best_top1': 90.0}


def warnings(made: Run, **evaluation: object) -> list[dict]:
    report = page(made, predictions(30), EVALUATION | evaluation)[1]
    return warnings_of(report)


def codes(made: Run, **evaluation: object) -> list[str]:
    return [warning['code'] for warning in warnings(made, **evaluation)]


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
def test_warnings_about_the_training(tmp_path, record, expected):
    assert codes(run(tmp_path / 'a', **record)) == expected


def test_warnings_about_the_photos(tmp_path):
    made = run(tmp_path / 'a')
    assert codes(made, dataset_changed=True) == ['dataset-changed']
    assert codes(made, dataset_changed=True, replaced_photos=3) == [
        'photos-replaced',
        'dataset-changed',
    ]


@pytest.mark.parametrize(
    ('checkpoint', 'differing'),
    [
        ({}, None),
        ({'checkpoint_epoch': 3}, ['epoch']),
        ({'checkpoint_top1': 88.0}, ['accuracy']),
        (
            {'checkpoint_epoch': 9, 'checkpoint_top1': 95.0},
            ['epoch', 'accuracy'],
        ),
        ({'checkpoint_seed': 3}, None),
        ({'checkpoint_seed': 4}, ['seed']),
        ({'checkpoint_dataset_sha256': 'b' * 64}, ['dataset']),
    ],
)
def test_a_checkpoint_of_another_run(tmp_path, checkpoint, differing):
    made = run(tmp_path / 'a', result=DONE, seed=3, dataset_sha256='a' * 64)
    evaluation = {'checkpoint_epoch': 4, 'checkpoint_top1': 90.0} | checkpoint
    found = warnings(made, **evaluation)
    assert [warning['differing'] for warning in found] == (
        [differing] if differing else []
    )


def test_a_resumed_run_may_have_a_checkpoint_of_another_seed(tmp_path):
    made = run(tmp_path / 'a', result=DONE, seed=3, resumed_although=['seed'])
    evaluation = {'checkpoint_epoch': 4, 'checkpoint_seed': 4}
    assert codes(made, **evaluation) == ['resumed-with-changes']


def test_an_interrupted_run_may_have_a_later_checkpoint(tmp_path):
    made = run(tmp_path / 'a', status='interrupted', result=DONE)
    assert codes(made, checkpoint_epoch=9) == ['interrupted']
    assert codes(made, checkpoint_epoch=3) == [
        'other-checkpoint',
        'interrupted',
    ]


def test_fine_tuning_that_ends_below_the_linear_probe(tmp_path):
    made = run(tmp_path / 'a', head_first={'photos': 100})
    made.scalars[:] = [
        {'accuracy/top1': top1, 'step': epoch}
        for epoch, top1 in enumerate((90.0, 80.0))
    ]
    assert codes(made) == ['below-linear-probe']
