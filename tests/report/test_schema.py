"""report.json and comparison.json against the JSON Schema."""

import json
from importlib import resources
from pathlib import Path

import pytest
from made_up import EVALUATION, page, predictions, run

from flower_mm.report.evaluate import Evaluation
from flower_mm.report.report_data import comparison_of, report_of
from flower_mm.report.run_folder import Run, read_run

jsonschema = pytest.importorskip('jsonschema')


def schema() -> dict:
    path = resources.files('flower_mm.report') / 'report.schema.json'
    return json.loads(path.read_text(encoding='utf-8'))


def validate(content: dict, part: str = '') -> None:
    whole = schema()
    if part:
        whole = {'$defs': whole['$defs'], '$ref': f'#/$defs/{part}'}
    # As it is in the file: tuples are lists there.
    jsonschema.Draft202012Validator(whole).validate(
        json.loads(json.dumps(content))
    )


def test_the_schema_is_valid():
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize(
    ('photos', 'classes', 'surety', 'changes'),
    [
        (200, 5, 2.0, {}),
        (400, 8, 1.5, {'near_duplicates': [[0, 1, 2]]}),
        (1, 2, 50.0, {'split': 'test'}),
        (12, 3, 1.0, {'dataset_changed': True}),
    ],
)
def test_a_report(tmp_path, photos, classes, surety, changes):
    found = predictions(photos, [f'c{i}' for i in range(classes)], surety)
    validate(page(run(tmp_path / 'a'), found, EVALUATION | changes)[1])


def test_a_report_of_a_real_run(plain_run, dataset):
    made = read_run(plain_run)
    found = Evaluation(predictions(50), EVALUATION)
    validate(report_of(made, found, dataset))
    validate(report_of(made, Evaluation(reason='No best.pth.'), None))
    results = [{'run': 'fold_1', 'photos': 9, 'top1': 90.0, 'epochs': 2}]
    results[0] |= {'best_top1': None, 'best_epoch': None}
    folds = Run(Path('x'), made.record, [], [made], results)
    validate(report_of(folds, found, dataset))


def test_a_comparison(tmp_path):
    runs = [run(tmp_path / name) for name in 'abc']
    evaluations = [
        Evaluation(found, EVALUATION)
        for found in (predictions(60), predictions(60, surety=1.0))
    ]
    evaluations.append(Evaluation(reason='No best.pth.'))
    validate(comparison_of(runs, evaluations), 'comparison')


def test_an_unknown_key_is_invalid(tmp_path):
    report = page(run(tmp_path / 'a'), predictions(30))[1]
    with pytest.raises(jsonschema.ValidationError):
        validate(report | {'other': 1})
    del report['metrics']['top1']
    with pytest.raises(jsonschema.ValidationError):
        validate(report)
