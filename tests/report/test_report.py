"""tools/report.py on real runs, small ones."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import forked
import numpy as np
import pytest
from helpers import CLASSES, draw_photo, tool, train_tiny
from made_up import Page

import flower_mm.engine  # noqa: F401
from flower_mm.errors import UserError
from flower_mm.report.predictions import (
    Predictions,
    read_predictions,
    write_predictions,
)
from flower_mm.report.report_files import write_comparison, write_report
from flower_mm.weights.best_checkpoint import write_best
from flower_mm.weights.read_checkpoint import read_checkpoint

VAL = 21  # photos of the dataset's val split
FILES = ('best.pth', 'run.json', 'scalars.json')


@pytest.fixture
def bare(bad_run: Path, tmp_path: Path) -> Path:
    """A run of which no report was written yet."""
    folder = tmp_path / 'bare'
    folder.mkdir()
    for name in FILES:
        shutil.copy(bad_run / name, folder)
    return folder


@pytest.fixture(scope='session')
def bad_run(config, dataset, tmp_path_factory) -> Path:
    """As plain_run, but it learns too slowly to be always right."""
    return train_tiny(
        config,
        dataset,
        tmp_path_factory.mktemp('runs') / 'b',
        *('--seed', '7', '--cfg-options', 'optim_wrapper.optimizer.lr=3e-5'),
    )


def figures(folder: Path) -> dict:
    return json.loads((folder / 'report.json').read_text('utf-8'))


def text_of(page: Path) -> str:
    return Page(page.read_text('utf-8')).text


def test_a_run_becomes_a_page_and_figures(bare):
    done = tool('report', bare)
    assert str(bare / 'report.html') in done.stdout
    made = figures(bare)
    record = json.loads((bare / 'run.json').read_text('utf-8'))
    best = record['result']['best_top1']
    assert made['result']['top1'] == pytest.approx(best, abs=1e-3)
    assert made['result']['photos'] == record['photos']['val']
    assert made['classes'] == CLASSES
    assert made['run']['command'] == record['command']
    assert made['data']['prepared']
    assert (bare / 'predictions.csv').is_file()
    page = bare / 'report.html'
    assert one(best) in text_of(page)
    shown = Page(page.read_text('utf-8')).all('img')
    assert made['wrong']
    wrong = min(24, len(made['wrong']))
    # The small model is no judge of labels: theirs are not shown.
    assert len(shown) == 2 * wrong
    assert page.stat().st_size < 1_500_000


def test_predictions_are_made_once(bare, capsys):
    write_report(bare)
    assert 'predicting' in capsys.readouterr().err
    first = figures(bare)
    write_report(bare)
    assert 'predicting' not in capsys.readouterr().err
    again = figures(bare)
    for made in (first, again):
        del made['written']
    assert first == again


@pytest.mark.parametrize(
    'change', ['best', 'csv', 'photos', 'pixels', 'pixels alone']
)
def test_predictions_of_something_else_are_not_taken_up(
    bare, dataset, tmp_path, capsys, change
):
    root = tmp_path / 'data'
    shutil.copytree(dataset, root)
    write_report(bare, root)
    if change == 'best':
        found = read_checkpoint(bare / 'best.pth')
        for tensor in found['state_dict'].values():
            tensor.mul_(0.5)
        write_best(bare / 'best.pth', found['state_dict'], found['meta'])
    elif change == 'csv':
        path = bare / 'predictions.csv'
        path.write_bytes(path.read_bytes().replace(b',1,', b',0,', 1))
    elif change == 'photos':
        lines = (root / 'val.txt').read_text('utf-8').splitlines(True)
        (root / 'val.txt').write_text(''.join(lines[1:]), 'utf-8')
    else:
        first, *_, last = sorted((root / 'val').rglob('*.jpg'))
        before, pixels = first.stat(), last.read_bytes()
        if change == 'pixels alone':  # neither size nor time tell
            size = max(len(pixels), before.st_size)
            first.write_bytes(first.read_bytes().ljust(size, b'\0'))
            write_report(bare, root)
            before, pixels = first.stat(), pixels.ljust(size, b'\0')
        first.write_bytes(pixels)
        os.utime(first, ns=(before.st_atime_ns, before.st_mtime_ns))
        if change == 'pixels alone':
            assert first.stat().st_size == before.st_size
    capsys.readouterr()
    write_report(bare, root)
    assert 'predicting' in capsys.readouterr().err
    if change == 'photos':
        assert figures(bare)['result']['photos'] == len(lines) - 1
    elif change.startswith('pixels'):
        found = read_predictions(bare / 'predictions.csv')
        place = found.photos.index(str(first))
        shown = found.photos.index(str(last))
        assert np.array_equal(found.scores[place], found.scores[shown])


def test_a_touched_photo_costs_time_and_no_more(
    bare, dataset, tmp_path, capsys
):
    root = tmp_path / 'data'
    shutil.copytree(dataset, root)
    write_report(bare, root)
    before = figures(bare)
    next((root / 'val').rglob('*.jpg')).touch()
    capsys.readouterr()
    write_report(bare, root)
    assert 'predicting' in capsys.readouterr().err
    made = figures(bare)
    for key in ('result', 'confusion', 'wrong'):
        assert made[key] == before[key]
    write_report(bare, root)
    assert 'predicting' not in capsys.readouterr().err


def test_a_training_leaves_its_report(config, dataset, tmp_path):
    folder, log = tmp_path / 'run', tmp_path / 'log'
    options = (config, '--data-root', dataset, '--work-dir', folder)
    going = forked.finish(log, 'train', *options, report=True)
    assert f'report       {folder / "report.html"}' in going.text
    assert figures(folder)['result']['photos'] == VAL
    shown = text_of(folder / 'report.html')
    assert 'This run' not in shown
    assert 'tools/train.py' in shown
    assert 'optim_wrapper.optimizer.lr' in shown


def test_without_the_photos_there_are_still_figures(bare, dataset, tmp_path):
    root = tmp_path / 'data'
    shutil.copytree(dataset, root)
    write_report(bare, root)
    record = json.loads((bare / 'run.json').read_text('utf-8'))
    record['data_root'] = str(root)
    (bare / 'run.json').write_text(json.dumps(record), 'utf-8')
    before = figures(bare)['result']
    shutil.rmtree(root)
    (bare / 'report.html').unlink()
    page = write_report(bare)
    assert figures(bare)['result'] == before
    assert Page(page.read_text('utf-8')).all('img') == []
    assert '--data-root' in text_of(page)
    (bare / 'report.json').unlink()
    with pytest.raises(UserError, match='does not exist'):
        write_report(bare)


def test_without_best_there_are_still_figures(bare, plain_run, tmp_path):
    write_report(bare)
    before = figures(bare)
    (bare / 'best.pth').unlink()
    with pytest.raises(UserError, match='has its photos and stays'):
        write_report(bare)
    (bare / 'report.html').unlink()
    page = write_report(bare)
    made = figures(bare)
    for key in ('result', 'measured', 'wrong'):
        assert made[key] == before[key]
    assert Page(page.read_text('utf-8')).all('img') == []
    assert 'best.pth is not there any more' in text_of(page)
    both = write_comparison([plain_run, bare], tmp_path / 'both.html')
    assert 'McNemar' in text_of(both)
    # What no report vouches for is not taken up.
    (bare / 'report.json').unlink()
    assert 'Nothing was measured' in text_of(write_report(bare))


@pytest.mark.parametrize('made_by', ['the tool', 'hand'])
def test_without_a_test_split_it_is_told_how_to_make_one(
    bare, dataset, tmp_path, made_by
):
    root = tmp_path / 'data'
    shutil.copytree(dataset, root)
    command = f'--out {root} --test 0.15 --overwrite'
    if made_by == 'hand':
        (root / 'dataset.json').unlink()
        command = '--out NEW --test 0.15, then --data-root NEW'
    with pytest.raises(UserError, match=r'there is no test\.txt') as error:
        write_report(bare, root, 'test')
    assert f'prepare_dataset.py PHOTOS {command}' in str(error.value)


def note(folder: Path, **values: object) -> None:
    """Let run.json say something else."""
    record = json.loads((folder / 'run.json').read_text('utf-8'))
    text = json.dumps(record | values)
    (folder / 'run.json').write_text(text, 'utf-8')


@pytest.mark.parametrize(
    'wrong', ['split', 'device', 'best', 'photos', 'no predictions']
)
def test_what_cannot_be_had_leaves_the_report_as_it_was(
    bare, dataset, tmp_path, wrong
):
    root = tmp_path / 'data'
    shutil.copytree(dataset, root)
    note(bare, data_root=str(root))
    write_report(bare)
    options = []
    if wrong == 'split':
        options = ['--split', 'test']
    elif wrong == 'device':
        options = ['--device', 'cuda:99']
    elif wrong == 'best':
        whole = (bare / 'best.pth').read_bytes()
        (bare / 'best.pth').write_bytes(whole[: len(whole) // 2])
    else:
        shutil.rmtree(root)
    if wrong == 'no predictions':
        (bare / 'predictions.csv').unlink()
    names = [bare / 'report.html', bare / 'report.json']
    before = [path.read_bytes() for path in names]
    done = forked.start(tmp_path / 'log', 'report', bare, *options)
    assert done.wait() == 2
    assert 'Traceback' not in done.text
    if wrong in ('photos', 'no predictions'):
        assert str(root) in done.text
        assert '--data-root' in done.text
    assert [path.read_bytes() for path in names] == before


def test_an_older_run_is_told_by_its_datasets_sha256(bare):
    told = 'The dataset has changed since this run'
    assert told not in text_of(write_report(bare))
    assert figures(bare)['measured']['dataset_changed'] is False
    note(bare, lists_sha256=None)
    assert told not in text_of(write_report(bare))
    note(bare, dataset_sha256='0' * 64)
    assert told in text_of(write_report(bare))
    note(bare, dataset_sha256=None)
    assert told not in text_of(write_report(bare))


@pytest.mark.parametrize('split', ['val', 'test'])
def test_photos_of_other_lists_are_not_held_out(
    bare, dataset, tmp_path, split
):
    root = tmp_path / 'data'
    shutil.copytree(dataset, root)
    shutil.copytree(root / 'train', root / split, dirs_exist_ok=True)
    lines = (root / 'train.txt').read_text('utf-8').splitlines(True)
    (root / f'{split}.txt').write_text(''.join(lines[::2]), 'utf-8')
    (root / 'train.txt').write_text(''.join(lines[1::2]), 'utf-8')
    note(bare, data_root=str(root))
    shown = text_of(write_report(bare, split=split))
    assert f'any of these {len(lines[::2])} photos may have been' in shown
    assert 'kept aside' not in shown
    assert 'the figure is fair' not in shown
    assert figures(bare)['measured']['dataset_changed'] is True


def test_a_run_resumed_on_other_photos_holds_none_out(bare):
    note(bare, resumed_although=['the photos or classes of data have changed'])
    assert 'may have been learned from' in text_of(write_report(bare))


def test_a_best_of_another_run_is_told(bare, plain_run):
    found = read_checkpoint(plain_run / 'best.pth')
    assert 'is not the one of' not in text_of(write_report(bare))
    found['meta']['metrics']['accuracy/top1'] = 12.5
    write_best(bare / 'best.pth', found['state_dict'], found['meta'])
    for _ in range(2):  # predicted, and taken up
        assert 'is not the one of' in text_of(write_report(bare))


def test_a_comparison_goes_over_nothing_else(plain_run, bare, tmp_path):
    write_report(bare)
    before = (bare / 'report.html').read_bytes()
    for name in ('report.html', 'run.html'):
        with pytest.raises(UserError, match='would be lost'):
            write_comparison([plain_run, bare], bare / name)
    assert (bare / 'report.html').read_bytes() == before
    for _ in range(2):
        write_comparison([plain_run, bare], bare / 'comparison.html')
    with pytest.raises(UserError, match='named twice'):
        write_comparison([bare, bare / '..' / bare.name])


def test_a_data_root_that_is_given_has_to_be_right(bare, tmp_path):
    with pytest.raises(UserError, match=r'has no classes\.txt'):
        write_report(bare, tmp_path)
    assert not (bare / 'report.html').exists()


def test_another_dataset_is_refused(bare, dataset, tmp_path):
    root = tmp_path / 'data'
    shutil.copytree(dataset, root)
    for path in [root / 'classes.txt', *root.glob('*.txt')]:
        path.write_text(
            path.read_text('utf-8').replace('red', 'green'), 'utf-8'
        )
    for path in root.glob('*/red'):
        path.rename(path.with_name('green'))
    with pytest.raises(UserError, match='other classes than the model'):
        write_report(bare, root)


def test_a_run_without_best_says_so(bare):
    (bare / 'best.pth').unlink()
    shown = text_of(write_report(bare))
    assert 'Nothing was measured: there is no best.pth' in shown
    assert 'How it learned' in shown
    record = json.loads((bare / 'run.json').read_text('utf-8'))
    record['photos']['val'] = 0
    (bare / 'run.json').write_text(json.dumps(record), 'utf-8')
    assert 'had no validation' in text_of(write_report(bare))


def test_best_alone_is_enough_with_a_dataset(bare, dataset):
    (bare / 'run.json').unlink()
    (bare / 'scalars.json').unlink()
    shown = text_of(write_report(bare, dataset))
    assert 'no run.json' in shown
    assert figures(bare)['result']['photos'] == VAL


def test_a_folder_without_a_run_is_the_users_mistake(tmp_path):
    done = tool('report', tmp_path, check=False)
    assert done.returncode == 2
    assert 'holds no run' in done.stderr
    with pytest.raises(UserError, match='does not exist'):
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


def test_a_hostile_best_is_refused(bare):
    found = read_checkpoint(bare / 'best.pth')
    found['meta']['cfg']['model']['type'] = 'os.system'
    write_best(bare / 'best.pth', found['state_dict'], found['meta'])
    with pytest.raises(UserError, match='is refused'):
        write_report(bare)


def test_the_test_split_is_measured_on_demand(bare, photos, tmp_path, capsys):
    root = tmp_path / 'flowers'
    tool(
        'prepare_dataset',
        *(photos, '--out', root, '--val', '0.3', '--test', '0.1'),
    )
    write_report(bare, root)
    val = figures(bare)['result']['photos']
    shown = text_of(write_report(bare, root, 'test'))
    count = len((root / 'test.txt').read_text('utf-8').splitlines())
    assert figures(bare)['result']['photos'] == count != val
    assert f'top-1 on {count} test photos' in shown
    capsys.readouterr()
    write_report(bare, root)
    assert 'predicting' in capsys.readouterr().err
    assert figures(bare)['result']['photos'] == val


def test_two_runs_side_by_side(plain_run, bad_run, tmp_path):
    out, runs = tmp_path / 'both.html', (plain_run, bad_run)
    forked.finish(tmp_path / 'log', 'report', *runs, '--out', out)
    made = json.loads(out.with_suffix('.json').read_text('utf-8'))
    (pair,) = made['pairs']
    one, two = (run['result'] for run in made['runs'])
    assert pair['photos'] == one['photos'] == VAL
    assert pair['difference'] == pytest.approx(two['top1'] - one['top1'])
    assert len(pair['right_then_wrong_photos']) == pair['right_then_wrong']
    shown = Page(out.read_text('utf-8'))
    changed = pair['right_then_wrong'] + pair['wrong_then_right']
    assert len(shown.all('img')) == changed
    assert 'randomness.seed' in shown.text
    assert 'optim_wrapper.optimizer.lr' in shown.text


def test_runs_of_other_photos_are_not_tested_against_each_other(
    plain_run, bare, dataset, tmp_path
):
    root = tmp_path / 'data'
    shutil.copytree(dataset, root)
    lines = (root / 'val.txt').read_text('utf-8').splitlines(True)
    (root / 'val.txt').write_text(''.join(lines[1:]), 'utf-8')
    record = json.loads((bare / 'run.json').read_text('utf-8'))
    record['data_root'] = str(root)
    (bare / 'run.json').write_text(json.dumps(record), 'utf-8')
    page = write_comparison([plain_run, bare], tmp_path / 'c.html')
    assert 'not measured on the same photos' in text_of(page)
    made = json.loads(page.with_suffix('.json').read_text('utf-8'))
    assert 'p' not in made['pairs'][0]
    assert [run['result']['photos'] for run in made['runs']] == [VAL, VAL - 1]


def test_a_comparison_takes_two_runs_and_a_page(plain_run, bad_run, tmp_path):
    with pytest.raises(UserError, match='named twice'):
        write_comparison([plain_run, plain_run])
    with pytest.raises(UserError, match=r'the page is a \.html'):
        write_comparison([plain_run, bad_run], tmp_path / 'x.json')
    out = forked.start(
        tmp_path / 'log', 'report', plain_run, '--out', tmp_path / 'x.html'
    )
    assert out.wait() == 2
    assert 'leave --out away' in out.text


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
    assert made['result']['photos'] == found['photos'] == 60
    assert made['measured']['folds'] == 3
    assert Path(made['run']['data_root']) == dataset
    record = json.loads((dataset / 'dataset.json').read_text('utf-8'))
    assert made['run']['dataset_sha256'] == record['sha256']
    assert made['data']['prepared']
    assert record['sha256'] in text_of(page)
    shown = Page(page.read_text('utf-8'))
    wrong = min(24, len(made['wrong']))
    assert wrong
    assert len(shown.all('img')) == 2 * wrong
    assert 'no judge of labels' in shown.text
    assert 'the one of 3 models that had not been trained' in shown.text
    assert 'chose which of' not in shown.text
    refuses_what_is_not_of_these_folds(folder, tmp_path)
    shows_photos_of_the_dataset_alone(folder, made['wrong'][0]['photo'])
    (folder / 'folds.json').unlink()
    with pytest.raises(UserError, match='folds are not finished'):
        write_report(folder)


def shows_photos_of_the_dataset_alone(folder: Path, photo: str) -> None:
    """Where the lists of a stranger's run name a private photo."""
    before = len(Page((folder / 'report.html').read_text()).all('img'))
    private = folder.parent / 'private.jpg'
    draw_photo(private, 0, 0)
    for path in (folder / 'predictions.csv', *folder.glob('*/held_out.csv')):
        path.write_text(path.read_text().replace(photo, str(private)))
    page = write_report(folder)
    assert len(Page(page.read_text()).all('img')) == before - 2


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
    with pytest.raises(UserError, match='is not of this run: of fold_'):
        write_report(folder)
    lines = text.splitlines(True)
    path.write_text(''.join(lines[:-1]), 'utf-8')
    with pytest.raises(UserError, match='is not of this run'):
        write_report(folder)
    held = list(folder.glob('fold_*/held_out.csv'))
    for apart in held:
        apart.rename(apart.with_suffix('.away'))
    with pytest.raises(UserError, match='of all folds it has 59 photos'):
        write_report(folder)
    for apart in held:
        apart.with_suffix('.away').rename(apart)
    path.write_text(text, 'utf-8')
    assert (folder / 'report.html').read_bytes() == before
    write_report(folder)


def test_an_interrupted_run_has_a_report(config, dataset, tmp_path):
    """As far as it came: it is stopped in its second epoch."""
    folder, log = tmp_path / 'run', tmp_path / 'log'
    going = forked.start(
        log,
        'train',
        *(config, '--data-root', dataset, '--work-dir', folder),
        *('--cfg-options', 'train_cfg.max_epochs=500'),
    )
    while going.process.is_alive() and 'epoch 1/' not in going.text:
        going.process.join(0.05)
    os.kill(going.process.pid, 2)
    assert going.wait() == 130
    shown = text_of(write_report(folder))
    assert 'This run was interrupted' in shown
    assert figures(folder)['result']['photos'] == VAL


def test_a_comparison_leaves_reports_of_other_photos_alone(
    plain_run, bare, dataset, tmp_path
):
    """Those of the test split, say, that a run was judged by."""
    root = tmp_path / 'data'
    shutil.copytree(dataset, root)
    shutil.copytree(root / 'val', root / 'test', dirs_exist_ok=True)
    shutil.copy(root / 'val.txt', root / 'test.txt')
    write_report(bare, root, 'test')
    names = ('report.html', 'report.json', 'predictions.csv')
    before = [(bare / name).read_bytes() for name in names]
    page = write_comparison([plain_run, bare], tmp_path / 'c.html')
    assert [(bare / name).read_bytes() for name in names] == before
    made = json.loads(page.with_suffix('.json').read_text('utf-8'))
    assert [run['measured']['split'] for run in made['runs']] == ['val'] * 2
    assert 'McNemar' in text_of(page)


def test_photos_exchanged_under_their_names_are_noticed(
    bare, dataset, tmp_path
):
    """By others that were learned from: the lists stay as they are."""
    root = tmp_path / 'data'
    shutil.copytree(dataset, root)
    told = 'The dataset has changed since this run'
    assert told not in text_of(write_report(bare, root))
    first, second, *_ = sorted((root / 'val').rglob('*.jpg'))
    learned = sorted((root / 'train').rglob('*.jpg'))
    for photo, other in zip((first, second), learned, strict=False):
        photo.write_bytes(other.read_bytes())
    for _ in range(2):  # predicted, and taken up
        shown = text_of(write_report(bare, root))
        assert told in shown
        assert '2 photos of these are not what dataset.json lists' in shown
        assert figures(bare)['measured']['other_photos'] == 2


def test_photos_that_prepare_found_equal_are_one(
    bare, dataset, tmp_path, capsys
):
    root = tmp_path / 'data'
    shutil.copytree(dataset, root)
    listed = (root / 'val.txt').read_text('utf-8').splitlines()
    paths = [line.rpartition(' ')[0] for line in listed]
    record = json.loads((root / 'dataset.json').read_text('utf-8'))
    groups = [paths[:3], [paths[4], 'red/of another split.jpg'], [7, None]]
    text = json.dumps(record | {'equal': groups})
    (root / 'dataset.json').write_text(text, 'utf-8')
    shown = text_of(write_report(bare, root))
    assert figures(bare)['measured']['equal'] == [[0, 1, 2]]
    assert figures(bare)['result']['different'] == VAL - 2
    assert f'Of the {VAL} photos {VAL - 2} are different' in shown
    before = figures(bare)['result']
    note(bare, data_root=str(root))
    shutil.rmtree(root)
    (bare / 'report.html').unlink()
    write_report(bare)
    assert figures(bare)['result'] == before


@pytest.mark.parametrize(
    'groups', [None, 7, [7], [['a/1.jpg', 'a/2.jpg'], ['a/2.jpg', 'a/1.jpg']]]
)
def test_groups_that_are_none_are_passed_over(tmp_path, groups):
    (tmp_path / 'dataset.json').write_text(json.dumps({'equal': groups}))
    found = Predictions(
        ['/x/a/1.jpg', '/x/a/2.jpg'],
        np.array([0, 0]),
        np.full((2, 2), 0.5, np.float32),
        ['a', 'b'],
    )
    assert not equal_places(tmp_path, found)


def test_prepare_notes_which_photos_are_equal(photos, tmp_path):
    source = tmp_path / 'photos'
    shutil.copytree(photos, source)
    one = next(source.rglob('*.jpg'))
    (one.parent / 'sub').mkdir()
    shutil.copy(one, one.parent / 'sub' / 'again.jpg')
    root = tmp_path / 'flowers'
    tool('prepare_dataset', source, '--out', root)
    record = json.loads((root / 'dataset.json').read_text('utf-8'))
    names = [
        f'{one.parent.name}/{name}' for name in (one.name, 'sub_again.jpg')
    ]
    assert sorted(names) in record['equal']


@pytest.mark.parametrize(
    'damage',
    [
        {'folds': 5, 'x': float('nan')},
        {'photos_per_second': float('inf')},
        {'best_epoch': 10**400, 'best_top1': float('nan')},
        {'equal': [[0, 1], [1, 2]]},
        {'equal': [[10**9, 0], ['x']]},
        None,
    ],
)
def test_any_earlier_figures_make_valid_ones(bare, damage):
    write_report(bare)
    found = figures(bare)
    del found['measured']['folds']
    found['measured'] |= damage or {}
    (bare / 'report.json').write_text(json.dumps(found), 'utf-8')
    (bare / 'best.pth').unlink()
    (bare / 'report.html').unlink()
    write_report(bare)

    def none(name: str) -> None:
        raise AssertionError(f'{name} is no JSON')

    text = (bare / 'report.json').read_text('utf-8')
    made = json.loads(text, parse_constant=none)
    assert made['measured'] is None or made['measured']['folds'] is None


def test_a_training_without_validation_says_why_it_has_no_report(
    config, dataset, tmp_path
):
    folder, log = tmp_path / 'run', tmp_path / 'log'
    options = (config, '--data-root', dataset, '--work-dir', folder)
    going = forked.finish(log, 'train', *options, '--no-validate', report=True)
    assert 'no report, because the run had no validation' in going.text
    assert f'report.py {folder}' in going.text
    assert not (folder / 'report.html').exists()
    assert 'had no validation' in text_of(write_report(folder))
