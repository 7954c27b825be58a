"""report.html and comparison.html: escaping, structure and text."""

import base64
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
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

GOLDEN = Path(__file__).with_name('golden.txt')


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
    other = nasty()
    scores = other.scores.copy()
    scores[:40] = np.roll(scores[:40], 1, axis=1)
    evaluations = [
        Evaluation(other, HOW),
        Evaluation(
            Predictions(other.photos, other.labels, scores, NASTY), HOW
        ),
    ]
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
    for attrs in found.all('td'):
        assert attrs.get('data-photos', ids[0]) in ids


def test_of_many_classes_those_with_most_errors_come_first(tmp_path):
    counts = np.diag(np.full(70, 5))
    counts[3, 66] = 4
    counts[20, 21] = 1
    names = [f'c{i}' for i in range(70)]
    made = confusion_table(counts.tolist(), names)
    assert len(made['rows']) == len(made['classes']) == 60
    assert made['left_out'] == 10
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
    report = report_of(made, Evaluation(found, HOW), None)
    text = render_report(report, made, {})
    assert Page(text).all('img') == []
    assert '<template' not in text
    assert report['wrong'][0]['name'] in text


# --- text --------------------------------------------------------------------


def prose(name: str, made: Run, found: Predictions | None, **how) -> str:
    """The paragraphs of a report; without names of sections and photos."""
    if found is None:
        report = report_of(made, Evaluation(reason='No best.pth.'), None)
        text = render_report(report, made, {})
    else:
        text, _ = page(made, found, HOW | how)
    return '\n'.join([f'=== {name}', *Page(text).paragraphs])


def scenarios(folder: Path) -> str:
    def with_status(status: str | None, **record) -> Run:
        return run(folder / f'{status}', status=status, **record)

    best = {
        'epochs': 5, 'max_epochs': 5, 'best_epoch': 4, 'best_top1': 90.0,
        'best_metric': 'single-label/f1-score', 'best_score': 90.5,
    }  # fmt: skip
    plain = run(folder / 'plain', photos={'train': 300, 'val': 100})
    trained = run(
        folder / 'trained',
        result=best,
        seconds={'train': 100.0, 'validate': 20.0},
        config='configs/flower/resnet50_flower.py',
        command='python tools/train.py configs/flower/resnet50_flower.py',
        device='GPU',
        initial_weights='random',
        skipped_photos={'count': 1},
        went_back=[{}, {}],
        resumed_although=['seed was 1, is 2'],
        changes={
            'bases': ['base.py'],
            'settings': [{'key': 'lr', 'base': 0.1, 'run': 0.01}],
        },
    )
    trained.scalars.extend(
        [
            *({'loss': 1 / n, 'lr': 0.1, 'epoch': n, 'step': n}
              for n in (1, 2)),
            *({'accuracy/top1': 90.0 + n, 'cross_entropy': 1.0, 'step': n}
              for n in (0, 1)),
        ]
    )  # fmt: skip
    test = {'split': 'test'}
    changed = {'dataset_changed': True, 'other_photos': 2}
    other = {'best_epoch': 3, 'best_top1': 80.0}
    fold = {'run': 'fold_1', 'photos': 100, 'top1': 90.0, 'epochs': 5}
    folds = Run(
        folder / 'folds', plain.record, [], [trained, trained], [fold, fold]
    )
    parts = [
        prose('validation', plain, predictions(100)),
        prose('test', plain, predictions(100), **test),
        prose(
            'folds', folds, predictions(100), folds=2, split='train and val'
        ),
        prose('all correct', plain, predictions(40, surety=50)),
        prose('one photo', plain, predictions(1, surety=50)),
        prose('low accuracy', plain, predictions(200, surety=0.5)),
        prose('near-duplicates', plain, predictions(100), equal=[[0, 1, 2]]),
        prose('changed dataset', plain, predictions(100), **changed),
        prose('all of training', trained, predictions(300), **other),
        prose('failed', with_status('failed', error='disk full'), None),
        prose('interrupted', with_status('interrupted'), None),
        prose('running', with_status('running'), None),
        prose('no record', with_status(None), None),
    ]
    for name, other in {
        'equal runs': predictions(100),
        'different runs': predictions(100, surety=1.0),
    }.items():
        first = predictions(100)
        second = Predictions(
            first.photos, first.labels, other.scores, FLOWERS
        )  # fmt: skip
        runs = [run(folder / 'first'), run(folder / 'second')]
        comparison = comparison_of(
            runs, [Evaluation(first, HOW), Evaluation(second, HOW)]
        )
        text = render_comparison(comparison, runs, {}, [{'lr': 1}, {'lr': 2}])
        parts.append('\n'.join([f'=== {name}', *Page(text).paragraphs]))
    return '\n\n'.join(_new_lines(parts)).replace(str(folder), 'WORK_DIRS')


def _new_lines(parts: list[str]) -> Iterator[str]:
    """Each part without the lines of earlier parts."""
    shown = {''}
    for part in parts:
        lines = [line for line in part.split('\n') if line not in shown]
        shown.update(lines)
        yield '\n'.join(lines)


def test_the_text_is_that_of_the_golden_file(tmp_path, monkeypatch):
    """FLOWER_MM_GOLDEN=write replaces the file after an intended change."""
    monkeypatch.setattr(
        'flower_mm.report.report_data._written',
        lambda: {'written_by': 'flower_mm', 'written': '2026-01-01 00:00'},
    )
    text = scenarios(tmp_path) + '\n'
    if os.environ.get('FLOWER_MM_GOLDEN') == 'write':
        GOLDEN.write_text(text, encoding='utf-8')
    assert text == GOLDEN.read_text(encoding='utf-8')


# --- any content -------------------------------------------------------------


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
    found = Evaluation(predictions(100), HOW | {'folds': 2})
    report = report_of(made, found, Path('x'))
    assert report['run']['changes']['settings'] == kept
    alone = report_of(fold, Evaluation(predictions(100), HOW), None)
    assert alone['run']['changes'] == changes
