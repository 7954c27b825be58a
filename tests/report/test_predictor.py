"""A model from best.pth alone says what the tools' say."""

import shutil
from pathlib import Path

import forked
import numpy as np
import pytest
import torch
from helpers import CLASSES

from flower_mm.annotations import read_annotations
from flower_mm.errors import UserError
from flower_mm.inference.model import plain_weights
from flower_mm.report.predictions import read_predictions
from flower_mm.report.predictor import Predictor
from flower_mm.weights.read_checkpoint import read_checkpoint


@pytest.fixture(scope='module')
def best(plain_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Only best.pth, beside a config that must not be run."""
    folder = tmp_path_factory.mktemp('stranger')
    (folder / 'tiny.py').write_text('raise SystemExit("was run")')
    return Path(shutil.copy(plain_run / 'best.pth', folder))


@pytest.fixture(scope='module')
def held_out(dataset: Path) -> tuple[list[str], list[int]]:
    folder = dataset / 'val'
    photos = read_annotations(dataset / 'val.txt', folder, CLASSES)
    return (
        [str(folder / photo.name) for photo in photos],
        [photo.label for photo in photos],
    )


def test_scores_are_those_of_the_test_tool_to_the_bit(
    best, held_out, config, dataset, tmp_path
):
    out = tmp_path / 'photos.csv'
    forked.finish(
        tmp_path / 'log',
        'test',
        *(config, best, '--data-root', dataset, '--out', out),
        *('--work-dir', tmp_path / 'test'),
        # The last batch is a smaller one.
        *('--cfg-options', 'test_dataloader.batch_size=7'),
    )
    theirs = read_predictions(out)
    predictor = Predictor(best, batch_size=7)
    ours = predictor.predict(*held_out)
    assert ours.photos == theirs.photos
    assert np.array_equal(ours.labels, theirs.labels)
    assert ours.classes == theirs.classes == CLASSES
    assert np.array_equal(ours.scores, theirs.scores)
    assert predictor.images_per_second > 0


def test_the_model_saw_a_square_of_32_pixels_in_rgb(best, held_out):
    predictor = Predictor(best)
    for photo, label in zip(*held_out, strict=True):
        seen = predictor.seen(predictor.packed(photo))
        assert seen.shape == (32, 32, 3)
        assert seen.dtype == np.uint8
        # The colour that draw_photo gives to the class.
        assert seen.mean((0, 1)).argmax() == (2, 0, 1)[label]


def test_a_photo_that_is_gone_or_broken_is_named(best, tmp_path):
    predictor = Predictor(best)
    gone, broken = tmp_path / 'gone.jpg', tmp_path / 'broken.jpg'
    broken.write_bytes(b'\xff\xd8no photo')
    with pytest.raises(UserError, match=r'gone\.jpg is missing') as error:
        predictor.predict([str(gone)], [0])
    assert 'prepare --check' in str(error.value)
    with pytest.raises(UserError, match=r'broken\.jpg could not be loaded'):
        predictor.predict([str(broken)], [0])


def test_plain_weights_are_those_that_were_trained(plain_run, train, held_out):
    """Without the average, the same run ends in the same plain weights."""
    alone = train('alone', '--cfg-options', 'default_hooks.ema=None')
    trained = read_checkpoint(alone / 'epoch_2.pth')['state_dict']
    checkpoint = read_checkpoint(plain_run / 'epoch_2.pth')
    found = plain_weights(checkpoint)
    assert found.keys() == trained.keys()
    assert all(torch.equal(found[key], trained[key]) for key in found)
    averaged = checkpoint['state_dict']
    assert not all(torch.equal(found[key], averaged[key]) for key in found)
    of_both = [
        Predictor(path, unselected=True).predict(*held_out).scores
        for path in (alone / 'epoch_2.pth', plain_run / 'epoch_2.pth')
    ]
    assert np.array_equal(*of_both)


def test_the_mean_of_all_steps_is_not_selected(plain_run, held_out, tmp_path):
    content = read_checkpoint(plain_run / 'epoch_2.pth')
    hook = content['meta']['cfg']['default_hooks']['ema']
    hook['ema_type'] = 'StochasticWeightAverage'
    path = tmp_path / 'epoch_2.pth'
    torch.save(content, path)
    averaged, mean = (
        Predictor(path, unselected=unselected).predict(*held_out).scores
        for unselected in (False, True)
    )
    assert np.array_equal(averaged, mean)
    other = Predictor(plain_run / 'epoch_2.pth', unselected=True)
    assert not np.array_equal(other.predict(*held_out).scores, mean)
