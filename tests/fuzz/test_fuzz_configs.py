"""Configs in best.pth, changed at random: a prediction or our error.

Python's audit events and imports are watched meanwhile: only the photo and
the file of the model are opened, and nothing is imported, sent or run.
"""

import importlib
import itertools
import os
import socket
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from base_configs import BASES, Weights, build, weights_of
from config_mutations import ACCEPTED, TIMM, configs
from config_words import MODULE, configs_with_a_word, word_examples
from helpers import CLASSES, draw_photo
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from rubbish import COUNTS, fuzz, only_ours
from watching import watched

from flower_mm import Classifier
from flower_mm.errors import UserError
from flower_mm.inference import model as deployed
from flower_mm.inference.model import TrainedModel
from flower_mm.weights.best_checkpoint import write_safetensors
from flower_mm.weights.load_into_model import load_whole

# Files whose paths are known when the tests begin, by the words that stand
# for them in configs.
LONG = os.environ.get('FLOWER_MM_FUZZ') == 'long'
SHARE = 200
MOST_NUMBERS = 3 * 128 * 128  # in an image
PLACES = {'canary': '/elsewhere/x'}
built: list[torch.nn.Module] = []  # by the last call of `predicted`


def placed(value: object) -> object:
    """With the files of this session for the words that stand for them."""
    if isinstance(value, dict):
        return {placed(key): placed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [placed(item) for item in value]
    return PLACES.get(value, value) if type(value) is str else value


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('configs')
    draw_photo(folder / 'photo.jpg', 0, 0)
    draw_photo(folder / 'other.jpg', 1, 0)
    os.mkfifo(folder / 'pipe')
    canary = folder / 'canary'
    code = f'open({str(canary)!r}, "w").close()\n'
    (folder / f'{MODULE}.py').write_text(code)
    (folder / f'{MODULE}1').mkdir()
    (folder / f'{MODULE}1' / 'registry.py').write_text(code)
    (folder / 'mc.py').write_text(code)
    PLACES.update(
        canary=str(canary),
        pipe=str(folder / 'pipe'),
        file=f'file://{folder / "other.jpg"}',
    )
    return folder


@pytest.fixture(scope='module')
def weights(folder) -> dict[str, Weights]:
    """Of each base config."""
    import timm  # noqa: F401  so that it is there when it is watched

    weights = {}
    for name, config in BASES.items():
        weights[name] = weights_of(build(config))
        # Libraries load some of their parts when they first need them.
        for path in (folder / f'{name}.pth', folder / f'{name}.safetensors'):
            write(path, config, weights[name])
            for _ in range(2):
                assert predicted(path, folder / 'photo.jpg') in CLASSES
    return weights


@pytest.fixture(autouse=True)
def _observed_models(monkeypatch):
    """Keep the model that is built; skip the images that take minutes.

    How long a model computes is its author's choice: attention to an image
    of 2048 x 2048 pixels takes a minute.
    """

    def load(model: torch.nn.Module, *args: object) -> None:
        built.append(model)
        load_whole(model, *args)

    def scores(self: TrainedModel, batch: list[dict]) -> object:
        if batch[0]['inputs'].numel() > MOST_NUMBERS:
            COUNTS['configs whose image is too large to compute here'] += 1
            raise UserError('not computed')
        return compute(self, batch)

    compute = TrainedModel.scores
    monkeypatch.setattr(TrainedModel, 'scores', scores)
    monkeypatch.setattr(deployed, 'load_whole', load)


def predicted(path: Path, photo: Path) -> str:
    """The class, or a UserError; the tools make one of MemoryError."""
    built.clear()
    try:
        return Classifier(path, 'cpu')(photo).label
    except MemoryError:
        COUNTS['configs that need more than 1 GB'] += 1
        raise UserError('not enough memory') from None


def write(path: Path, config: dict, weights: dict[str, torch.Tensor]) -> None:
    meta = {'cfg': config, 'dataset_meta': {'classes': CLASSES}}
    if path.suffix == '.pth':
        torch.save({'state_dict': dict(weights), 'meta': meta}, path)
    else:
        write_safetensors(path, weights, meta)


def attempt(folder: Path, config: dict, weights: Weights, kind: str) -> str:
    """Classify a photo by a changed config; how far it came.

    A model that is built and does not fit the weights gets its own, as a
    stranger would give it.
    """
    path = folder / f'best.{kind}'
    config = placed(config)
    try:
        write(path, config, weights)
    except RecursionError:
        return 'not written'
    reached = _attempt(path, folder / 'photo.jpg', 'configs')
    if reached == 'built':
        write(path, config, weights_of(built[-1]))
        retried = 'configs, again with fitting weights'
        reached = _attempt(path, folder / 'photo.jpg', retried)
    assert not (folder / 'canary').exists()
    return reached


def _attempt(path: Path, photo: Path, reader: str) -> str:
    reached = 'refused'
    with only_ours(reader), watched(path, photo):
        try:
            assert predicted(path, photo) in CLASSES
            reached = 'predicted'
        finally:
            if built and reached != 'predicted':
                reached = 'built'
    return reached


def count(reached: str) -> None:
    if reached in ('built', 'predicted'):
        COUNTS['configs that are built'] += 1
    if reached == 'predicted':
        COUNTS['configs that predict'] += 1


def test_the_good_ones_predict(folder, weights):
    for name in BASES:
        for path in (folder / f'{name}.pth', folder / f'{name}.safetensors'):
            with watched(path, folder / 'photo.jpg'):
                assert predicted(path, folder / 'photo.jpg') in CLASSES


def test_there_are_values_for_each_argument_on_a_list():
    for name, arguments in (ACCEPTED | {'timm': TIMM}).items():
        for key, values in arguments.items():
            assert values, f'{name}.{key}'


@pytest.mark.parametrize(
    'act',
    [
        lambda folder: (folder / 'other.jpg').read_bytes(),
        lambda folder: (folder / 'photo.jpg').open('ab'),
        lambda folder: __import__(MODULE),
        lambda folder: importlib.import_module(MODULE),
        lambda folder: importlib.import_module('of_no_name'),
        lambda folder: importlib.import_module('of_no_name.registry'),
        lambda folder: socket.create_connection(('127.0.0.1', 9)),
        lambda folder: os.system('true'),  # noqa: S605
        lambda folder: eval('1 + 1'),  # noqa: S307
    ],
)
def test_the_watcher_sees_what_must_not_happen(act, folder, monkeypatch):
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(AssertionError), watched(folder / 'photo.jpg'):
        act(folder)


@pytest.mark.nightly
def test_the_fuzzer_finds_imports_by_a_registry(folder, weights, monkeypatch):
    """Without the protection, some hundreds of examples are enough."""
    monkeypatch.setattr(deployed, 'registered_names_only', nullcontext)
    monkeypatch.setattr('rubbish.COUNTS', Counter())  # not of those survived

    @settings(
        settings.get_profile('short'),
        max_examples=300,
        phases=[Phase.generate],
    )
    @given(example=configs_with_a_word())
    def search(example):
        name, config = example
        attempt(folder, config, weights[name], 'pth')

    with pytest.raises(AssertionError, match=f'import .*{MODULE}'):
        search()


def test_words_where_code_takes_one(folder, weights):
    """All of them in the long run, otherwise one of SHARE."""
    step = 1 if LONG else SHARE
    for name, config in itertools.islice(word_examples(), 0, None, step):
        count(attempt(folder, config, weights[name], 'pth'))


@pytest.mark.parametrize('part', range(10 if LONG else 1))
@fuzz(0.25 if LONG else 2.5)
@given(example=configs(), kind=st.sampled_from(['pth', 'safetensors']))
def test_configs(part, folder, weights, example, kind):
    """The long run has ten parts, so that a failure ends one of them."""
    name, config = example
    count(attempt(folder, config, weights[name], kind))
