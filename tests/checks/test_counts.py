"""Classes without photos, with few, and with many times those of others."""

from pathlib import Path

import pytest
from examining import NOTE, STOP, WARN, Examined, look_at, write
from making import TINY_ON_BASE, lines_of, make_dataset, write_lines


@pytest.fixture
def examine(tmp_path: Path):
    config = write(tmp_path, TINY_ON_BASE)

    def run(*words: str, more: str = '', **sides: dict) -> Examined:
        root = make_dataset(tmp_path / 'photos', **sides)
        if more:
            write(tmp_path, TINY_ON_BASE + more)
        return look_at(config, '--data-root', root, *words)

    return run


def test_a_class_that_is_only_in_val(examine):
    seen = examine(train={'rose': 6, 'tulip': 0}, val={'rose': 3, 'tulip': 3})
    found = seen.one('No photo of tulip is in train')
    assert found.level == STOP
    assert 'it cannot be learned' in found.what
    assert found.where.endswith('train.txt')
    assert 'prepare PHOTOS' in found.mend


def test_a_name_in_classes_txt_that_nothing_is_of(examine):
    seen = examine(train={'rose': 6, 'fern': 0}, val={'rose': 3})
    assert seen.one('No photo of fern is in train').level == WARN


def test_a_try_on_the_first_photos(examine):
    seen = examine(
        more="train_dataloader['dataset']['indices'] = 4\n",
        train={'rose': 6, 'tulip': 6},
        val={'rose': 3, 'tulip': 3},
    )
    assert seen.one('No photo of tulip is in train').level == WARN


def test_a_class_that_val_lacks(examine):
    """Stock datasets would shift every label behind it."""
    seen = examine(
        train={'daisy': 5, 'rose': 5, 'tulip': 5},
        val={'daisy': 3, 'rose': 0, 'tulip': 3},
    )
    found = seen.one('No photo of rose is in val')
    assert found.level == WARN
    assert found.where.endswith('val.txt')


def test_few_photos_are_told_once_with_their_numbers(examine):
    counts = {'daisy': 9, 'rose': 4, 'tulip': 1}
    seen = examine(train=counts, val={'daisy': 2, 'rose': 2, 'tulip': 2})
    found = seen.one('few photos')
    assert found.level == WARN
    assert 'rose (4), tulip (1)' in found.what


def test_ten_times_as_many_of_one(examine):
    seen = examine(train={'daisy': 60, 'rose': 6}, val={'daisy': 3, 'rose': 3})
    found = seen.one('60 photos of daisy, 6 of rose')
    assert found.level == NOTE
    assert 'ClassBalancedDataset' in found.mend


def test_the_advice_evens_it_out(examine):
    """The wrapper shows the small class as often."""
    seen = examine(
        more="""
train_dataloader = dict(
    batch_size=8, num_workers=0,
    dataset=dict(
        _delete_=True, type='ClassBalancedDataset', oversample_thr=0.5,
        dataset=dict(
            type='FlowerDataset', data_root='x', split='train',
            pipeline=train_pipeline)))
""",
        train={'daisy': 60, 'rose': 6},
        val={'daisy': 3, 'rose': 3},
    )
    assert seen.about('photos of daisy') == []


def test_even_classes_are_not_blamed(examine):
    seen = examine(train={'daisy': 5, 'rose': 30}, val={'daisy': 1, 'rose': 6})
    for saying in ('No photo of', 'few photos', 'photos of'):
        assert seen.about(saying) == []


def test_labels_of_the_first_lines_only(examine, tmp_path):
    """A list that was cut off for a try, by hand."""
    examine(train={'daisy': 6, 'rose': 6}, val={'daisy': 3, 'rose': 3})
    path = tmp_path / 'photos' / 'train.txt'
    write_lines(path, lines_of(path)[:6])
    seen = look_at(tmp_path / 'mine.py', '--data-root', tmp_path / 'photos')
    assert seen.one('No photo of rose is in train').level == STOP
