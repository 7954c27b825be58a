"""tools/report.py on real runs, small ones."""

import json
from dataclasses import replace
from pathlib import Path

import forked
import numpy as np
import pytest
from helpers import CLASSES, draw_photo, tool
from made_up import Page, codes, figures, page_of, text_of

import flower_mm.engine  # noqa: F401
from flower_mm.errors import UserError
from flower_mm.report.predictions import (
    read_predictions,
    write_predictions,
)
from flower_mm.report.report_files import write_comparison, write_report

VAL = 21  # photos of the dataset's val split


def test_a_run_becomes_a_page_and_figures(bare):
    done = tool('report', bare)
    assert str(bare / 'report.html') in done.stdout
    made = figures(bare)
    record = json.loads((bare / 'run.json').read_text('utf-8'))
    best = record['result']['best_top1']
    assert made['metrics']['top1'] == pytest.approx(best, abs=1e-3)
    assert made['metrics']['photos'] == record['photos']['val']
    assert made['classes'] == CLASSES
    assert made['run']['command'] == record['command']
    assert made['dataset']['prepared']
    assert (bare / 'predictions.csv').is_file()
    page = bare / 'report.html'
    assert made['errors']
    assert page_of(bare).pictures == 6 * min(24, len(made['errors']))
    assert page_of(bare).all('template')
    assert page.stat().st_size < 1_500_000


def test_a_training_leaves_its_report(config, dataset, tmp_path):
    folder, log = tmp_path / 'run', tmp_path / 'log'
    options = (config, '--data-root', dataset, '--work-dir', folder)
    going = forked.finish(log, 'train', *options, report=True)
    assert f'report       {folder / "report.html"}' in going.text
    assert figures(folder)['metrics']['photos'] == VAL
    assert codes(folder) == []
    assert (folder / 'train_batch.jpg').is_file()
    shown = text_of(folder / 'report.html')
    assert 'Training photos after augmentation' in shown
    assert 'tools/train.py' in shown
    assert 'optim_wrapper.optimizer.lr' in shown


def test_a_comparison_goes_over_nothing_else(plain_run, bare, tmp_path):
    write_report(bare)
    before = (bare / 'report.html').read_bytes()
    for name in ('report.html', 'run.html'):
        with pytest.raises(UserError, match='would replace'):
            write_comparison([plain_run, bare], bare / name)
    assert (bare / 'report.html').read_bytes() == before
    for _ in range(2):
        write_comparison([plain_run, bare], bare / 'comparison.html')
    with pytest.raises(UserError, match='given twice'):
        write_comparison([bare, bare / '..' / bare.name])
    with pytest.raises(UserError, match=r'expected a \.html file'):
        write_comparison([plain_run, bare], tmp_path / 'x.json')
    done = tool('report', bare, '--out', tmp_path / 'x.html', check=False)
    assert done.returncode == 2
    assert '--out' in done.stderr


def test_a_data_root_that_is_given_has_to_be_right(bare, tmp_path):
    with pytest.raises(UserError, match=r'has no classes\.txt'):
        write_report(bare, tmp_path)
    assert not (bare / 'report.html').exists()


def test_another_dataset_is_refused(bare, root):
    for path in [root / 'classes.txt', *root.glob('*.txt')]:
        path.write_text(
            path.read_text('utf-8').replace('red', 'green'), 'utf-8'
        )
    for path in root.glob('*/red'):
        path.rename(path.with_name('green'))
    with pytest.raises(UserError, match='differ from those of the model'):
        write_report(bare, root)


def test_a_run_without_best_says_so(bare):
    (bare / 'best.pth').unlink()
    write_report(bare)
    assert 'best.pth is missing' in figures(bare)['missing_reason']
    assert figures(bare)['metrics'] is None
    record = json.loads((bare / 'run.json').read_text('utf-8'))
    record['photos']['val'] = 0
    (bare / 'run.json').write_text(json.dumps(record), 'utf-8')
    assert 'had no validation' in text_of(write_report(bare))


def test_best_alone_is_enough_with_a_dataset(bare, dataset):
    (bare / 'run.json').unlink()
    (bare / 'scalars.json').unlink()
    write_report(bare, dataset)
    assert codes(bare) == ['no-record']
    assert figures(bare)['metrics']['photos'] == VAL


def test_a_folder_without_a_run_is_the_users_mistake(tmp_path):
    done = tool('report', tmp_path, check=False)
    assert done.returncode == 2
    assert 'is not the folder of a run' in done.stderr
    with pytest.raises(UserError, match='is missing'):
        write_report(tmp_path / 'x')


def test_nothing_in_a_strangers_folder_is_run(bare, tmp_path):
    """The resolved config there is Python, and so may be other files."""
    mark = tmp_path / 'was run'
    code = f'open({str(mark)!r}, "w")\n'
    for name in ('tiny.py', 'sitecustomize.py', 'flower_mm.py', 'torch.py'):
        (bare / name).write_text(code)
    record = json.loads((bare / 'run.json').read_text('utf-8'))
    record['config'] = str(bare / 'tiny.py')
    (bare / 'run.json').write_text(json.dumps(record), 'utf-8')
    tool('report', '.', cwd=bare)
    assert (bare / 'report.html').is_file()
    assert not mark.exists()


def test_the_test_split_is_measured_on_demand(bare, photos, tmp_path, capsys):
    root = tmp_path / 'flowers'
    tool(
        'prepare_dataset',
        *(photos, '--out', root, '--val', '0.3', '--test', '0.1'),
    )
    write_report(bare, root)
    val = figures(bare)['metrics']['photos']
    write_report(bare, root, 'test')
    count = len((root / 'test.txt').read_text('utf-8').splitlines())
    assert figures(bare)['metrics']['photos'] == count != val
    capsys.readouterr()
    write_report(bare, root)
    assert 'predicting' in capsys.readouterr().err
    assert figures(bare)['metrics']['photos'] == val


def test_two_runs_side_by_side(plain_run, bad_run, tmp_path):
    out, runs = tmp_path / 'both.html', (plain_run, bad_run)
    forked.finish(tmp_path / 'log', 'report', *runs, '--out', out)
    made = json.loads(out.with_suffix('.json').read_text('utf-8'))
    (pair,) = made['pairs']
    one, two = (run['metrics'] for run in made['runs'])
    assert pair['photos'] == one['photos'] == VAL
    assert pair['difference'] == pytest.approx(two['top1'] - one['top1'])
    assert len(pair['only_first_photos']) == pair['only_first_correct']
    shown = Page(out.read_text('utf-8'))
    changed = pair['only_first_correct'] + pair['only_second_correct']
    assert len(shown.all('img')) == changed
    assert 'randomness.seed' in shown.text
    assert 'optim_wrapper.optimizer.lr' in shown.text


def test_a_comparison_leaves_the_runs_as_they_are(plain_run, bare, tmp_path):
    files = sorted(bare.iterdir())
    write_comparison([plain_run, bare], tmp_path / 'c.html')
    assert sorted(bare.iterdir()) == files


def test_runs_of_other_photos_are_not_tested_against_each_other(
    plain_run, bare, tmp_path, root
):
    lines = (root / 'val.txt').read_text('utf-8').splitlines(True)
    (root / 'val.txt').write_text(''.join(lines[1:]), 'utf-8')
    record = json.loads((bare / 'run.json').read_text('utf-8'))
    record['data_root'] = str(root)
    (bare / 'run.json').write_text(json.dumps(record), 'utf-8')
    page = write_comparison([plain_run, bare], tmp_path / 'c.html')
    made = json.loads(page.with_suffix('.json').read_text('utf-8'))
    assert made['pairs'][0]['missing_reason'] == 'other-photos'
    assert [run['metrics']['photos'] for run in made['runs']] == [VAL, VAL - 1]


def test_folds_are_reported_out_of_fold(config, dataset, tmp_path):
    folder, log = tmp_path / 'run', tmp_path / 'log'
    forked.finish(
        log,
        'train',
        *(config, '--data-root', dataset, '--work-dir', folder),
        *('--folds', '3', '--seed', '1'),
        *('--cfg-options', 'optim_wrapper.optimizer.lr=1e-6'),
    )
    page = write_report(folder)
    made = figures(folder)
    found = json.loads((folder / 'folds.json').read_text('utf-8'))
    assert made['folds']['mean_top1'] == pytest.approx(found['mean_top1'])
    assert made['metrics']['photos'] == found['photos'] == 60
    assert made['evaluation']['folds'] == 3
    assert Path(made['run']['data_root']) == dataset
    record = json.loads((dataset / 'dataset.json').read_text('utf-8'))
    assert made['run']['dataset_sha256'] == record['sha256']
    assert made['dataset']['prepared']
    assert record['sha256'] in text_of(page)
    assert made['errors']
    assert page_of(folder).pictures == 2 * min(24, len(made['errors']))
    refuses_what_is_not_of_these_folds(folder, tmp_path)
    shows_photos_of_the_dataset_alone(folder, made['errors'][0]['photo'])
    (folder / 'folds.json').unlink()
    with pytest.raises(UserError, match='are not finished'):
        write_report(folder)


def shows_photos_of_the_dataset_alone(folder: Path, photo: str) -> None:
    """Where the lists of a stranger's run name a private photo."""
    before = page_of(folder).pictures
    private = folder.parent / 'private.jpg'
    draw_photo(private, 0, 0)
    for path in (folder / 'predictions.csv', *folder.glob('*/held_out.csv')):
        path.write_text(path.read_text().replace(photo, str(private)))
    write_report(folder)
    assert page_of(folder).pictures == before - 2


def refuses_what_is_not_of_these_folds(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match='was trained with --folds'):
        write_report(folder, split='test')
    with pytest.raises(UserError, match='does not exist'):
        write_report(folder, tmp_path / 'gone')
    before = (folder / 'report.html').read_bytes()
    path = folder / 'predictions.csv'
    text = path.read_text('utf-8')
    found = read_predictions(path)
    scores = found.scores.copy()
    turned = int(np.flatnonzero(found.correct)[0])
    scores[turned] = np.roll(scores[turned], 1)
    write_predictions(path, replace(found, scores=scores))
    with pytest.raises(UserError, match='does not match'):
        write_report(folder)
    lines = text.splitlines(True)
    path.write_text(''.join(lines[:-1]), 'utf-8')
    with pytest.raises(UserError, match='expected 60 photos'):
        write_report(folder)
    path.write_text(text, 'utf-8')
    assert (folder / 'report.html').read_bytes() == before
    write_report(folder)
