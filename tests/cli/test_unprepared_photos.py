"""One command from photos to best.pth."""

import argparse
import shutil
from pathlib import Path

import pytest
from helpers import CLASSES, draw_photo, tool

from flower_mm.cli.unprepared_photos import prepare_first
from flower_mm.config import read_config
from flower_mm.errors import UserError
from flower_mm.exit_codes import USER_ERROR


def arguments(data: object, launcher: str = 'none') -> argparse.Namespace:
    return argparse.Namespace(data_root=str(data), launcher=launcher)


@pytest.fixture
def small(tmp_path, monkeypatch) -> Path:
    """A few photos, beside which the command runs."""
    for label, name in enumerate(CLASSES):
        for number in range(4):
            path = tmp_path / 'my photos' / name / f'{number}.jpg'
            draw_photo(path, label, number)
    monkeypatch.chdir(tmp_path)
    return tmp_path / 'my photos'


def test_from_a_zip_to_best_pth(photos, config, tmp_path):
    packed = shutil.make_archive(str(tmp_path / 'mine'), 'zip', photos)
    run = tmp_path / 'run'
    words = ['--work-dir', run, '--from-scratch', '--no-report']
    done = tool('train', config, '--data', packed, *words, cwd=tmp_path)
    assert (run / 'best.pth').is_file()
    (dataset,) = (tmp_path / 'data').iterdir()
    assert dataset.name.startswith('mine-')
    assert f'making the dataset data/{dataset.name}' in done.stdout
    assert (dataset / 'classes.txt').read_text('utf-8').split('\n')[:-1] == (
        CLASSES
    )


def test_the_dataset_is_made_once(small, config, capsys):
    cfg = read_config(str(config))
    args = arguments(small)
    prepare_first(cfg, args)
    first = args.data_root
    assert Path(first).parent == Path('data')
    assert 'making the dataset' in capsys.readouterr().out
    for data in (small, first):  # the photos again, and the dataset
        args = arguments(data)
        prepare_first(cfg, args)
        assert args.data_root == first
        assert 'recognised' not in capsys.readouterr().out
    draw_photo(small / CLASSES[0] / 'new.jpg', 0, 99)
    args = arguments(small)
    prepare_first(cfg, args)
    assert args.data_root != first


def test_a_table_is_read_each_time(small, config, capsys):
    """Its own file says nothing about changed photos."""
    lines = [
        f'{path.relative_to(small)},{path.parent.name}'
        for path in sorted(small.rglob('*.jpg'))
    ]
    table = small.with_name('t.csv')
    table.write_text('\n'.join(['path,label', *lines]), 'utf-8')
    cfg = read_config(str(config))
    first, second = arguments(table), arguments(table)
    prepare_first(cfg, first)
    draw_photo(small / CLASSES[0] / '0.jpg', 0, 99)
    prepare_first(cfg, second)
    assert first.data_root == second.data_root
    assert capsys.readouterr().out.count('is ready') == 2


def test_datasets_made_by_hand_are_used(
    dataset, config, tmp_path, monkeypatch
):
    copy = tmp_path / 'copy'
    shutil.copytree(dataset, copy)
    (copy / 'dataset.json').unlink()
    for data in (dataset, copy, tmp_path / 'gone'):
        args = arguments(data)
        prepare_first(read_config(str(config)), args)
        assert args.data_root == str(data)
    # Without lists it is photos.
    (copy / 'train.txt').unlink()
    monkeypatch.chdir(tmp_path)
    args = arguments(copy)
    prepare_first(read_config(str(config)), args)
    assert args.data_root.startswith('data')


def test_configs_of_other_datasets_read_folders_themselves(small, config):
    cfg = read_config(str(config))
    for name in ('train', 'val', 'test'):
        cfg[f'{name}_dataloader'].dataset.type = 'CustomDataset'
    args = arguments(small)
    prepare_first(cfg, args)
    assert args.data_root == str(small)


def test_faults_name_the_command_with_options(small, config):
    (small / CLASSES[0] / 'bad.jpg').write_text('text')
    with pytest.raises(UserError, match=r'With other options: .*prepare'):
        prepare_first(read_config(str(config)), arguments(small))
    with pytest.raises(UserError, match=r'https://x\.org/a\.zip is a URL'):
        prepare_first(
            read_config(str(config)), arguments('https://x.org/a.zip')
        )


def test_several_processes_need_a_dataset(small, config, monkeypatch):
    monkeypatch.setenv('WORLD_SIZE', '2')
    monkeypatch.setenv('RANK', '0')
    with pytest.raises(UserError, match='Prepare it first'):
        prepare_first(
            read_config(str(config)), arguments(small, launcher='pytorch')
        )


def test_the_circle_has_an_end(small, config):
    """Split folders with classes.txt but without lists are photos."""
    split = small.with_name('split')
    for part in ('train', 'val'):
        shutil.copytree(small, split / part)
    (split / 'classes.txt').write_text('\n'.join(CLASSES), 'utf-8')
    done = tool('train', config, '--data', split, '--no-check', check=False,
                cwd=small.parent)  # fmt: skip
    assert 'recognised as split folders' in done.stdout
    assert done.returncode != USER_ERROR, done.stderr
