"""A model that is large for this machine."""

from pathlib import Path

import pytest
from examining import NOTE, WARN, Examined, look_at, write
from making import TINY_ON_BASE, make_dataset

from flower_mm.doctor.machine import cost


@pytest.fixture
def examine(tmp_path: Path):
    counts = {'rose': 6, 'tulip': 6}
    root = make_dataset(tmp_path / 'mine', train=counts, val=counts)

    def run(text: str, *words: str, **how) -> Examined:
        path = write(tmp_path, text)
        options = ('--data-root', root, '--device', 'cpu', '--from-scratch')
        return look_at(path, *options, *words, **how)

    return run


def test_the_arithmetic_of_a_known_model(examine):
    """ResNet-18 is published with 1.8 thousand million of each."""
    seen = examine("_base_ = 'CONFIGS/resnet18_flower.py'\n")
    operations, held = cost._one_photo(seen.case.model, (224, 224))
    assert operations == pytest.approx(3.63e9, rel=0.02)
    # Every convolution, norm and activation leaves its output behind.
    assert 15e6 < held < 40e6


def test_a_model_for_a_gpu(examine):
    text = (
        "_base_ = 'CONFIGS/resnet18_flower.py'\n"
        'train_cfg = dict(max_epochs=100_000)\n'
    )
    found = examine(text, thorough=True).one('Without a GPU')
    assert found.level == NOTE
    assert '--time' in found.mend
    assert examine(text).about('Without a GPU') == []


def test_a_model_for_a_cpu(examine):
    text = TINY_ON_BASE + 'train_cfg = dict(max_epochs=100)\n'
    seen = examine(text, thorough=True)
    assert seen.about('Without a GPU') == seen.about('memory are there') == []
    assert seen.about('could not be checked') == []


def test_a_batch_that_no_memory_holds(examine):
    text = TINY_ON_BASE + "train_dataloader['batch_size'] = 2**30\n"
    found = examine(text, thorough=True).one('memory are there')
    assert found.level == WARN
    assert 'a batch of 1073741824 photos' in found.what.lower()
    parts = int(found.mend.split()[1].rstrip(':'))
    seen = examine(text, '--accumulate', str(parts), thorough=True)
    assert seen.about('memory are there') == []
