"""`--folds`: usual runs that share no photo, their doubles included."""

import csv
import json
import shutil
from collections import Counter
from pathlib import Path

import forked
import numpy as np
import pytest
import torch
from helpers import CLASSES, ROOT, draw_photo, tool

from flower_mm.cli.training_flags import parse_training
from flower_mm.config import read_config
from flower_mm.engine import folds
from flower_mm.engine.resolved_run import resolve_training
from flower_mm.report.predictions import read_predictions
from flower_mm.report.predictor import Predictor

FAULTS = ROOT / 'tests' / 'support' / 'faults.py'


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset with a test split and a photo that is there three times."""
    folder = tmp_path_factory.mktemp('folds')
    photos = folder / 'photos'
    for label, name in enumerate(CLASSES):
        for number in range(16):
            # Of a class of its own by colour for half of them only.
            draw_photo(
                photos / name / f'{number:03}.jpg',
                label if number % 2 else (label + number) % 3,
                10 * label + number,
            )
    for copy in ('copy.jpg', 'other.jpg'):
        shutil.copy(photos / 'red/003.jpg', photos / 'red' / copy)
    out = folder / 'data'
    tool('prepare_dataset', photos, '--out', out, '--test', '0.2')
    return out


def train(
    config: Path, data: Path, run: Path, *args: str, **kwargs
) -> forked.Run:
    log = run.with_name(run.name + '.log')
    options = (config, '--data-root', data, '--work-dir', run, '--folds', '3')
    return forked.start(log, 'train', *options, *args, **kwargs)


@pytest.fixture(scope='module')
def run(
    config: Path, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Three folds with nothing changed. Tests leave it alone."""
    folder = tmp_path_factory.mktemp('runs') / 'run'
    done = train(config, data, folder, report=True)
    assert done.wait() == 0, done.text
    return folder


def listed(path: Path) -> list[str]:
    lines = path.read_text(encoding='utf-8').splitlines()
    return [line.rpartition(' ')[0] for line in lines]


def test_every_photo_but_the_tests_is_held_out_once(run, data):
    found = read_predictions(run / 'predictions.csv')
    expected = [
        str(data / side / name)
        for side in ('train', 'val')
        for name in listed(data / f'{side}.txt')
    ]
    assert found.photos == expected
    assert found.classes == CLASSES
    for photo, label in zip(found.photos, found.labels, strict=True):
        assert Path(photo).parent.name == CLASSES[label]
    held = Counter()
    for fold in (1, 2, 3):
        folds = run / 'folds' / str(fold)
        learned, out = listed(folds / 'train.txt'), listed(folds / 'val.txt')
        assert not set(learned) & set(out)
        assert len(learned) + len(out) == len(expected)
        held.update(out)
        mine = read_predictions(run / f'fold_{fold}' / 'held_out.csv')
        assert sorted(Path(p).name for p in mine.photos) == sorted(
            Path(name).name for name in out
        )
    assert set(held.values()) == {1}


def test_doubles_are_held_out_together(run):
    with (run / 'folds' / 'photos.csv').open(encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    triple = [
        row['fold']
        for row in rows
        if row['photo'].endswith(('copy.jpg', 'other.jpg', 'red/003.jpg'))
    ]
    assert len(triple) == 3
    assert len(set(triple)) == 1


def test_a_photo_is_judged_by_the_last_weights_of_its_fold(run):
    found = read_predictions(run / 'predictions.csv')
    place = {photo: i for i, photo in enumerate(found.photos)}
    for fold in (1, 2, 3):
        held = read_predictions(run / f'fold_{fold}' / 'held_out.csv')
        last = run / f'fold_{fold}' / 'epoch_2.pth'
        again = Predictor(last, unselected=True).predict(
            held.photos, held.labels
        )
        assert np.array_equal(again.scores, held.scores)
        rows = [place[photo] for photo in held.photos]
        assert np.array_equal(found.scores[rows], held.scores)


def test_a_fold_is_a_usual_run(run, config, tmp_path):
    """In one process or alone, with the same seed: the same weights."""
    alone = tmp_path / 'alone'
    forked.finish(
        tmp_path / 'log',
        'train',
        *(config, '--data-root', run / 'folds' / '2', '--work-dir', alone),
    )
    one, two = (
        torch.load(folder / 'best.pth', weights_only=True)['state_dict']
        for folder in (alone, run / 'fold_2')
    )
    assert one.keys() == two.keys()
    assert all(torch.equal(one[key], two[key]) for key in one)
    record = json.loads((run / 'fold_2' / 'run.json').read_text())
    assert record['status'] == 'finished'


def test_photos_kept_decoded_go_when_their_fold_ends(
    config, data, tmp_path, monkeypatch
):
    def decode(cfg, args, folder: Path, fold: int, held) -> bool:
        assert not list(folder.rglob('*.photos'))
        kept = folder / 'folds' / str(fold) / 'decoded'
        kept.mkdir()
        (kept / 'train.photos').write_bytes(b'pixels')
        return fold == 3  # it breaks off

    monkeypatch.setattr(folds, '_train', decode)
    monkeypatch.setattr(folds, 'read_predictions', lambda _: None)
    words = '--data-root', data, '--work-dir', tmp_path, '--folds', '3'
    args = parse_training([str(config), *map(str, words)])
    cfg = read_config(args.config)
    assert folds.train_folds(cfg, resolve_training(cfg, args), args)
    (left,) = tmp_path.rglob('*.photos')  # for --resume
    assert left.parent == tmp_path / 'folds' / '3' / 'decoded'


def test_the_figures_are_those_of_the_folds(run):
    figures = json.loads((run / 'folds.json').read_text())
    top1 = []
    for fold, row in enumerate(figures['folds'], 1):
        held = read_predictions(run / row['run'] / 'held_out.csv')
        top1.append(100 * held.correct.mean())
        record = json.loads((run / f'fold_{fold}' / 'run.json').read_text())
        assert row['top1'] == pytest.approx(top1[-1])
        assert row['best_top1'] == record['result']['best_top1']
        assert row['photos'] == len(held.photos)
        # The best epoch was chosen by these photos.
        assert row['best_top1'] >= row['top1'] - 1e-4
    assert figures['mean_top1'] == pytest.approx(np.mean(top1))
    assert figures['lowest_top1'] == pytest.approx(min(top1))
    assert figures['highest_top1'] == pytest.approx(max(top1))
    assert figures['standard_deviation'] == pytest.approx(np.std(top1, ddof=1))
    assert 30 < figures['mean_top1'] < 100  # neither chance nor certain
    text = run.with_name('run.log').read_text()
    assert f'mean {figures["mean_top1"]:.2f} %' in text
    assert (run / 'report.html').is_file()
    assert text.count('report.html') == 1


@pytest.mark.parametrize(
    'step',
    [
        'replace fold_2/held_out.csv 1',
        *(
            pytest.param(step, marks=pytest.mark.nightly)
            for step in (
                'replace fold_2/epoch_2.pth 1',
                'replace predictions.csv 1',
            )
        ),
    ],
)
def test_resumed_where_it_was_killed_it_ends_in_the_same(
    step, run, config, data, tmp_path
):
    folder = tmp_path / 'killed'
    first = train(
        config,
        data,
        folder,
        first=str(FAULTS),
        env={
            'FAULT_FOLDER': str(folder),
            'FAULT_NOTES': str(tmp_path / 'notes'),
            'FAULT_AT': step,
        },
    )
    assert first.wait() == -9, first.text
    finished = folder / 'fold_1'
    before = {p: p.stat().st_mtime_ns for p in finished.rglob('*')}
    second = train(config, data, folder, '--resume')
    assert second.wait() == 0, second.text
    after = {p: p.stat().st_mtime_ns for p in finished.rglob('*')}
    assert after.keys() == before.keys()
    # But for the lock, which tells who had it.
    assert [p.name for p in before if before[p] != after[p]] in ([], ['.lock'])
    assert 'reading photos' not in second.text  # the folds are those of then
    for name in ('predictions.csv', 'folds.json'):
        assert (folder / name).read_bytes() == (run / name).read_bytes()


@pytest.mark.parametrize(
    ('args', 'said'),
    [
        (['--folds', '1'], 'expected at least 2'),
        (['--folds', '40'], 'Try: --folds 8'),
        (['--resume', 'epoch_1.pth'], '--resume without epoch_1.pth'),
        (['--resume-anyway'], 'not --resume-anyway'),
        (['--resume', '--seed', '7'], 'another seed'),
        (['--resume', '--folds', '4'], 'another number of folds'),
        (
            ['--resume', '--cfg-options', 'optim_wrapper.optimizer.lr=1e-4'],
            'optim_wrapper.optimizer.lr was',
        ),
    ],
)
def test_what_folds_cannot_do_is_told(args, said, run, config, data, tmp_path):
    # As much of the run as is asked for.
    folder = tmp_path / 'run'
    if args[0] == '--resume':
        shutil.copytree(run, folder)
    done = train(config, data, folder, *args)
    assert done.wait() == 2
    assert said in done.text
    assert 'Traceback' not in done.text


def test_another_run_in_the_folder_sets_the_folds_aside(
    run, config, dataset, tmp_path
):
    folder = tmp_path / 'run'
    shutil.copytree(run, folder)
    forked.finish(
        tmp_path / 'log',
        'train',
        *(config, '--data-root', dataset, '--work-dir', folder),
    )
    assert not list(folder.glob('fold*'))
    assert not (folder / 'predictions.csv').exists()
    (earlier,) = (folder / 'earlier').iterdir()
    assert (earlier / 'folds.json').is_file()
    assert (earlier / 'fold_3' / 'best.pth').is_file()
