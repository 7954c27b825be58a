"""Photos that are not where the config says, and none held out."""

import shlex
from pathlib import Path

import pytest
from examining import NOTE, STOP, WARN, Examined, look_at, write
from making import (
    CUSTOM,
    TINY_ON_BASE,
    custom,
    lines_of,
    make_dataset,
    write_lines,
)

PHOTOS = {'rose': 6, 'tulip': 6}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    few = dict.fromkeys(PHOTOS, 3)
    return make_dataset(tmp_path / 'mine', train=PHOTOS, val=few, test=few)


@pytest.fixture
def examine(tmp_path: Path, root: Path):
    def run(text: str, *words: str) -> Examined:
        return look_at(write(tmp_path, text), '--data-root', root, *words)

    return run


def stock(root: Path, text: str = CUSTOM) -> str:
    return custom(root, f"classes='{root}/classes.txt',", text)


# --- mistake 4: prefixes -----------------------------------------------------


def test_a_prefix_that_the_lines_have_as_well(examine, root):
    """Lines `train/rose/000.jpg 0` under data_prefix='train'."""
    lines = lines_of(root / 'train.txt')
    write_lines(root / 'train.txt', [f'train/{line}' for line in lines])
    seen = examine(stock(root))
    found = seen.one('12 of 12 photos of train are not there')
    assert found.level == STOP
    assert f'{root}/train/train/rose/000.jpg' in found.what
    assert found.where == 'train_dataloader.dataset.data_prefix'
    assert (
        examine(stock(root), *shlex.split(found.mend)).about('not there') == []
    )


def test_the_prefix_of_train_for_val(examine, root):
    """Copied and not changed: val's lines, in the folder of train."""
    for photo in (root / 'val').rglob('*.jpg'):
        photo.rename(photo.with_name(f'v{photo.name}'))
    lines = [line.replace('/', '/v') for line in lines_of(root / 'val.txt')]
    write_lines(root / 'val.txt', lines)
    text = stock(root).replace("data_prefix='val'", "data_prefix='train'")
    found = examine(text).one('6 of 6 photos of val are not there')
    assert found.level == STOP
    assert found.mend.endswith('val_dataloader.dataset.data_prefix=val')
    words = shlex.split(found.mend)
    assert examine(text, *words).about('of val are not there') == []


def test_photos_of_train_do_not_stand_in_for_those_of_val(examine, root):
    """The names of its photos are the same; what is on them is not."""
    seen = examine(stock(root).replace("data_prefix='val'", "data_prefix='v'"))
    found = seen.one('photos of val are not there')
    assert 'data_prefix=val' in found.mend
    assert seen.about('cannot be read') == []
    (root / 'val').rename(root / 'elsewhere')
    (root / 'elsewhere').rename(root.parent / 'elsewhere')
    found = examine(stock(root)).one('photos of val are not there')
    assert 'data_prefix=' not in found.mend


def test_lines_that_lead_nowhere(examine, root):
    """One photo is lost, though another of its name is in val."""
    (root / 'train/rose/001.jpg').unlink()
    found = examine(stock(root)).one('1 of 12 photos of train are not there')
    assert found.level == STOP
    assert 'train/rose/001.jpg' in found.what
    assert found.where == str(root / 'train.txt')
    assert 'data_prefix=' not in found.mend


def test_our_dataset_tells_itself(examine, root):
    (root / 'train/rose/003.jpg').unlink()
    found = examine(TINY_ON_BASE).one('rose/003.jpg is not in')
    assert found.level == STOP
    assert 'line 4' in found.what


def test_photos_that_are_there(examine, root):
    assert examine(stock(root)).about('not there') == []


# --- listed twice ------------------------------------------------------------


@pytest.mark.parametrize(('side', 'level'), [('train', NOTE), ('val', WARN)])
def test_listed_twice(examine, root, side, level):
    lines = lines_of(root / f'{side}.txt')
    write_lines(root / f'{side}.txt', [*lines, lines[0]])
    found = examine(stock(root)).one(f'more than once in {side}')
    assert found.level == level
    assert 'rose/000.jpg' in found.what


def test_repeating_on_purpose(examine, root):
    text = (
        TINY_ON_BASE
        + f"""
train_dataloader = dict(
    batch_size=8, num_workers=0,
    dataset=dict(
        _delete_=True, type='RepeatDataset', times=2,
        dataset=dict(
            type='CustomDataset', data_root='{root}', ann_file='train.txt',
            classes='{root}/classes.txt', data_prefix='train',
            pipeline=train_pipeline)))
"""
    )
    assert examine(text).about('more than once') == []


# --- mistake 7: nothing held out ---------------------------------------------


def test_no_test_split(examine, root):
    (root / 'test.txt').unlink()
    found = examine(TINY_ON_BASE).one('no photos for a test')
    assert found.level == NOTE
    assert '--test 0.1' in found.mend


def test_a_test_split(examine):
    assert examine(TINY_ON_BASE).about('for a test') == []


def test_a_test_split_that_cannot_be_read_stops_no_training(examine, root):
    (root / 'test/rose/000.jpg').unlink()
    seen = examine(TINY_ON_BASE)
    found = seen.one('There will be no test')
    assert found.level == NOTE
    assert 'rose/000.jpg' in found.what
    assert not [f for f in seen.found if f.level == STOP]


def test_nothing_is_validated(examine):
    text = TINY_ON_BASE + (
        'val_cfg = None\nval_dataloader = None\nval_evaluator = None\n'
    )
    assert examine(text).one('Nothing is validated').level == NOTE


def test_not_to_validate_was_said(examine):
    seen = examine(TINY_ON_BASE, '--no-validate')
    assert seen.about('validated') == seen.about('for a test') == []
    assert seen.about('could not be checked') == []
