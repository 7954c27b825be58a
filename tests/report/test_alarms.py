"""What a page says of itself when its figures are not to be trusted."""

import json
from pathlib import Path

import pytest
from made_up import HOW, Page, page, predictions, run

from flower_mm.report import run_folder, words
from flower_mm.report.evaluate import Measured
from flower_mm.report.html import report_page
from flower_mm.report.report_data import facts_of

DONE = {'epochs': 5, 'max_epochs': 5, 'best_epoch': 4, 'best_top1': 90.0}


def text_of(made: run_folder.Run, **how: object) -> str:
    return Page(page(made, predictions(100), HOW | how)[0]).text


def alarms(made: run_folder.Run, **how: object) -> list[list[str]]:
    return words.alarms(page(made, predictions(100), HOW | how)[1])


@pytest.mark.parametrize('split', ['val', 'test'])
def test_photos_that_may_have_been_learned_are_no_held_out_ones(
    tmp_path, split
):
    photos = {'train': 300, 'val': 100}
    made = run(tmp_path / 'a', photos=photos, status='failed')
    told = text_of(made, split=split)
    for words_of_trust in ('300 others', 'kept aside'):
        assert words_of_trust in told
    changed = {'split': split, 'dataset_changed': True}
    first, *_ = alarms(made, **changed)
    assert first[0].startswith('The dataset has changed since this run: any ')
    told = text_of(made, **changed)
    assert 'any of these 100 photos may have been learned from' in told
    for claim in (
        *('kept aside', '300 others', 'the figure is fair', 'had no say'),
        *('flatters a little', 'not trained on can be judged'),
    ):
        assert claim not in told


def test_a_test_split_takes_another_training(tmp_path):
    assert 'train again' in text_of(run(tmp_path / 'a'))


@pytest.mark.parametrize(
    ('epoch', 'top1', 'alarm'),
    [(4, 90.0, False), (3, 90.0, True), (4, 88.0, True), (9, 95.0, True)],
)
def test_a_best_of_another_run_is_told(tmp_path, epoch, top1, alarm):
    made = run(tmp_path / 'a', result=DONE)
    found = alarms(made, best_epoch=epoch, best_top1=top1)
    assert bool(found) == alarm
    if alarm:
        assert 'best.pth is not the one of this run.json' in found[0][0]


def test_a_run_that_was_stopped_may_have_a_later_best(tmp_path):
    made = run(tmp_path / 'a', status='interrupted', result=DONE)
    assert len(alarms(made, best_epoch=9, best_top1=95.0)) == 1
    assert len(alarms(made, best_epoch=3, best_top1=95.0)) == 2


def test_a_run_that_went_on_otherwise_is_repeated_by_no_command(tmp_path):
    made = run(tmp_path / 'a', command='python tools/train.py x.py')
    assert 'no one command' not in text_of(made)
    made.record['resumed_although'] = ['seed was 1, is 2']
    assert 'no one command repeats it' in text_of(made)


@pytest.mark.parametrize('relative', [False, True])
def test_a_dataset_that_is_gone_is_not_one_made_by_hand(
    tmp_path, monkeypatch, relative
):
    monkeypatch.chdir(tmp_path)
    root = 'data/flower' if relative else str(tmp_path / 'data' / 'flower')
    made = run(tmp_path / 'a', data_root=root)
    told = text_of(made)
    assert f'The dataset folder {root} is not here.' in told
    assert 'Nobody looked' not in told
    Path(root).mkdir(parents=True)
    assert 'Nobody looked' in text_of(made)


def test_a_relative_dataset_is_sought_where_training_began(
    tmp_path, monkeypatch
):
    began, here = tmp_path / 'began', tmp_path / 'here'
    (began / 'data').mkdir(parents=True)
    here.mkdir()
    monkeypatch.chdir(here)
    made = run(tmp_path / 'a', data_root='data', started_in=str(began))
    assert made.data_root == began / 'data'
    (began / 'data').rmdir()
    assert made.data_root == Path('data')


def test_what_folds_set_themselves_is_no_change_of_the_run(tmp_path):
    def row(key: str, value: object) -> dict:
        return {'key': key, 'base': None, 'run': value}

    data = 'train_dataloader.dataset.data_root'
    kept = [
        row('optim_wrapper.optimizer.lr', 0.1),
        row('load_from', 'weights/start.pth'),
        row('train_dataloader.dataset.split', 'val'),
    ]
    changes = {
        'bases': ['base.py'],
        'settings': [
            *kept,
            row(data, 'work_dirs/x/folds/1'),
            row('default_hooks.report', None),
            row('load_from', 'work_dirs/x/fold_1/epoch_3.pth'),
        ],
    }
    fold = run(tmp_path / 'fold_1', changes=changes)
    folds = [{'run': 'fold_1', 'photos': 100, 'top1': 90.0, 'epochs': 5}]
    made = run_folder.Run(tmp_path, fold.record, [], [fold], folds)
    found = predictions(100)
    how = HOW | {'folds': 2, 'split': 'train and val'}
    facts = facts_of(made, Measured(found, how), Path('x'))
    assert facts['run']['changes']['settings'] == kept
    json.dumps(facts)
    # Of a run without folds nothing is left out.
    alone = facts_of(fold, Measured(found, HOW), None)
    assert alone['run']['changes'] == changes
    nothing = run_folder.Run(
        tmp_path, run(tmp_path / 'b').record, [], [fold], folds
    )
    shown = facts_of(nothing, Measured(found, how), None)
    assert 'did not note what' in Page(report_page(shown, nothing, {})).text


@pytest.mark.parametrize(
    ('of_best', 'told'),
    [
        ({'best_seed': 3, 'best_dataset_sha256': 'a' * 64}, None),
        ({'best_seed': None}, None),
        ({'best_seed': 4}, 'another seed.'),
        ({'best_dataset_sha256': 'b' * 64}, 'another dataset.'),
    ],
)
def test_a_best_of_the_same_figures_may_be_of_another_run(
    tmp_path, of_best, told
):
    made = run(tmp_path / 'a', result=DONE, seed=3, dataset_sha256='a' * 64)
    same = {'best_epoch': 4, 'best_top1': 90.0}
    found = alarms(made, **same, **of_best)
    assert bool(found) == bool(told)
    if told:
        assert 'best.pth is not the one of this run.json' in found[0][0]
        assert told in found[0][0]
        made.record['resumed_although'] = ['seed was 3, is 4']
        assert 'is not the one of' not in text_of(made, **same, **of_best)


def test_photos_that_are_no_longer_those_of_the_dataset_are_told(tmp_path):
    made = run(tmp_path / 'a')
    found = alarms(made, other_photos=3, dataset_changed=True)
    assert found[0][0].startswith('3 photos of these are not what')
    assert found[1][0].startswith('The dataset has changed')


def test_parts_that_are_there_have_no_reason_to_lack(tmp_path):
    made = run(tmp_path / 'a', command='python tools/train.py x.py')
    _, facts = page(made, predictions(100, surety=1))
    assert facts['wrong']
    assert facts['suspects']
    for part in ('result', 'wrong', 'suspects', 'command', 'speed'):
        assert facts['why'][part] == ''
    for part in ('curves', 'changes'):
        assert facts['why'][part]
