"""Reading the folder of a run, which may come from a stranger."""

import json
from pathlib import Path

import pytest
from made_up import EVALUATION, Page, page, predictions, run

from flower_mm.errors import UserError
from flower_mm.report.dataset_findings import read_dataset_findings
from flower_mm.report.evaluate import Evaluation
from flower_mm.report.html import render_comparison
from flower_mm.report.report_data import comparison_of
from flower_mm.report.run_folder import read_run, validated


@pytest.mark.parametrize(
    ('text', 'key'),
    [
        ('[]', 'content'),
        ('{', 'Expecting'),
        ('7', 'content'),
        ('[' * 100_000, 'recursion'),
        ('{"photos": []}', 'photos'),
        ('{"seed": 1.5}', 'seed'),
        ('{"seed": "1"}', 'seed'),
        ('{"seed": 1e999}', 'seed'),
        (f'{{"seed": 1{"0" * 400}}}', 'seed'),
        ('{"device": 5}', 'device'),
        ('{"result": {"epochs": true}}', r'result\.epochs'),
        ('{"result": {"best_top1": NaN}}', r'result\.best_top1'),
        ('{"seconds": {"train": "x"}}', r'seconds\.train'),
        ('{"changes": {"settings": [3]}}', r'changes\.settings'),
        ('{"resumed_although": [3]}', 'resumed_although'),
        ('{"versions": ' + '{"a":' * 90 + '1' + '}' * 91, 'versions'),
        ('{"changes": {"settings": ' + '[' * 90 + ']' * 90 + '}}', 'settings'),
        (
            '{"changes": {"settings": [{"key": "x", "run": '
            + '[' * 90 + ']' * 90 + '}]}}',
            'nested',
        ),
    ],
)  # fmt: skip
def test_an_invalid_run_json_is_refused(tmp_path, text, key):
    (tmp_path / 'run.json').write_text(text)
    with pytest.raises(UserError, match=f'run.json is damaged: .*{key}'):
        read_run(tmp_path)


@pytest.mark.parametrize(
    'text',
    [
        '{}',
        '{"started": "yesterday", "command": "a \'b", "unknown": [1]}',
        '{"seconds": {"train": 1, "validate": 0}, "resumed_at_epoch": 99}',
        '{"seconds": {"train": 1e15, "validate": 1e15}, '
        '"result": {"epochs": 3}, "photos": {"train": 9, "val": 9}}',
        f'{{"data_root": "{"a" * 5000}", "started_in": "/"}}',
        '{"versions": {"torch": NaN}, "went_back": [1, null], "changes": '
        f'{{"settings": [{{"key": "x", "base": Infinity, "run": 1{"0" * 400}'
        '}]}}',
    ],
)
def test_any_valid_run_json_makes_pages(tmp_path, text):
    (tmp_path / 'run.json').write_text(text)
    made = read_run(tmp_path)
    shown, report = page(made, predictions(30))
    Page(shown)
    json.dumps(report, allow_nan=False)
    comparison = comparison_of(
        [made, made], [Evaluation(predictions(30), EVALUATION)] * 2
    )
    render_comparison(comparison, [made, made], {}, [None, None])


def test_missing_values_are_none(tmp_path):
    (tmp_path / 'run.json').write_text('{"photos": {"train": 3}}')
    record = read_run(tmp_path).record
    assert {'status', 'versions', 'seconds'} < record.keys()
    assert record['photos'] == {'train': 3, 'val': None}
    assert record['changes'] == {'bases': None, 'settings': None}
    assert record['seed'] is record['resumed_although'] is None


def test_a_schema_names_the_place_of_an_error():
    row = {'type': 'object', 'properties': {'n': {'type': 'number'}}}
    rows = {'type': ['array', 'null'], 'items': row}
    schema = {'type': 'object', 'properties': {'rows': rows}}
    assert validated({'rows': [{'n': 1, 'x': 2}]}, schema) == {
        'rows': [{'n': 1}]
    }
    with pytest.raises(ValueError, match=r'rows\.n: expected number, got'):
        validated({'rows': [{'n': 'x'}]}, schema)


def test_folds_lie_inside_the_folder(tmp_path):
    folds = [{'run': name, 'top1': 90.0} for name in ('../x', 'fold_1', '/')]
    (tmp_path / 'folds.json').write_text(
        json.dumps({'folds': [*folds, {'run': 'fold_2'}], 'data_root': 'data'})
    )
    (tmp_path / 'fold_1').mkdir()
    made = read_run(tmp_path)
    assert [fold.name for fold in made.folds] == ['fold_1']
    assert made.record['data_root'] == 'data'


def test_a_relative_dataset_starts_where_training_did(tmp_path, monkeypatch):
    began, here = tmp_path / 'began', tmp_path / 'here'
    (began / 'data').mkdir(parents=True)
    here.mkdir()
    monkeypatch.chdir(here)
    made = run(tmp_path / 'a', data_root='data', started_in=str(began))
    assert made.data_root == began / 'data'
    (began / 'data').rmdir()
    assert made.data_root == Path('data')


def test_a_missing_dataset_differs_from_an_unprepared_one(tmp_path):
    missing = read_dataset_findings(tmp_path / 'x')
    assert not missing['prepared']
    assert 'is missing' in missing['error']
    assert read_dataset_findings(tmp_path) == {'prepared': False}


def test_the_findings_of_prepare_are_read_from_dataset_json(root):
    path = root / 'dataset.json'
    record = json.loads(path.read_text('utf-8'))
    changes = {
        'equal': [['red/1.jpg', 'red/2.jpg'], ['red/3.jpg', 'blue/3.jpg'], 7],
        'left_out': {'red/4.jpg': 'damaged', 'red/5.jpg': 6},
    }
    path.write_text(json.dumps(record | changes), 'utf-8')
    found = read_dataset_findings(root)
    assert found['near_duplicates'] == [['red/1.jpg', 'red/2.jpg']]
    assert found['possible_label_errors'] == [['red/3.jpg', 'blue/3.jpg']]
    assert found['unused_photos'] == {'red/4.jpg': 'damaged'}
