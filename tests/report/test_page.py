"""What stands on the page, and what never does."""

import base64
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT
from made_up import (
    BIDI,
    FLOWERS,
    HOW,
    NASTY,
    RTL,
    Page,
    page,
    predictions,
    run,
)

from flower_mm.prepare.summary import Report
from flower_mm.report import run_folder, settings_diff
from flower_mm.report.html import matrix
from flower_mm.report.predictions import Predictions
from flower_mm.report.report_data import comparison_of


def nasty() -> Predictions:
    """Classes and photos with names like those that attack pages."""
    found = predictions(150, NASTY, surety=1.5)
    photos = [f'/photos/{NASTY[i % 5]}\n{i}\x1b[31m.jpg' for i in range(150)]
    return Predictions(photos, found.labels, found.scores, NASTY)


def is_harmless(text: str) -> None:
    found = Page(text)
    (script,) = found.scripts  # ours
    assert 'alert' not in script
    (policy,) = (
        meta['content']
        for meta in found.all('meta')
        if meta.get('http-equiv') == 'Content-Security-Policy'
    )
    digest = hashlib.sha256(script.encode()).digest()
    assert f"'sha256-{base64.b64encode(digest).decode()}'" in policy
    assert "default-src 'none'" in policy
    for tag, attrs in found.tags:
        assert tag not in ('iframe', 'object', 'embed', 'link', 'form', 'base')
        assert not [name for name in attrs if name.startswith('on')]
        for name in ('src', 'href', 'srcset', 'xlink:href', 'action'):
            value = attrs.get(name, '#')
            assert value.startswith(('data:image/jpeg;base64,', '#')), value
    assert len(found.all('title')) == 1
    for sign in (RTL, BIDI, '\x1b'):
        assert sign not in text


def test_names_are_text_and_nothing_more(tmp_path):
    made = run(
        tmp_path / '<b>&"\'',
        status='failed',
        error=f'{NASTY[0]}\n{NASTY[1]}',
        config=NASTY[1],
        command=f'train {NASTY[0]}',
        device=NASTY[1],
        git_commit=NASTY[2],
        resumed_although=[NASTY[0], 3],
        versions={NASTY[0]: NASTY[1], 'torch': {'a': [NASTY[0]]}},
        changes={
            'bases': [NASTY[0], 7],
            'settings': [
                {'key': NASTY[0], 'base': NASTY[1], 'run': {NASTY[0]: [1]}},
                {'key': 3},
                NASTY[0],
            ],
        },
    )
    text, facts = page(made, nasty())
    is_harmless(text)
    shown = Page(text).text
    for name in ('<script>alert(1)</script>', '"><img src=x onerror'):
        assert name in shown
    assert 'back?wards?' in shown
    assert '{{ 7 * 7 }}</style>' in shown
    # The figures keep the names as they are; json escapes what it must.
    assert json.loads(json.dumps(facts))['classes'] == NASTY


def test_names_in_a_comparison_too(tmp_path):
    runs = [run(tmp_path / name) for name in ('<i>a', '_b"onload="x')]
    for one in runs:
        one.scalars.extend(
            {'accuracy/top1': 50.0 + n, 'step': n} for n in range(3)
        )
    other = nasty()
    scores = other.scores.copy()
    scores[:40] = np.roll(scores[:40], 1, axis=1)
    measured = [
        Measured(other, HOW),
        Measured(Predictions(other.photos, other.labels, scores, NASTY), HOW),
    ]
    facts = comparison_of(runs, measured)
    text = comparison_page(facts, runs, {})
    is_harmless(text)
    assert '<i>a' in Page(text).text


def test_photos_of_any_bytes(tmp_path):
    found = predictions(60, surety=1)
    photos = [photo.replace('.jpg', '\udcff.jpg') for photo in found.photos]
    text, _ = page(
        run(tmp_path / 'a'),
        Predictions(photos, found.labels, found.scores, FLOWERS),
    )
    text.encode()
    assert '?.jpg' in text


@pytest.fixture(scope='module')
def forty(tmp_path_factory) -> str:
    names = [f'class {i}' for i in range(40)]
    made = run(tmp_path_factory.mktemp('runs') / 'forty')
    return page(made, predictions(800, names))[0]


def test_every_picture_is_described(forty):
    found = Page(forty)
    images = found.all('img')
    assert len(images) > 40
    assert all(image['alt'] for image in images)
    drawings = [
        attrs
        for attrs in found.all('svg')
        if attrs.get('aria-hidden') != 'true'
    ]
    assert len(drawings) == 2
    assert all(attrs['aria-label'] for attrs in drawings)
    ids = [attrs['id'] for _, attrs in found.tags if attrs.get('id')]
    assert len(ids) == len(set(ids))
    for attrs in found.all('a'):
        assert attrs['href'].removeprefix('#') in ids


def test_of_very_many_classes_the_worst_are_shown():
    counts = np.diag(np.full(70, 5))
    counts[3, 66] = 4
    counts[20, 21] = 1
    names = [f'c{i}' for i in range(70)]
    made = matrix(counts.tolist(), names)
    assert len(made['classes']) == 40
    assert made['left_out'] == 30
    assert {'c3', 'c66', 'c20', 'c21'} <= set(made['classes'])
    row = next(row for row in made['rows'] if row['class'] == 'c3')
    cell = row['cells'][made['classes'].index('c66')]
    assert cell['words'] == 'c3 taken for c66: 4 of 9'
    assert len(matrix(counts[:60, :60].tolist(), names[:60])['rows']) == 60


def test_a_run_with_nothing_says_why(tmp_path):
    made = run(tmp_path / 'a', status='failed', error='the disk was full')
    facts = facts_of(made, Measured(why='There is no best.pth.'), None)
    text = Page(report_page(facts, made, {})).text
    assert 'This run failed after 5 of 5 epochs.' in text
    assert 'the disk was full' in text
    assert text.count('There is no best.pth.') == 7
    for why in ('no scalars.json', 'did not note how', 'not at hand'):
        assert why in text
    assert facts['result'] is None


@pytest.mark.parametrize(
    ('status', 'words'),
    [
        ('interrupted', 'interrupted after 5 of 5 epochs'),
        ('running', 'still going on'),
        (None, 'no run.json'),
    ],
)
def test_a_run_that_did_not_end_well_says_so(tmp_path, status, words):
    made = run(tmp_path / 'a', status=status)
    assert words in page(made, predictions(30))[0]


def test_a_run_that_ended_well_has_no_alarm(tmp_path):
    found = Page(page(run(tmp_path / 'a'), predictions(30))[0])
    assert not [a for a in found.all('div') if a.get('class') == 'alarm']


def sentences(how: dict, found: Predictions, **record) -> str:
    facts = {
        'measured': HOW | how,
        'run': {'result': {'epochs': 12, 'best_top1': None}} | record,
        'result': facts_of(run_like(), Measured(found, HOW), None)['result'],
    }
    return ' '.join(words.result_sentences(facts))


def run_like():
    return run_folder.Run(
        Path('a'), run_folder._known({}, run_folder.KINDS), []
    )


def test_the_result_is_told_with_what_limits_it():
    found = predictions(100)
    right = int(found.correct.sum())
    text = sentences({}, found)
    assert f'Of 100 photos kept aside, {right} are named right' in text
    assert 'chose which of 12 epochs' in text
    one = sentences({}, found, result={'epochs': 1, 'best_top1': None})
    assert 'chose' not in one
    test = sentences({'split': 'test'}, found)
    assert 'no say in the training' in test
    assert 'chose' not in test
    folds = sentences({'split': 'train and val', 'folds': 5}, found)
    assert 'the one of 5 models' in folds
    assert 'chose' not in folds


def test_a_perfect_result_is_told_with_care():
    text = sentences({}, predictions(40, surety=50))
    assert text.startswith('All 40 photos kept aside are named right')
    assert '91.2\u00a0% or more' in text


def test_one_photo_is_told_as_one():
    found = predictions(60, surety=50)
    labels = (found.labels + 1) % 5
    labels[0] = found.labels[0]
    text = sentences(
        {}, Predictions(found.photos, labels, found.scores, FLOWERS)
    )
    assert 'Of 60 photos kept aside, 1 is named right.' in text
    labels[0] = (found.labels[0] + 1) % 5
    text = sentences(
        {}, Predictions(found.photos, labels, found.scores, FLOWERS)
    )
    assert 'Of 60 photos kept aside, none is named right.' in text
    text = sentences({}, predictions(1, surety=50))
    assert text.startswith('The only photo kept aside is named right.')


def test_a_perfect_page_has_no_interval_of_the_averages(tmp_path):
    text, _ = page(run(tmp_path / 'a'), predictions(40, surety=50))
    assert Page(text).text.count('no photo is wrong: too few for an in') == 2
    text, _ = page(run(tmp_path / 'a'), predictions(100, surety=2))
    assert 'for an interval' not in Page(text).text


def test_doubtful_ones_of_a_tiny_set_prove_nothing(tmp_path):
    made = run(tmp_path / 'a')
    text = Page(page(made, predictions(2, surety=1))[0]).text
    assert 'Of 2 photos even 20\u00a0% are none.' in text
    text = Page(page(made, predictions(12, surety=1))[0]).text
    assert '1 photo' in text
    assert '1 photos' not in text
    assert 'these figures say little' in text
    assert 'If a person takes the 1' not in text
    text = Page(page(made, predictions(200, surety=2))[0]).text
    assert 'If a person takes the 10 photos' in text


def test_a_bad_model_judges_no_labels(tmp_path):
    made = run(tmp_path / 'a')
    text, facts = page(made, predictions(200, surety=1))
    assert facts['result']['top1'] < 60
    assert facts['suspects']
    assert 'is no judge of labels' in text
    assert 'label doubtful' not in text
    assert 'confident learning' not in text
    good, facts = page(made, predictions(200, surety=2))
    assert facts['suspects']
    assert 'Some of these labels may be wrong' in good
    assert 'label doubtful' in good
    assert 'No list' not in good
    found = {'result': {'top1': 75, 'photos': 100}, 'suspects': [0] * 21}
    assert 'doubts 21 of 100 labels' in words.cannot_judge(found)
    assert words.cannot_judge(found | {'suspects': [0] * 20}) is None


def test_no_better_than_the_largest_class_is_said():
    assert 'not clearly better' in sentences({}, predictions(60, surety=0))
    assert 'not clearly better' not in sentences({}, predictions(60))


def test_another_figure_than_the_training_noted_is_said():
    found = predictions(100)
    noted = 100 * float(found.correct.mean())
    same = {'epochs': 3, 'best_top1': noted}
    other = {'epochs': 3, 'best_top1': noted + 1}
    assert 'itself noted' not in sentences({}, found, result=same)
    assert 'itself noted' in sentences({}, found, result=other)


@pytest.mark.parametrize(
    ('value', 'text'),
    [(100, '100'), (99.97, '99.97'), (99.999, '99.99'), (0, '0.0')],
)
def test_only_a_hundred_looks_like_it(value, text):
    assert words.one(value) == text


def test_the_findings_of_prepare_are_read_from_its_report():
    report = Report(
        counts={'train': {'a': 1}},
        duplicates=[['a/1.jpg', 'a/2.jpg'], ['b/1.jpg', 'b/2.jpg']],
        conflicts=[['a/3.jpg', 'b/3.jpg']],
        bad={'a/4.jpg': 'is no photo'},
    )
    parts = run_folder.sections(report.text())
    assert run_folder._of(parts, run_folder.DUPLICATES) == [
        'a/1.jpg = a/2.jpg',
        'b/1.jpg = b/2.jpg',
    ]
    assert run_folder._of(parts, run_folder.CONFLICTS) == ['a/3.jpg = b/3.jpg']


def test_a_dataset_made_by_hand_says_that_nobody_looked(tmp_path):
    found = words.data(run_folder.read_data(tmp_path), None)
    assert found['sentences'][0].startswith('Nobody looked')


def test_changes_are_shown_line_by_line():
    made = settings_diff.listed(
        ['base.py'],
        [
            {'key': 'lr', 'base': 0.1, 'run': 0.01},
            {'key': 'hook', 'base': None, 'run': {'type': 'Hook', 'n': [1]}},
            {'key': 'gone', 'base': 'x', 'run': None},
            {
                'key': 'pipeline',
                'base': [{'type': 'Load'}, {'type': 'Crop', 'size': 224}],
                'run': [{'type': 'Load'}, {'type': 'Crop', 'size': 96}],
            },
        ],
    )
    assert made['sentence'].startswith('4 settings')
    assert [(row['minus'], row['plus']) for row in made['rows']] == [
        (['0.1'], ['0.01']),
        ([], ['Hook(n=[1])']),
        (["'x'"], []),
        (['Crop(size=224)'], ['Crop(size=96)']),
    ]


def test_settings_that_differ_between_runs():
    def noted(*settings: dict) -> dict:
        return {'run': {'changes': {'settings': list(settings)}}}

    rate = {'key': 'lr', 'base': 0.1, 'run': 0.01}
    size = {'key': 'size', 'base': 224, 'run': 96}
    made = settings_diff.differing([noted(rate, size), noted(size)])
    assert made == [{'key': 'lr', 'values': ['0.01', '0.1']}]
    assert settings_diff.differing([noted(rate), noted()]) == made
    unknown = {'run': {'changes': {'settings': None}}}
    assert settings_diff.differing([noted(rate), unknown]) == []


@pytest.mark.parametrize(
    'text',
    [
        '[]',
        '{',
        '7',
        '{"result": 3, "photos": [], "seconds": {"train": "x"}}',
        '{"result": {"epochs": true, "best_top1": NaN}, "seed": 1e999}',
        '{"versions": ' + '{"a":' * 90 + '1' + '}' * 90 + '}',
        '{"changes": {"settings": ' + '[' * 90 + ']' * 90 + '}}',
        '[' * 100_000,
        '{"started": "yesterday", "device": 5, "command": "a \'b"}',
        '{"seconds": {"train": 1, "validate": 0}, "resumed_at_epoch": 99}',
        f'{{"result": {{"epochs": 1{"0" * 400}, "best_top1": 5}}, '
        f'"seed": 1{"0" * 400}, "photos": {{"train": 1{"0" * 400}}}}}',
        '{"seconds": {"train": 1e308, "validate": 1e308}, '
        '"result": {"epochs": 3}, "photos": {"train": 9, "val": 9}}',
        f'{{"data_root": "{"a" * 5000}", "started_in": "/"}}',
        '{"versions": {"torch": NaN}, "changes": {"settings": [{"key": '
        f'"x", "base": Infinity, "run": 1{"0" * 400}}}]}}}}',
    ],
)
def test_any_run_json_makes_a_page(tmp_path, text):
    (tmp_path / 'run.json').write_text(text)
    made = run_folder.read_run(tmp_path)
    shown, facts = page(made, predictions(30))
    Page(shown)
    json.dumps(facts, allow_nan=False)
    comparison_page(
        comparison_of([made, made], [Measured(predictions(30), HOW)] * 2),
        [made, made],
        {},
    )


@pytest.mark.parametrize(
    'text',
    [
        '',
        '5\n[]\n"loss"\n{"loss": "high"}\n',
        '{"loss": NaN, "lr": 1, "epoch": 1, "step": 1}\n',
        '{"loss": 1, "lr": 1, "epoch": 0, "step": 0}\n',
        '{"loss": 1, "lr": 1, "epoch": 1, "step": 0}\n',
        '{"accuracy/top1": 50, "step": 1}\n',
        '{"loss": 1e308, "lr": 1, "epoch": 1, "step": 1}\n'
        '{"loss": -1e308, "lr": 1, "epoch": 1, "step": 2}\n',
        f'{{"loss": 1{"0" * 400}, "lr": 1, "epoch": 1, "step": 1}}\n',
        f'{{"accuracy/top1": 50, "step": 1{"0" * 400}}}\n',
        '{"accuracy/top1": 50, "step": 1e300}\n',
        '{"loss": 1, "lr": 0, "epoch": 1, "step": 1, "accuracy_top-1": 9}\n',
    ],
)
def test_any_scalars_make_a_page(tmp_path, text):
    made = run(tmp_path / 'a')
    (tmp_path / 'a' / 'scalars.json').write_text(text)
    Page(page(run_folder.read_run(made.folder), predictions(30))[0])


def test_every_key_of_the_figures_is_described(tmp_path):
    _, facts = page(run(tmp_path / 'a'), predictions(30))
    text = (ROOT / 'docs' / 'report.md').read_text(encoding='utf-8')
    assert [key for key in facts if f'`{key}`' not in text] == []


def compared_text(tmp_path: Path, *hows: dict, epochs: int = 5) -> str:
    runs = [run(tmp_path / f'run_{i}') for i in range(len(hows))]
    for one in runs:
        one.record['result']['epochs'] = epochs
    found = predictions(100)
    measured = [Measured(found, HOW | how) for how in hows]
    facts = comparison_of(runs, measured)
    json.dumps(facts, allow_nan=False)
    return Page(comparison_page(facts, runs, {})).text


def test_a_comparison_tells_which_photos_it_is_of(tmp_path):
    text = compared_text(tmp_path, {}, {})
    assert 'Measured on 100 validation photos.' in text
    assert 'flatters a little' in text
    assert 'flatters' not in compared_text(tmp_path, {}, {}, epochs=1)
    test = {'split': 'test'}
    text = compared_text(tmp_path, test, test)
    assert 'Measured on 100 test photos.' in text
    assert 'flatters a little' not in text
    text = compared_text(tmp_path, {}, test)
    assert 'run_0: measured on 100 validation photos.' in text
    assert 'run_1: measured on 100 test photos.' in text


def test_equal_photos_are_told(tmp_path):
    found = predictions(100)
    how = HOW | {'equal': [[0, 1, 2], [7, 9]]}
    text, facts = page(run(tmp_path / 'a'), found, how)
    assert facts['result']['different'] == 97
    # 100^2 / (9 + 4 + 95) = 92.6
    assert 'Of the 100 photos 97 are different' in Page(text).text
    assert 'as wide as that of 93 photos' in Page(text).text
    assert 'are different' not in page(run(tmp_path / 'a'), found)[0]
    text = compared_text(tmp_path, how, how)
    assert '100 validation photos, of which 97 are different.' in text
    assert 'counts equal photos one by one' in text


def test_an_interval_promises_nothing_of_other_photos():
    text = sentences({}, predictions(100))
    assert 'The true rate' in text
    assert '19 of 20' in text
    assert 'With other photos' not in text


def test_folds_differ_by_no_setting_of_their_own(tmp_path):
    def row(key: str, value: str) -> dict:
        return {'key': key, 'base': None, 'run': value}

    runs = []
    for name in ('a', 'b'):
        inside = f'work_dirs/{name}/folds/1'
        changes = {
            'bases': ['base.py'],
            'settings': [
                row('train_dataloader.dataset.data_root', inside),
                row('lr', name),
            ],
        }
        fold = run(tmp_path / name / 'fold_1', changes=changes)
        runs.append(run_folder.Run(tmp_path / name, fold.record, [], [fold]))
    measured = [Measured(predictions(30), HOW | {'folds': 2})] * 2
    facts = comparison_of(runs, measured)
    assert changes_of(facts) == ['lr']


def changes_of(facts: dict) -> list[str]:
    return [row['key'] for row in settings_diff.differing(facts['runs'])]


def test_very_long_lists_are_not_matched():
    base, now = list(range(3000)), list(range(1, 3001))
    (row,) = settings_diff.listed(
        ['base.py'], [{'key': 'x', 'base': base, 'run': now}]
    )['rows']
    assert len(row['minus']) == len(row['plus']) == settings_diff.LONG
