"""The order, the colours and the scale that photos come in."""

import shlex
from pathlib import Path

import pytest
import torch
from examining import WARN, look_at, write
from making import TINY_ON_BASE, lines_of, make_dataset, write_lines

IMAGENET = 'mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]'
BLUE_FIRST = 'mean=[103.53, 116.28, 123.675], std=[57.375, 57.12, 58.395]'
SHUFFLE = 'train_dataloader["sampler"] = dict(shuffle=False)\n'


@pytest.fixture
def weights(examine_whole, tmp_path: Path) -> str:
    """Weights of the tiny model, as if they had learned something."""
    model = examine_whole(TINY_ON_BASE).case.model
    state = {
        f'backbone.{name}': torch.rand_like(value.float())
        for name, value in model.backbone.state_dict().items()
    }
    torch.save({'state_dict': state}, tmp_path / 'weights.pth')
    return f"load_from = '{(tmp_path / 'weights.pth').as_posix()}'\n"


@pytest.fixture
def examine(examine_whole):
    return lambda more, *words: examine_whole(TINY_ON_BASE + more, *words)


def normalised(settings: str) -> str:
    return f'data_preprocessor = dict(_delete_=True, {settings})\n'


@pytest.mark.parametrize(
    ('settings', 'said'),
    [
        (
            'mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225], '
            'to_rgb=True',
            'for photos from 0 to 1',
        ),
        ('mean=[0, 0, 0], std=[1, 1, 1], to_rgb=True', 'not normalised'),
        ('to_rgb=True', 'not normalised'),
        (f'{IMAGENET}, to_rgb=False', 'blue first'),
        (IMAGENET, 'blue first'),
    ],
)
def test_other_photos_than_the_weights_know(examine, weights, settings, said):
    text = normalised(settings)
    found = examine(text + weights).one(said)
    assert found.level == WARN
    words = shlex.split(found.mend)
    seen = examine(text + weights, *words)
    assert seen.about(said) == seen.about('blue first') == []
    # Random weights take them as they are.
    assert examine(text, '--from-scratch').about(said) == []


@pytest.mark.parametrize(
    'settings',
    [
        f'{IMAGENET}, to_rgb=True',
        'mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True',
        'mean=[122.8, 116.7, 104.1], std=[68.5, 66.6, 70.3], to_rgb=True',
        'mean=[0, 0, 0], std=[255, 255, 255], to_rgb=True',
        f'{BLUE_FIRST}, to_rgb=False',  # RegNet's
        'mean=[0, 0, 0], std=[255, 255, 255]',  # MobileViT's
    ],
)
def test_numbers_that_some_weights_have(examine, weights, settings):
    seen = examine(normalised(settings) + weights)
    assert [f for f in seen.found if f.where.startswith('data_prep')] == []


def test_photos_without_their_colours(examine, weights):
    text = "train_pipeline[0]['color_type'] = 'grayscale'\n"
    text += "train_dataloader['dataset'] = dict(pipeline=train_pipeline)\n"
    found = examine(text + weights).one('without their colours')
    assert found.level == WARN
    words = shlex.split(found.mend)
    assert examine(text + weights, *words).about('colours') == []
    assert examine(text, '--from-scratch').about('colours') == []


def test_photos_in_the_order_of_their_list(examine):
    found = examine(SHUFFLE).one('class after class')
    assert found.level == WARN
    assert examine(SHUFFLE, *shlex.split(found.mend)).about('order') == []


def test_a_list_that_was_shuffled_once(tmp_path):
    counts = {'rose': 8, 'tulip': 8}
    root = make_dataset(tmp_path / 'mine', train=counts, val=counts)
    lines = lines_of(root / 'train.txt')
    pairs = zip(lines[:8], lines[8:], strict=True)
    mixed = [line for pair in pairs for line in pair]
    write_lines(root / 'train.txt', mixed)
    seen = look_at(
        write(tmp_path, TINY_ON_BASE + SHUFFLE), '--data-root', root
    )
    assert seen.case.iterations > 1
    assert seen.about('class after class') == []


def test_one_batch_has_no_order(examine):
    text = SHUFFLE + "train_dataloader['batch_size'] = 512\n"
    assert examine(text).about('class after class') == []


def test_validation_that_is_another_each_time(examine):
    text = "val_dataloader['dataset'] = dict(pipeline=train_pipeline)\n"
    found = examine(text).one('at random')
    assert found.level == WARN
    assert 'RandomResizedCrop, RandomFlip, ColorJitter' in found.mend
    assert found.where == 'val_dataloader.dataset.pipeline'


def test_a_validation_as_it_should_be(examine):
    flip = "test_pipeline.insert(1, dict(type='RandomFlip', prob=0.0))\n"
    seen = examine(flip + 'val_dataloader["dataset"]["pipeline"] = []\n')
    assert seen.about('at random') == []
    assert examine('').about('at random') == []
