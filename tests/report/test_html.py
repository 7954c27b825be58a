"""report.html and comparison.html: escaping, structure and text."""

import base64
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from made_up import (
    BIDI,
    EVALUATION,
    FLOWERS,
    NASTY,
    RTL,
    Page,
    page,
    predictions,
    run,
)

from flower_mm.report import html
from flower_mm.report.confusion_table import (
    MAX_PHOTOS,
    confusion_table,
    photos_of_cells,
)
from flower_mm.report.evaluate import Evaluation
from flower_mm.report.html import render_comparison, render_report
from flower_mm.report.predictions import Predictions
from flower_mm.report.report_data import comparison_of, report_of
from flower_mm.report.run_folder import Run, read_run


def nasty() -> Predictions:
    """Classes and photos with names like those that attack pages."""
    found = predictions(150, NASTY, surety=1.5)
    photos = [f'/photos/{NASTY[i % 5]}\n{i}\x1b[31m.jpg' for i in range(150)]
    return Predictions(photos, found.labels, found.scores, NASTY)


def is_harmless(text: str) -> None:
    found = Page(text)
    (script,) = found.scripts
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


def test_names_are_escaped_in_a_report(tmp_path):
    made = run(
        tmp_path / '<b>&"\'',
        status='failed',
        error=f'{NASTY[0]}\n{NASTY[1]}',
        config=NASTY[1],
        command=f'train {NASTY[0]}',
        device=NASTY[1],
        git_commit=NASTY[2],
        resumed_although=[NASTY[0]],
        versions={NASTY[0]: NASTY[1], 'torch': {'a': [NASTY[0]]}},
        changes={
            'bases': [NASTY[0]],
            'settings': [
                {'key': NASTY[0], 'base': NASTY[1], 'run': {NASTY[0]: [1]}},
                {'key': None, 'base': None, 'run': None},
            ],
        },
    )
    text, report = page(made, nasty())
    is_harmless(text)
    shown = Page(text).text
    for name in ('<script>alert(1)</script>', '"><img src=x onerror'):
        assert name in shown
    assert 'back?wards?' in shown
    assert '{{ 7 * 7 }}</style>' in shown
    # The figures keep the names as they are.
    assert json.loads(json.dumps(report))['classes'] == NASTY


def test_names_are_escaped_in_a_comparison(tmp_path):
    runs = [run(tmp_path / name) for name in ('<i>a', '_b"onload="x')]
    for one in runs:
        one.scalars.extend(
            {'accuracy/top1': 50.0 + n, 'step': n} for n in range(3)
        )
    first = nasty()
    scores = first.scores.copy()
    scores[:40] = np.roll(scores[:40], 1, axis=1)
    second = Predictions(first.photos, first.labels, scores, NASTY)
    evaluations = [Evaluation(p, EVALUATION) for p in (first, second)]
    configs = [{'model': {NASTY[0]: name}} for name in NASTY[:2]]
    comparison = comparison_of(runs, evaluations)
    text = render_comparison(comparison, runs, {}, configs)
    is_harmless(text)
    assert '<i>a' in Page(text).text
    assert f'model.{NASTY[0]}' in Page(text).text


def test_photo_names_of_any_bytes(tmp_path):
    found = predictions(60, surety=1)
    photos = [photo.replace('.jpg', '\udcff.jpg') for photo in found.photos]
    text, _ = page(
        run(tmp_path / 'a'),
        Predictions(photos, found.labels, found.scores, FLOWERS),
    )
    text.encode()
    assert '?.jpg' in text


def test_every_picture_is_described(tmp_path):
    names = [f'class {i}' for i in range(40)]
    found = Page(page(run(tmp_path / 'forty'), predictions(800, names))[0])
    images = found.all('img')
    assert len(images) > 40
    assert all(image['alt'] for image in images)
    drawings = [d for d in found.all('div') if d.get('role') == 'img']
    assert len(drawings) == 3  # two charts and the interval
    assert all(attrs['aria-label'] for attrs in drawings)
    assert all(svg['aria-hidden'] == 'true' for svg in found.all('svg'))
    ids = [attrs['id'] for _, attrs in found.tags if attrs.get('id')]
    assert len(ids) == len(set(ids))
    for attrs in found.all('a'):
        assert attrs['href'].removeprefix('#') in ids
    for attrs in found.all('td'):
        assert attrs.get('data-photos', ids[0]) in ids


def test_of_many_classes_those_with_most_errors_come_first(tmp_path):
    counts = np.diag(np.full(70, 5))
    counts[3, 66] = 4
    counts[20, 21] = 1
    names = [f'c{i}' for i in range(70)]
    made = confusion_table(counts.tolist(), names)
    assert len(made['rows']) == len(made['classes']) == 60
    assert made['hidden_classes'] == 10
    assert set(made['classes'][:2]) == {'c3', 'c66'}
    assert set(made['classes'][2:4]) == {'c20', 'c21'}
    row = made['rows'][made['classes'].index('c3')]
    cell = row['cells'][made['classes'].index('c66')]
    assert (cell['id'], cell['count']) == ('cell-3-66', 4)
    few = confusion_table(counts[:40, :40].tolist(), names[:40])
    assert few['classes'] == names[:40]
    report = page(run(tmp_path / 'a'), predictions(400, names))[1]
    f1 = [row['f1'] for row in html._worst_first(report['per_class'])]
    known = [value for value in f1 if value is not None]
    assert known == sorted(known)


def test_each_cell_has_its_photos():
    found = predictions(300, surety=1.5)
    cells = photos_of_cells(found)
    assert sum(map(len, cells.values())) <= MAX_PHOTOS
    for label, predicted in np.ndindex(5, 5):
        inside = (found.labels == label) & (found.predicted == predicted)
        shown = cells.get((label, predicted), [])
        limit = 3 if label == predicted else 8
        assert len(shown) == min(int(inside.sum()), limit)
        confidence = found.scores.max(axis=1)
        expected = sorted(confidence[inside], reverse=label != predicted)
        assert confidence[shown].tolist() == expected[:limit]
    many = predictions(3000, [f'c{i}' for i in range(60)], surety=3)
    cells = photos_of_cells(many)
    assert sum(map(len, cells.values())) == MAX_PHOTOS
    counts = sorted(map(len, cells.values()))
    assert counts[0] >= 1


def test_a_photo_that_cannot_be_loaded_has_no_picture(tmp_path):
    made, found = run(tmp_path / 'a'), predictions(60, surety=1)
    report = report_of(made, Evaluation(found, EVALUATION), None)
    text = render_report(report, made, {})
    assert Page(text).all('img') == []
    assert '<template' not in text
    assert report['errors'][0]['name'] in text


def states(folder: Path) -> list[tuple[Run, Predictions | None, dict]]:
    """Runs of any state, with their predictions."""
    plain = run(folder / 'plain', photos={'train': 300, 'val': 100})
    trained = run(
        folder / 'trained',
        result={
            'epochs': 5, 'max_epochs': 5, 'best_epoch': 4, 'best_top1': 90.0,
            'best_metric': 'single-label/f1-score', 'best_score': 90.5,
        },
        seconds={'train': 100.0, 'validate': 20.0},
        initial_weights='random',
        skipped_photos={'count': 1},
        went_back=[{}, {}],
        resumed_although=['seed was 1, is 2'],
        changes={
            'bases': ['base.py'],
            'settings': [{'key': 'lr', 'base': 0.1, 'run': 0.01}],
        },
    )  # fmt: skip
    for n in (1, 2):
        trained.scalars.append({'loss': 1 / n, 'lr': 1, 'epoch': n, 'step': n})
        trained.scalars.append({'accuracy/top1': 90.0 + n, 'step': n})
    fold = {'run': 'fold_1', 'photos': 100, 'top1': 90.0, 'epochs': 5}
    folds = Run(
        folder / 'folds', plain.record, [], [trained, trained], [fold, fold]
    )
    return [
        (plain, predictions(100), {'split': 'test'}),
        (plain, predictions(40, surety=50), {}),
        (plain, predictions(1, surety=50), {}),
        (plain, predictions(200, surety=0.5), {}),
        (plain, predictions(100), {'near_duplicates': [[0, 1, 2]]}),
        (plain, predictions(100), {'dataset_changed': True}),
        (trained, predictions(300), {'checkpoint_epoch': 3}),
        (folds, predictions(100), {'folds': 2, 'split': 'train and val'}),
        *(
            (run(folder / f'{status}', status=status, error='x'), None, {})
            for status in ('failed', 'interrupted', 'running', None)
        ),
    ]


def test_a_run_in_any_state_has_a_page(tmp_path):
    for made, found, changes in states(tmp_path):
        if found:
            text, report = page(made, found, EVALUATION | changes)
            assert f'{report["metrics"]["photos"]} ' in Page(text).text
        else:
            report = report_of(made, Evaluation(reason='No best.pth.'), None)
            text = render_report(report, made, {})
            assert Page(text).text.count('No best.pth.') == 7
        assert len(Page(text).all('section')) == 12


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
    Page(page(read_run(made.folder), predictions(30))[0])


def test_settings_that_folds_set_are_left_out(tmp_path):
    def row(key: str, value: object) -> dict:
        return {'key': key, 'base': None, 'run': value}

    kept = [
        row('optim_wrapper.optimizer.lr', 0.1),
        row('load_from', 'weights/start.pth'),
    ]
    changes = {
        'bases': ['base.py'],
        'settings': [
            *kept,
            row('train_dataloader.dataset.data_root', 'work_dirs/x/folds/1'),
            row('default_hooks.report', None),
            row('load_from', 'work_dirs/x/fold_1/epoch_3.pth'),
        ],
    }
    fold = run(tmp_path / 'fold_1', changes=changes)
    results = [{'run': 'fold_1', 'photos': 100, 'top1': 90.0, 'epochs': 5}]
    made = Run(tmp_path, fold.record, [], [fold], results)
    found = Evaluation(predictions(100), EVALUATION | {'folds': 2})
    report = report_of(made, found, Path('x'))
    assert report['run']['changes']['settings'] == kept
    alone = report_of(fold, Evaluation(predictions(100), EVALUATION), None)
    assert alone['run']['changes'] == changes
