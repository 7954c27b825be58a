"""A model that is large for this machine."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from examining import NOTE, WARN, Examined, look_at, write
from making import TINY_ON_BASE, make_dataset

from flower_mm.checks.machine import cost


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


@pytest.mark.parametrize(
    ('gpus', 'processes', 'batches', 'fits'),
    [
        ([10], 1, 8, True),
        ([10], 1, 20, False),
        ([10] * 4, 4, 8, True),  # one process on each
        ([10] * 4, 4, 20, False),
        ([10] * 2, 4, 4, True),  # two processes on each
        ([10] * 2, 4, 8, False),
        ([100, 10], 1, 20, True),  # the first alone
        ([100, 10], 2, 20, False),  # the smaller one, too
    ],
)
def test_the_memory_of_each_gpu(
    gpus, processes, batches, fits, examine, monkeypatch
):
    """GPUs in units of the memory that a photo of a batch takes."""
    seen = examine(TINY_ON_BASE, thorough=True)
    unit = 1e9
    monkeypatch.setattr(cost, 'SURELY', 1.0)
    monkeypatch.setattr(cost, '_one_photo', lambda *_: (0.0, unit))
    monkeypatch.setattr(cost.torch.cuda, 'device_count', lambda: len(gpus))
    monkeypatch.setattr(cost.torch.cuda, 'current_device', lambda: 0)
    monkeypatch.setattr(
        cost.torch.cuda,
        'get_device_properties',
        lambda gpu=0: SimpleNamespace(total_memory=gpus[gpu] * unit),
    )
    monkeypatch.setenv('LOCAL_WORLD_SIZE', str(processes))
    seen.case.device = 'cuda'
    seen.case.cfg.launcher = 'pytorch' if processes > 1 else 'none'
    seen.case.cfg.train_dataloader.batch_size = batches
    found = [f for f in cost.check(seen.case) if 'memory are there' in f.what]
    assert (found == []) == fits
