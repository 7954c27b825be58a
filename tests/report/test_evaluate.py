"""Predictions of a run: reused, missing, or of other photos."""

import json
import os
import shutil

import forked
import numpy as np
import pytest
from made_up import codes, figures, note, page_of, text_of

import flower_mm.engine  # noqa: F401
from flower_mm.errors import UserError
from flower_mm.report.dataset_findings import near_duplicates
from flower_mm.report.predictions import (
    Predictions,
    read_predictions,
)
from flower_mm.report.report_files import write_comparison, write_report
from flower_mm.weights.best_checkpoint import write_best
from flower_mm.weights.read_checkpoint import read_checkpoint

VAL = 21  # photos of the dataset's val split


def test_predictions_are_made_once(bare, capsys):
    write_report(bare)
    assert 'predicting' in capsys.readouterr().err
    first = figures(bare)
    write_report(bare)
    assert 'predicting' not in capsys.readouterr().err
    again = figures(bare)
    for made in (first, again):
        del made['created']
    assert first == again


@pytest.mark.parametrize(
    'change', ['best', 'csv', 'photos', 'pixels', 'pixels alone']
)
def test_outdated_predictions_are_not_reused(bare, capsys, change, root):
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
        assert figures(bare)['metrics']['photos'] == len(lines) - 1
    elif change.startswith('pixels'):
        found = read_predictions(bare / 'predictions.csv')
        place = found.photos.index(str(first))
        shown = found.photos.index(str(last))
        assert np.array_equal(found.scores[place], found.scores[shown])


def test_without_the_photos_there_are_still_figures(bare, root):
    write_report(bare, root)
    record = json.loads((bare / 'run.json').read_text('utf-8'))
    record['data_root'] = str(root)
    (bare / 'run.json').write_text(json.dumps(record), 'utf-8')
    before = figures(bare)['metrics']
    shutil.rmtree(root)
    (bare / 'report.html').unlink()
    page = write_report(bare)
    assert figures(bare)['metrics'] == before
    assert page_of(bare).all('img') == []
    assert '--data-root' in text_of(page)
    (bare / 'report.json').unlink()
    with pytest.raises(UserError, match='does not exist'):
        write_report(bare)


def test_without_best_there_are_still_figures(bare, plain_run, tmp_path):
    write_report(bare)
    before = figures(bare)
    (bare / 'best.pth').unlink()
    with pytest.raises(UserError, match='has photos and is kept'):
        write_report(bare)
    (bare / 'report.html').unlink()
    page = write_report(bare)
    made = figures(bare)
    for key in ('metrics', 'evaluation', 'errors'):
        assert made[key] == before[key]
    assert page_of(bare).all('img') == []
    assert 'best.pth is missing' in text_of(page)
    both = write_comparison([plain_run, bare], tmp_path / 'both.html')
    assert 'McNemar' in text_of(both)
    # Predictions without a report are not used.
    (bare / 'report.json').unlink()
    write_report(bare)
    assert figures(bare)['metrics'] is None


@pytest.mark.parametrize(
    'missing', ['split', 'device', 'best', 'photos', 'no predictions']
)
def test_a_failed_report_leaves_the_files_as_they_were(
    bare, tmp_path, missing, root
):
    note(bare, data_root=str(root))
    write_report(bare)
    options = []
    if missing == 'split':
        options = ['--split', 'test']
    elif missing == 'device':
        options = ['--device', 'cuda:99']
    elif missing == 'best':
        whole = (bare / 'best.pth').read_bytes()
        (bare / 'best.pth').write_bytes(whole[: len(whole) // 2])
    else:
        shutil.rmtree(root)
    if missing == 'no predictions':
        (bare / 'predictions.csv').unlink()
    names = [bare / 'report.html', bare / 'report.json']
    before = [path.read_bytes() for path in names]
    done = forked.start(tmp_path / 'log', 'report', bare, *options)
    assert done.wait() == 2
    assert 'Traceback' not in done.text
    if missing in ('photos', 'no predictions'):
        assert str(root) in done.text
        assert '--data' in done.text
    assert [path.read_bytes() for path in names] == before


@pytest.mark.parametrize('split', ['val', 'test'])
def test_photos_of_other_lists_have_changed(bare, split, root):
    shutil.copytree(root / 'train', root / split, dirs_exist_ok=True)
    lines = (root / 'train.txt').read_text('utf-8').splitlines(True)
    (root / f'{split}.txt').write_text(''.join(lines[::2]), 'utf-8')
    (root / 'train.txt').write_text(''.join(lines[1::2]), 'utf-8')
    note(bare, data_root=str(root))
    write_report(bare, split=split)
    assert figures(bare)['evaluation']['dataset_changed'] is True


def test_a_run_resumed_on_other_photos_has_changed(bare):
    note(bare, resumed_although=['the photos or classes of data have changed'])
    write_report(bare)
    assert figures(bare)['evaluation']['dataset_changed'] is True


def test_replaced_photos_are_noticed(bare, root):
    """By training photos: the lists stay as they are."""
    write_report(bare, root)
    assert codes(bare) == []
    first, second, *_ = sorted((root / 'val').rglob('*.jpg'))
    learned = sorted((root / 'train').rglob('*.jpg'))
    for photo, other in zip((first, second), learned, strict=False):
        photo.write_bytes(other.read_bytes())
    for _ in range(2):  # predicted, and taken up
        write_report(bare, root)
        assert codes(bare) == ['photos-replaced', 'dataset-changed']
        assert figures(bare)['evaluation']['replaced_photos'] == 2


def test_near_duplicates_of_prepare_count_once(bare, root):
    listed = (root / 'val.txt').read_text('utf-8').splitlines()
    paths = [line.rpartition(' ')[0] for line in listed]
    record = json.loads((root / 'dataset.json').read_text('utf-8'))
    groups = [paths[:3], [paths[4], 'red/of another split.jpg'], [7, None]]
    text = json.dumps(record | {'equal': groups})
    (root / 'dataset.json').write_text(text, 'utf-8')
    write_report(bare, root)
    assert figures(bare)['evaluation']['near_duplicates'] == [[0, 1, 2]]
    assert figures(bare)['metrics']['unique_photos'] == VAL - 2
    before = figures(bare)['metrics']
    note(bare, data_root=str(root))
    shutil.rmtree(root)
    (bare / 'report.html').unlink()
    write_report(bare)
    assert figures(bare)['metrics'] == before


@pytest.mark.parametrize(
    'groups', [None, 7, [7], [['a/1.jpg', 'a/2.jpg'], ['a/2.jpg', 'a/1.jpg']]]
)
def test_invalid_groups_are_ignored(tmp_path, groups):
    (tmp_path / 'dataset.json').write_text(json.dumps({'equal': groups}))
    found = Predictions(
        ['/x/a/1.jpg', '/x/a/2.jpg'],
        np.array([0, 0]),
        np.full((2, 2), 0.5, np.float32),
        ['a', 'b'],
    )
    assert not near_duplicates(tmp_path, found)


@pytest.mark.parametrize(
    'damage',
    [
        {'x': float('nan')},
        {'images_per_second': float('inf')},
        {'checkpoint_epoch': 10**400, 'checkpoint_top1': float('nan')},
        {'near_duplicates': [[0, 1], [1, 2]]},
        {'near_duplicates': [[10**9, 0], ['x']]},
    ],
)
def test_an_invalid_earlier_report_gives_valid_figures(bare, damage):
    write_report(bare)
    report = figures(bare)
    report['evaluation'] |= damage
    (bare / 'report.json').write_text(json.dumps(report), 'utf-8')
    (bare / 'best.pth').unlink()
    (bare / 'report.html').unlink()
    write_report(bare)
    text = (bare / 'report.json').read_text('utf-8')
    assert 'NaN' not in text
    assert 'Infinity' not in text


def test_a_report_of_another_format_is_renewed(bare, plain_run, tmp_path):
    path = bare / 'report.json'
    path.write_text('{"format": 1, "measured": {"split": "val"}}')
    with pytest.raises(UserError, match=f'report {bare}'):
        write_comparison([plain_run, bare], tmp_path / 'c.html')
    write_report(bare)
    assert figures(bare)['format'] == 2
    write_comparison([plain_run, bare], tmp_path / 'c.html')
    path.write_text('{"format": 1}')
    (bare / 'best.pth').unlink()
    with pytest.raises(UserError, match='another version'):
        write_report(bare)
    assert path.read_text() == '{"format": 1}'
