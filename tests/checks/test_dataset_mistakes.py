"""Datasets that are missing, spoilt, or of other classes than the config."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from examining import (
    ERROR,
    TINY_ON_BASE,
    WARNING,
    Examined,
    look_at,
    write,
)
from making import CUSTOM, FOLDERS, custom, lines_of, make_dataset, write_lines
from PIL import Image

CLASSES = ('daisy', 'rose', 'tulip')
NAMES = f'metainfo=dict(classes={list(CLASSES)}),'
# Usual for these datasets: MMPretrain's has random augmentation in val.
USUAL = {'W DATA020 val_dataloader.dataset.pipeline'}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    counts = dict.fromkeys(CLASSES, 6)
    return make_dataset(tmp_path / 'mine', train=counts, val=counts)


@pytest.fixture
def examine(tmp_path: Path, root: Path) -> Callable[..., Examined]:
    def run(text: str = '', *words: str, **how) -> Examined:
        path = write(tmp_path, text or TINY_ON_BASE)
        usual = ('--data-root', root, '--device', 'cpu', '--from-scratch')
        return look_at(path, *usual, *words, **how)

    return run


def photo(path: Path, width: int, height: int) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (6, 8, 3)).astype(np.uint8)
    Image.fromarray(noise).resize((width, height)).save(path)


# --- photos and lists --------------------------------------------------------


def share_a_photo(root: Path) -> None:
    shutil.copy(root / 'train/rose/000.jpg', root / 'val/rose/001.jpg')


def copy_train_to_val(root: Path) -> None:
    shutil.copy(root / 'train.txt', root / 'val.txt')
    shutil.copytree(root / 'train', root / 'val', dirs_exist_ok=True)


def break_a_photo(root: Path, split: str) -> None:
    path = root / split / 'rose/001.jpg'
    path.write_bytes(path.read_bytes()[:400])


def drop(root: Path, split: str, name: str, keep: int = 0) -> None:
    lines = [x for x in lines_of(root / f'{split}.txt') if name not in x]
    of_name = [x for x in lines_of(root / f'{split}.txt') if name in x]
    write_lines(root / f'{split}.txt', lines + of_name[:keep])


def resize_all(root: Path, width: int, height: int) -> None:
    for path in (root / 'train').glob('*/*.jpg'):
        photo(path, width, height)


def repeat_a_line(root: Path) -> None:
    lines = lines_of(root / 'val.txt')
    write_lines(root / 'val.txt', [*lines, lines[0]])


def lose_a_photo(root: Path) -> None:
    (root / 'train/rose/002.jpg').unlink()


def swap_two_labels(root: Path) -> None:
    lines = lines_of(root / 'train.txt')
    swapped = [x.replace('.jpg 1', '.jpg 2') for x in lines]
    write_lines(root / 'train.txt', swapped)


def rename_classes(root: Path) -> None:
    write_lines(root / 'classes.txt', ['rose', 'daisy', 'tulip'])


def flower_cases() -> dict:
    """What is done to a dataset that FlowerDataset reads."""
    return {
        'as it is': (lambda root: None, ''),
        'shared': (share_a_photo, 'W DATA006 val.txt'),
        'val is train': (copy_train_to_val, 'W DATA006 val.txt'),
        'broken in train': (
            lambda root: break_a_photo(root, 'train'),
            'W DATA015 train.txt',
        ),
        'broken in val': (
            lambda root: break_a_photo(root, 'val'),
            'E DATA015 val.txt',
        ),
        'no rose to learn': (
            lambda root: drop(root, 'train', 'rose'),
            'E DATA010 train.txt',
        ),
        'no rose to validate': (
            lambda root: drop(root, 'val', 'rose'),
            'W DATA011 val.txt',
        ),
        'few roses': (
            lambda root: drop(root, 'train', 'rose', 2),
            'W DATA012 train.txt',
        ),
        'small': (
            lambda root: resize_all(root, 14, 12),
            'W DATA016 train.txt',
        ),
        'large': (
            lambda root: photo(root / 'train/rose/003.jpg', 4400, 40),
            '',
        ),
        'missing': (lose_a_photo, 'E DATA004 train.txt'),
        'other labels': (swap_two_labels, 'E DATA004 train.txt'),
        'other order': (
            rename_classes,
            'E DATA004 train.txt',
        ),
    }


@pytest.mark.parametrize(
    ('spoil', 'expected'), flower_cases().values(), ids=list(flower_cases())
)
def test_a_dataset_of_ours(spoil, expected, examine, root):
    spoil(root)
    rows = examine().rows()
    assert rows == set(filter(None, [expected])), rows


def custom_cases() -> dict:
    """The same for MMPretrain's CustomDataset, with lists or folders."""
    return {
        'lists': (CUSTOM, lambda root: None, ''),
        'folders': (FOLDERS, lambda root: None, ''),
        'repeated': (CUSTOM, repeat_a_line, 'W DATA005 val.txt'),
        'missing': (CUSTOM, lose_a_photo, 'E DATA004 train.txt'),
        'other labels': (
            CUSTOM,
            swap_two_labels,
            'E DATA010 train.txt, E DATA023 train_dataloader.dataset',
        ),
        'a folder too many': (
            FOLDERS,
            lambda root: shutil.copytree(
                root / 'train/rose', root / 'train/.ipynb_checkpoints'
            ),
            'E RUN001 train_dataloader.dataset',
        ),
        'a folder too few': (
            FOLDERS,
            lambda root: shutil.rmtree(root / 'val/daisy'),
            'E RUN001 val_dataloader.dataset',
        ),
        'another ending': (
            FOLDERS,
            lambda root: [
                path.rename(path.with_suffix('.webp'))
                for path in (root / 'train/rose').glob('*1.jpg')
            ],
            'W DATA014 train_dataloader.dataset.extensions',
        ),
    }


@pytest.mark.parametrize(
    ('text', 'spoil', 'expected'),
    custom_cases().values(),
    ids=list(custom_cases()),
)
def test_a_dataset_of_mmpretrains(text, spoil, expected, examine, root):
    spoil(root)
    rows = examine(custom(root, NAMES, text)).rows() - USUAL
    assert set(expected.split(', ')) - {''} <= rows, rows
    if not expected:
        assert rows == set()


@pytest.mark.parametrize(
    ('names', 'expected'),
    [
        ("metainfo=dict(classes=['rose', 'daisy', 'tulip']),", 'E DATA003'),
        ("metainfo=dict(classes=['a', 'b']),", 'W CFG013'),
        ('', 'E CFG013'),
    ],
)
def test_class_names_of_a_dataset(names, expected, examine, root):
    rows = examine(custom(root, names)).rows()
    assert f'{expected} train_dataloader.dataset.metainfo' in rows


def test_photos_of_different_sizes(examine, root):
    resize = "train_pipeline[1] = dict(type='ResizeEdge', scale=32)\n"
    for path in (root / 'train/rose').glob('*.jpg'):
        photo(path, 80, 40)
    text = f'{TINY_ON_BASE}{resize}'
    assert examine(text).rows() == {
        'E RUN003 train_dataloader.dataset.pipeline'
    }
    alone = ('--cfg-options', 'train_dataloader.batch_size=1')
    assert examine(text, *alone).of('RUN') == []


def test_photos_that_are_much_too_large(examine, root):
    resize_all(root, 4400, 40)
    assert examine().one('DATA017').severity == WARNING


def test_broken_photos_that_are_passed_over(examine, root):
    break_a_photo(root, 'train')
    assert '--skip-broken' in examine().one('DATA015').fix
    assert examine('', '--skip-broken').of('DATA015', least=WARNING) == []


def test_imbalance_is_a_note(tmp_path):
    counts = {'rose': 60, 'tulip': 5}
    root = make_dataset(tmp_path / 'uneven', train=counts, val=counts)
    path = write(tmp_path, TINY_ON_BASE)
    seen = look_at(path, '--data-root', root, '--from-scratch')
    assert '--balance' in seen.one('DATA013').fix


# --- near-duplicates ---------------------------------------------------------


def test_near_duplicates(examine, root):
    seen = examine()
    assert 'not searched' in seen.one('DATA009').message
    assert (
        'no near-duplicates' in examine(thorough=True).one('DATA009').message
    )
    with Image.open(root / 'train/rose/000.jpg') as image:
        image.resize((96, 80)).save(root / 'train/rose/000.jpg')
        image.save(root / 'val/rose/000.jpg', quality=60)
        image.save(root / 'train/tulip/001.jpg', quality=70)
    rows = examine(thorough=True).rows()
    assert rows == {'W DATA007 val.txt', 'W DATA008 train.txt'}


def test_prepare_has_searched(tmp_path, dataset):
    path = write(tmp_path, TINY_ON_BASE)
    seen = look_at(path, '--data-root', dataset, '--from-scratch')
    assert seen.of('DATA009') == []


# --- splits ------------------------------------------------------------------


def test_splits(examine, root, tmp_path):
    assert examine().one('DATA022').where.endswith('test.txt')
    make_dataset(tmp_path / 'more', test=dict.fromkeys(CLASSES, 2))
    shutil.copytree(tmp_path / 'more/test', root / 'test')
    shutil.copy(tmp_path / 'more/test.txt', root)
    assert examine().of('DATA022') == []
    none = 'val_cfg = val_dataloader = val_evaluator = None\n'
    assert examine(TINY_ON_BASE + none).one('DATA021')
    assert examine('', '--no-validate').of('DATA021', 'DATA022') == []


def test_val_is_read_from_train(examine):
    option = 'val_dataloader.dataset.split=train'
    seen = examine('', '--cfg-options', option)
    assert 'the same 18 photos' in seen.one('DATA006').message


# --- the folder --------------------------------------------------------------

STOCK = "_base_ = 'mmpretrain::resnet/resnet50_8xb32_in1k.py'\n"


def test_mmpretrains_default_folder(tmp_path):
    seen = look_at(write(tmp_path, STOCK), '--seed', '0')
    assert seen.rows(ERROR) == {'E DATA001 train_dataloader.dataset.data_root'}
    assert 'prepare PHOTOS --out' in seen.of('DATA001')[0].fix


def test_a_folder_beside_the_config(tmp_path, root, monkeypatch):
    monkeypatch.chdir(os.sep)
    (tmp_path / 'configs').mkdir()
    path = write(tmp_path / 'configs', TINY_ON_BASE)
    seen = look_at(path, '--data-root', 'mine')
    assert seen.one('DATA001').fix == f'--data {root}'


def test_one_split_from_another_folder(examine, root, tmp_path):
    text = f"{STOCK}train_dataloader = dict(dataset=dict(data_root='{root}'))"
    seen = look_at(write(tmp_path, text), '--seed', '0')
    finding = seen.one('DATA002')
    assert finding.where == 'val_dataloader.dataset.data_root'
    assert finding.fix == f'--data {root}'


def test_no_folder_is_named(tmp_path, root):
    text = custom(root, NAMES).replace(f"data_root='{root}',", '')
    rows = look_at(write(tmp_path, text)).rows(ERROR)
    assert rows == {'E DATA001 train_dataloader.dataset.data_root'}


def test_training_without_labels(tmp_path, root):
    name = 'barlowtwins/barlowtwins_resnet50_8xb256-coslr-300e_in1k'
    path = write(tmp_path, f"_base_ = 'mmpretrain::{name}.py'\n")
    seen = look_at(path, '--data-root', root, '--device', 'cpu')
    assert seen.of('RUN001')[0].where == 'model.type'
