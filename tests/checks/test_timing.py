"""`tools/doctor.py --time`: a few iterations stand for the whole run."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from logging import FileHandler

import pytest
from examining import TINY_ON_BASE, opened, write
from making import make_dataset
from mmengine.logging import MMLogger
from test_machine import STOCK

from flower_mm.checks import timing
from flower_mm.checks.timing import Timing, measure


@pytest.fixture
def timed(tmp_path, monkeypatch) -> Callable[..., Timing]:
    counts = {'rose': 12, 'tulip': 12}
    root = make_dataset(tmp_path / 'mine', train=counts, val=counts)
    # Half a second instead of twenty.
    monkeypatch.setattr(timing, 'LONGEST', 0.2)
    monkeypatch.setattr(timing, 'VALIDATING', 0.2)
    temporary = tmp_path / 'temporary'
    temporary.mkdir()
    monkeypatch.setattr(tempfile, 'tempdir', str(temporary))

    def run(text: str, *words: str) -> Timing:
        path, work_dir = write(tmp_path, text), tmp_path / 'run'
        usual = ('--data-root', root, '--work-dir', work_dir)
        result = measure(opened(path, *usual, '--device', 'cpu', *words))
        assert list(temporary.glob('flower_mm_*')) == []
        assert not work_dir.exists()
        return result

    return run


def test_a_run_is_timed_and_leaves_nothing(timed, capfd):
    result = timed(TINY_ON_BASE)
    assert result.photos > 1
    assert result.validated > 1
    assert result.train == pytest.approx(24 / result.photos)
    assert result.validate > 0
    assert result.epochs == result.validations == 2
    assert 0 <= result.waiting <= 1
    assert result.whole > 2 * result.train
    assert capfd.readouterr().out == ''
    files = [
        handler
        for handler in MMLogger.get_current_instance().handlers
        if isinstance(handler, FileHandler)
    ]
    assert files == []


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('', ('--no-validate',)),
        ("train_dataloader['num_workers'] = 1\n", ()),
        ("val_dataloader['batch_size'] = 1\n", ()),
    ],
)
def test_other_runs(text, words, timed):
    assert timed(TINY_ON_BASE + text, *words).photos > 1


def test_mmengines_runner(timed):
    small = 'dict(batch_size=2, num_workers=0, dataset'
    assert timed(STOCK.replace('dict(dataset', small)).photos > 0


def test_what_is_printed(timed):
    result = timed(TINY_ON_BASE)
    assert 'images/s' in str(result)
    waits = str(replace(result, waiting=0.9, workers=4))
    assert '--workers 4' in waits
