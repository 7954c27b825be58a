"""The driver of a search, with trainings that take no time."""

import json
import shutil
from argparse import Namespace
from dataclasses import replace
from types import SimpleNamespace

import fake_trainings
import optuna
import pytest
from fake_trainings import PLAIN, FakeExecutor, plan, run_search, use_fakes
from helpers import mostly_nightly
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState

from flower_mm.cli.training_flags import parse_training
from flower_mm.errors import UserError
from flower_mm.sweep import search
from flower_mm.sweep.search_results import write_results
from flower_mm.sweep.trial import Trial

DAMAGE = {
    'empty': lambda content: b'',
    'torn': lambda content: content[: len(content) // 2],
    'zeros': lambda content: content[:8192] + bytes(len(content) - 8192),
    'text': lambda content: b'no database\n' * 1000,
}


@pytest.fixture(scope='module')
def first_plan(config, dataset, tmp_path_factory):
    return plan(config, dataset, tmp_path_factory.mktemp('unused'))


@pytest.fixture(autouse=True)
def fakes(monkeypatch):
    use_fakes(monkeypatch)


@pytest.fixture
def start(config, dataset, tmp_path, first_plan):
    """Search in a folder; the results of the trials and of the finals."""

    def start(name: str, executor=None, trials: int = 12, **options):
        out = tmp_path / name
        if options:
            planned = plan(config, dataset, out, **options)
        else:
            planned = replace(first_plan, folder=out)
        study, finals = run_search(planned, executor or FakeExecutor(), trials)
        return results(study), [
            (finalist.point.index, finalist.top1) for finalist in finals
        ]

    return start


def results(study) -> list[tuple]:
    """What a study knows, in the order of the trials' numbers."""
    return sorted(
        (
            trial.user_attrs['index'],
            trial.user_attrs['promoted'],
            trial.state.name,
            trial.value,
            json.dumps(trial.params, sort_keys=True),
            json.dumps(trial.intermediate_values),
        )
        for trial in study.study.get_trials()
        if 'index' in trial.user_attrs
    )


def states(trials: list[tuple]) -> list[str]:
    return [state for *_, state, _, _, _ in trials]


def test_the_number_of_workers_changes_nothing(start):
    expected = start('one', FakeExecutor(1), trials=20)
    assert len(expected[0]) >= 20
    assert {'COMPLETE', 'PRUNED'} == set(states(expected[0]))
    for slots, seed in ((2, 1), (3, 2)):
        executor = FakeExecutor(slots, seed)
        assert start(f'{slots}', executor, trials=20) == expected
    assert len(expected[1]) == 3


def test_other_seeds_are_other_searches(start):
    params = [
        {trial[4] for trial in start(name, trials=4, seed=seed)[0]}
        for name, seed in (('a', 0), ('b', 1))
    ]
    # The config as it is has no seed.
    assert len(params[0] & params[1]) == 1


@pytest.mark.parametrize('starts', mostly_nightly([1, 7, 14], '7'))
def test_stopped_search_goes_on(starts, start):
    expected = start('whole')
    with pytest.raises(KeyboardInterrupt):
        start('stopped', FakeExecutor(2, die_at=starts))
    assert start('stopped', FakeExecutor(2)) == expected


def test_killed_driver_leaves_no_running_trial(start, tmp_path, first_plan):
    expected = start('whole', trials=8)
    planned = replace(first_plan, folder=tmp_path / 'killed')
    study, _ = run_search(planned, FakeExecutor(), 2)
    params = planned.params(2, [])
    study.start(2, params)
    study.study.enqueue_trial(params)  # killed between enqueue and ask
    assert start('killed', trials=8)[1] == expected[1]
    trials = optuna.load_study(
        study_name=planned.record['study'],
        storage=f'sqlite:///{tmp_path}/killed/study.db',
    ).get_trials()
    assert all(trial.state.is_finished() for trial in trials)


def test_more_trials_extend_a_search(start):
    originals = [
        [trial for trial in trials if not trial[1]]
        for trials in (
            start('whole', trials=24)[0],
            (start('parts', trials=11), start('parts', trials=24)[0])[1],
        )
    ]
    assert originals[0] == originals[1]


@pytest.mark.parametrize('damage', mostly_nightly(DAMAGE, ['torn']))
def test_damaged_study_is_made_again(damage, start, tmp_path, capsys):
    expected = start('out')
    path = tmp_path / 'out' / 'study.db'
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    executor = FakeExecutor()
    assert start('out', executor) == expected
    assert not executor.started
    assert 'is damaged' in capsys.readouterr().out
    assert path.with_name('study.db.damaged').is_file()


def test_deleted_folders_of_ended_trials(start, tmp_path):
    expected = start('out')
    finals = {index for index, _ in expected[1]}
    for index in set(range(12)) - finals:
        shutil.rmtree(tmp_path / 'out' / f'trial_{index:04}')
    assert start('out') == expected


def test_damaged_parameters_are_refused(start, tmp_path):
    start('out', trials=3)
    (tmp_path / 'out' / 'study.db').unlink()
    (tmp_path / 'out' / 'trial_0001' / 'parameters.json').write_text('{"a')
    with pytest.raises(UserError, match=r'Delete .*trial_0001'):
        start('out', trials=3)


def test_killed_trainings_resume(start):
    expected = start('whole')
    executor = FakeExecutor(2, kill_at={0, 3, 4, 9})
    assert start('killed', executor) == expected
    assert executor.started.count('trial_0000 0') == 2


def test_trials_that_all_fail_end_the_search(start, tmp_path):
    executor = FakeExecutor(fails=True)
    with pytest.raises(UserError, match='all of the first 4 trials failed'):
        start('out', executor)
    assert len(executor.started) == 4


def test_stopped_trial_is_promoted(start, tmp_path, monkeypatch):
    """One that only the first trials were better than."""

    def accuracy(trial, epoch: int) -> float:
        index = int(trial.config.stem.removeprefix('trial_'))
        if index == 8:
            return 80.0 if epoch < 3 else 95.0
        return 90.0 + index if index < 4 else 10.0

    monkeypatch.setattr(fake_trainings, 'accuracy', accuracy)
    executor = FakeExecutor()
    trials, finals = start('out', executor, trials=20)
    of_8 = [trial[1:4] for trial in trials if trial[0] == 8]
    assert of_8 == [(False, 'PRUNED', 80.0), (True, 'COMPLETE', 95.0)]
    assert sum(trial[1] for trial in trials) == 1  # and none of the equals
    assert executor.started.count('trial_0008 0') == 2
    folders = [
        tmp_path / 'out' / f'trial_{trial[0]:04}' / 'seed_0'
        for trial in trials
        if trial[2] == 'PRUNED' and trial[0] != 8
    ]
    assert folders
    assert all(list(folder.glob('epoch_*.pth')) for folder in folders)
    # It decides about nothing, and it is not trained again.
    again = FakeExecutor()
    assert start('out', again, trials=20) == (trials, finals)
    assert again.started == []


def test_time_is_kept_for_the_final_trainings(
    first_plan, tmp_path, monkeypatch
):
    """With trials of 10 s, 55 s are left for three turns of two finals."""
    monkeypatch.setattr(Trial, 'seconds', lambda trial: 10.0)
    executor = FakeExecutor(2)
    clock = SimpleNamespace(
        monotonic=lambda: 10.0 * len(executor.started) / executor.slots
    )
    monkeypatch.setattr(search, 'time', clock)
    planned = replace(first_plan, folder=tmp_path / 'out')
    study, finals = run_search(planned, executor, None, ends=65.0)
    assert len(study.points) == 8  # at 40 s the finals would end at 70 s
    assert len(finals) == 3


def test_failing_database_is_an_error_of_the_user(
    config, dataset, tmp_path, monkeypatch
):
    def fail(state) -> None:
        raise StorageInternalError('the disk is full')

    monkeypatch.setattr(search.Search, 'run', fail)
    args = Namespace(
        **(PLAIN | {'configs': [str(config)], 'data_root': str(dataset)}),
        out=tmp_path / 'out', storage=None, trials=1, hours=None,
        final_seeds=1, cluster=None,
    )  # fmt: skip
    with pytest.raises(UserError, match='the disk is full'):
        search.search(args, parse_training)


def test_another_search_needs_another_folder(start, config, dataset, tmp_path):
    plan(config, dataset, tmp_path / 'out').save()
    with pytest.raises(UserError, match='other seed'):
        start('out', trials=1, seed=1)
    with pytest.raises(UserError, match='other configs'):
        start('out', trials=1, epochs=11)


def test_page_and_rows(first_plan, tmp_path):
    planned = replace(first_plan, folder=tmp_path / '<b>out')
    study, finals = run_search(planned, FakeExecutor(), 9)
    study.points[0].error = '<script>alert(1)</script>'
    write_results(planned, study, finals)
    page = (planned.folder / 'search.html').read_text()
    assert '<b>out' not in page
    assert '<script>alert' not in page
    assert 'http' not in page.replace('http-equiv', '').replace(
        'http://www.w3.org', ''
    )
    assert page.count('<svg') >= 4
    rows = (planned.folder / 'search.csv').read_text().splitlines()
    assert len(rows) == 1 + 9 + 2 * len(finals)
    assert rows[0].startswith('stage,trial,state,value,measured_top1,param ')


def test_page_without_a_winner(first_plan, tmp_path):
    planned = replace(first_plan, folder=tmp_path / 'out')
    study, _ = run_search(planned, FakeExecutor(), 1)
    point = study.start(1, planned.params(1, []))
    study.end(point, TrialState.FAIL, error='broken')
    write_results(planned, study, [])
    assert 'no winner yet' in (planned.folder / 'search.html').read_text()


def test_parameters_follow_from_earlier_groups_alone(
    config, dataset, tmp_path
):
    planned = plan(config, dataset, tmp_path / 'out')
    study, _ = run_search(planned, FakeExecutor(), 12)
    known = [point for point in study.points.values() if point.index < 4]
    assert planned.params(11, known) == study.points[11].params
