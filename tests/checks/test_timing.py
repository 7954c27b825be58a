"""`tools/doctor.py --time`: a few iterations stand for the whole run."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from logging import FileHandler
from pathlib import Path

import forked
import pytest
from examining import look_at, write
from making import TINY_ON_BASE, make_dataset
from mmengine.logging import MMLogger
from test_disk import STOCK

from flower_mm.checks.machine import timing
from flower_mm.checks.machine.timing import Timing, measure

# Half a second instead of twenty.
QUICKLY = """
from flower_mm.checks.machine import timing
timing.LONGEST = timing.VALIDATING = 0.2
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    counts = {'rose': 12, 'tulip': 12}
    return make_dataset(tmp_path / 'mine', train=counts, val=counts)


@pytest.fixture
def timed(tmp_path, root, monkeypatch) -> Callable[..., Timing]:
    monkeypatch.setattr(timing, 'LONGEST', 0.2)
    monkeypatch.setattr(timing, 'VALIDATING', 0.2)
    temporary = tmp_path / 'temporary'
    temporary.mkdir()
    monkeypatch.setattr(tempfile, 'tempdir', str(temporary))

    def run(text: str, *words: str) -> Timing:
        work_dir = tmp_path / 'run'
        seen = look_at(
            write(tmp_path, text), '--data-root', root,
            '--work-dir', work_dir, '--device', 'cpu', *words,
        )  # fmt: skip
        found = measure(seen.case)
        assert list(temporary.glob('flower_mm_*')) == []
        assert not work_dir.exists()
        return found

    return run


def test_a_run_is_timed_and_leaves_nothing(timed, capfd):
    found = timed(TINY_ON_BASE)
    assert found.photos > 1
    assert found.validated > 1
    assert found.train == pytest.approx(24 / found.photos)
    assert found.validate > 0
    assert found.write > 0
    assert found.epochs == found.validations == 2
    assert 0 <= found.waiting <= 1
    assert found.start > 0
    assert found.whole > 2 * found.train
    assert capfd.readouterr().out == ''


def test_epochs_shorter_than_what_is_measured(timed):
    """Three iterations each: it goes over into the next."""
    assert timed(TINY_ON_BASE, '--no-validate').photos > 1


def test_with_workers(timed):
    text = TINY_ON_BASE + (
        "train_dataloader['num_workers'] = 1\n"
        "val_dataloader['num_workers'] = 1\n"
    )
    assert timed(text).validated > 1


def test_more_batches_than_are_logged_at_once(timed, monkeypatch):
    monkeypatch.setattr(timing, 'VALIDATING', 60.0)
    text = TINY_ON_BASE + "val_dataloader['batch_size'] = 1\n"
    assert timed(text).validated > 1


def test_what_is_built_afterwards_can_be_logged(timed):
    timed(TINY_ON_BASE)
    handlers = MMLogger.get_current_instance().handlers
    files = [each for each in handlers if isinstance(each, FileHandler)]
    assert all(each.stream for each in files)


def test_not_validated(timed):
    found = timed(TINY_ON_BASE, '--no-validate')
    assert found.validated == found.validate == found.validations == 0
    assert 'validate' not in str(found).splitlines()[0]


def test_mmengines_own_runner(timed, capfd):
    """Its log would cover the screen."""
    small = """
model = dict(
    backbone=dict(stem_channels=16, base_channels=16),
    head=dict(in_channels=128))
train_cfg = dict(val_interval=50)
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=32),
    dict(type='PackInputs'),
]
train_dataloader['dataset']['pipeline'] = pipeline
val_dataloader['dataset']['pipeline'] = pipeline
for loader in (train_dataloader, val_dataloader):
    loader.update(batch_size=8, num_workers=0)
"""
    found = timed(STOCK + small)
    assert (found.epochs, found.validations) == (100, 2)
    assert capfd.readouterr().out.count('\n') < 10


def test_weights_that_are_not_here_take_no_time(timed):
    text = TINY_ON_BASE + (
        'default_hooks = dict(pretrained=dict(\n'
        "    type='PretrainedHook', weights='nowhere.pth'))\n"
    )
    assert timed(text).photos > 1


EXAMPLE = Timing(
    start=3.0, photos=40.0, validated=120.0, waiting=0.03, train=57.0,
    validate=4.0, write=1.0, epochs=60, validations=60, workers=4,
)  # fmt: skip


def test_what_is_said():
    said = str(EXAMPLE)
    assert '40.0 photos a second to learn from, 120 to validate' in said
    assert '57.0 s, 4.0 s to validate, 1.0 s to write' in said
    assert '60 epoch(s)  1 h 2 min' in said
    assert 'computing takes it; 3 % of the time' in said
    assert '2 min 30 s' in str(replace(EXAMPLE, train=150.0))
    assert 'num_workers=4' in str(replace(EXAMPLE, waiting=0.6))


def test_the_tool_times(tmp_path, root):
    first = tmp_path / 'quickly.py'
    first.write_text(QUICKLY)
    config = write(tmp_path, TINY_ON_BASE)
    words = (config, '--data-root', root, '--time')
    log = tmp_path / 'doctor.log'
    done = forked.finish(log, 'doctor', *words, first=str(first))
    assert 'photos a second' in done.text
    assert '2 epoch(s)' in done.text


def test_what_cannot_run_is_not_timed(tmp_path, root):
    config = write(
        tmp_path, TINY_ON_BASE + "optim_wrapper['type'] = 'AmpOptimWrapper'\n"
    )
    words = (config, '--data-root', root, '--time', '--device', 'cpu')
    run = forked.start(tmp_path / 'doctor.log', 'doctor', *words)
    assert run.wait() == 2
    assert '1 to stop for' in run.text
    assert 'photos a second' not in run.text
