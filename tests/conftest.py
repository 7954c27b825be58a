"""Photos, datasets and a small model, made anew for each session of tests."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import memory
import pytest
from helpers import CLASSES, ROOT, TINY, draw_photo, tool, train_tiny
from slices import parse_slice

from flower_mm.torch_import import let_threads_sleep

# A busy machine makes no input wrong.
hypothesis.settings.register_profile('patient', deadline=None)
hypothesis.settings.load_profile('patient')
# Tests download nothing, except from servers of their own.
os.environ['HF_HUB_OFFLINE'] = '1'
# Before torch is imported here; the tools that tests fork have it from here.
let_threads_sleep()
# A shell's background jobs ignore Ctrl-C and so would the tools that tests
# start there.
signal.signal(signal.SIGINT, signal.default_int_handler)


SLICE = '--nightly-slice'


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        SLICE,
        type=parse_slice,
        metavar='K/N',
        help='besides the tests of every change, run the K-th of N parts of '
        'the nightly ones, chosen by a hash of their names',
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption(SLICE):
        config.option.markexpr = ''


def pytest_report_header(config: pytest.Config) -> str | None:
    part = config.getoption(SLICE)
    return f'{SLICE} {part.number}/{part.count}' if part else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    part = config.getoption(SLICE)
    if not part:
        return
    others = [
        item
        for item in items
        if item.get_closest_marker('nightly') and not part.has(item.nodeid)
    ]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in set(others)]


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    memory.give_back_above_limit()


@pytest.fixture(scope='session', autouse=True)
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tools note which datasets are trusted."""
    folder = tmp_path_factory.mktemp('state')
    os.environ['XDG_STATE_HOME'] = str(folder)
    return folder


@pytest.fixture(autouse=True)
def same_folder() -> Iterator[None]:
    """A test that changes the current folder changes it back."""
    before = Path.cwd()
    yield
    after = Path.cwd()
    os.chdir(before)
    assert after == before


@pytest.fixture(scope='session')
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of class folders, twenty photos each."""
    folder = tmp_path_factory.mktemp('photos')
    for label, name in enumerate(CLASSES):
        for number in range(20):
            draw_photo(folder / name / f'{number:03}.jpg', label, number)
    return folder


@pytest.fixture(scope='session')
def dataset(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp('dataset') / 'flowers'
    tool('prepare_dataset', photos, '--out', out, '--val', '0.35')
    return out


@pytest.fixture(scope='session')
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small model on our own base."""
    path = tmp_path_factory.mktemp('config') / 'tiny.py'
    base = str(ROOT / 'configs' / '_base_' / 'flower.py')
    path.write_text(TINY.format(base=base), encoding='utf-8')
    return path


@pytest.fixture
def train(config: Path, dataset: Path, tmp_path: Path) -> Callable:
    """Train under a name, with further arguments."""

    def run(name: str, *args: str) -> Path:
        return train_tiny(config, dataset, tmp_path / name, *args)

    return run


@pytest.fixture(scope='session')
def plain_run(
    config: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Two epochs with nothing changed. Tests read it and leave it alone."""
    run = tmp_path_factory.mktemp('runs') / 'a'
    return train_tiny(config, dataset, run, curves=True)
