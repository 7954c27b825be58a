"""A best.pth with a temperature: the same probabilities everywhere."""

import csv
import json
from pathlib import Path

import forked
import numpy as np
import pytest
import torch
from helpers import CLASSES, tool

from flower_mm import Classifier
from flower_mm.engine.calibrate import calibrate
from flower_mm.errors import UserError
from flower_mm.inference.temperature import rescaled
from flower_mm.report.predictions import Predictions, read_predictions
from flower_mm.weights.read_checkpoint import read_checkpoint

TEMPERATURE = 3.0
# Right above 0.7, wrong below.
KNOWN = {
    'labels': [i % 3 for i in range(100)],
    'confidence': [0.5] * 30 + [0.99] * 70,
    'outranking': [0.5] * 30 + [0.0] * 70,
}


@pytest.fixture(scope='module')
def best(plain_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    content = read_checkpoint(plain_run / 'best.pth')
    content['meta']['calibration'] = {'temperature': TEMPERATURE, **KNOWN}
    path = tmp_path_factory.mktemp('calibrated') / 'best.pth'
    torch.save(content, path)
    return path


@pytest.fixture(scope='module')
def files(dataset: Path) -> list[str]:
    return sorted(map(str, (dataset / 'val').rglob('*.jpg')))


def scores(predictions) -> np.ndarray:
    rows = [list(p.probabilities.values()) for p in predictions]
    return np.array(rows, np.float32)


@pytest.fixture(scope='module')
def found(best: Path, files: list[str]) -> np.ndarray:
    return scores(Classifier(best, 'cpu')(files))


def test_the_temperature_is_applied(best, files, found):
    raw = scores(Classifier(best, 'cpu', calibrated=False)(files))
    expected = rescaled(raw, TEMPERATURE).astype(np.float32)
    assert np.array_equal(found, expected)
    assert np.array_equal(found.argmax(1), raw.argmax(1))
    assert (found.max(1) < raw.max(1)).all()


def test_the_test_tool_says_the_same(
    best, dataset, files, found, config, tmp_path
):
    forked.finish(
        tmp_path / 'log', 'test', config, best, '--data-root', dataset,
        '--out', tmp_path / 'out.csv', '--work-dir', tmp_path / 'test',
    )  # fmt: skip
    theirs = read_predictions(tmp_path / 'out.csv')
    place = {photo: i for i, photo in enumerate(theirs.photos)}
    assert np.array_equal(theirs.scores[[place[f] for f in files]], found)


@pytest.mark.parametrize('kind', ['onnx', 'torchscript'])
def test_exported_files_say_the_same(kind, best, tmp_path):
    """The command compares them with best.pth before it writes them."""
    first = tmp_path / 'first.py'
    first.write_text(
        'from flower_mm.export import verify_export\n'
        'verify_export.SECONDS = 0\n'
    )
    forked.finish(
        tmp_path / 'log', 'export', best, '--to', kind, '--out', tmp_path,
        first=str(first),
    )  # fmt: skip
    assert any(kind in path.name for path in tmp_path.iterdir())


@pytest.fixture
def predict(best: Path, files: list[str], tmp_path: Path):
    def run(*args: str) -> tuple[int, str, Path]:
        out = tmp_path / 'out.csv'
        done = forked.start(
            tmp_path / 'log', 'predict', best, *files, '--csv', out, *args
        )
        return done.wait(), done.text, out

    return run


def test_sets_and_working_point(predict, best, files, found, tmp_path):
    # 70 of 100 are first; the 96th smallest value is 0.5.
    code, text, out = predict(
        '--coverage', '0.95', '--precision', '0.9',
        '--json', str(tmp_path / 'out.json'),
    )  # fmt: skip
    assert code == 0, text
    assert 'unsure below 99.0 %' in text
    rows = list(csv.DictReader(out.open()))
    photos = json.loads((tmp_path / 'out.json').read_text())['photos']
    for row, photo, own in zip(rows, photos, found, strict=True):
        order = np.argsort(-own, kind='stable')
        before = np.cumsum(own[order].astype(float)) - own[order]
        expected = [CLASSES[i] for i in order[before <= 0.5]]
        assert row['classes'].split('|') == expected == photo['classes']
        is_sure = own.max() >= 0.99
        label = CLASSES[own.argmax()] if is_sure else 'unsure'
        assert row['predicted'] == label
    classifier = Classifier(best, 'cpu', coverage=0.95, precision=0.9)
    assert list(classifier(files[0]).classes) == photos[0]['classes']


def test_a_set_for_the_screen(best, files, tmp_path):
    done = forked.start(
        tmp_path / 'log', 'predict', best, *files[:4], '--coverage', '0.95'
    )
    assert done.wait() == 0, done.text


@pytest.mark.parametrize(
    'args',
    [
        ('--coverage', '1'), ('--coverage', '0'), ('--precision', '2'),
        ('--coverage', '0.9', '--uncalibrated'),
        ('--precision', '0.9', '--threshold', '0.5'),
        ('--coverage', '0.999'),
    ],
)  # fmt: skip
def test_impossible_promises_are_refused(args, predict):
    code, text, _ = predict(*args)
    assert code == 2
    assert 'error' in text


def test_a_training_keeps_the_photos_of_its_validation(plain_run, files):
    meta = read_checkpoint(plain_run / 'best.pth')['meta']['calibration']
    assert meta['photos'] == len(meta['labels']) == len(files)
    # Too few errors for a temperature.
    assert meta['temperature'] is None
    with pytest.raises(UserError, match=f'got {len(files)}'):
        Classifier(plain_run / 'best.pth', 'cpu', coverage=0.99)


def made(temperature: float, photos: int = 1000) -> Predictions:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, photos)
    logits = rng.normal(size=(photos, 4))
    logits[np.arange(photos), labels] += 1
    # Of normal logits that are shifted by one, the true probabilities.
    true = np.exp(logits)
    scores = rescaled(true / true.sum(1, keepdims=True), 1 / temperature)
    names = [str(i) for i in range(photos)]
    return Predictions(names, labels, scores.astype(np.float32), list('abcd'))


@pytest.mark.parametrize('temperature', [0.6, 2.0])
def test_the_temperature_of_the_validation(temperature):
    values = calibrate(made(temperature))
    assert values['temperature'] == pytest.approx(temperature, rel=0.15)
    loss, error = values['log_loss'], values['ece_percent']
    assert loss['calibrated'] < loss['raw']
    assert error['calibrated'] < error['raw'] / 2


def test_a_temperature_that_does_not_help_is_left_out():
    values = calibrate(made(1.0, 60))
    assert values['temperature'] is None
    assert values['log_loss']['calibrated'] == values['log_loss']['raw']


def test_set_writes_the_working_point_into_a_copy(best, files, tmp_path):
    out = tmp_path / 'copy.pth'
    words = ('set', best, '--precision', '0.9', '--out', out)
    assert tool(*words).returncode == 0
    expected = Classifier(best, 'cpu', precision=0.9).working_point
    assert Classifier(out, 'cpu').working_point == expected
    assert Classifier(out, 'cpu', calibrated=False).working_point is None
    table = tmp_path / 'out.csv'
    for flags, threshold in (((), 0.99), (('--threshold', '0.2'), 0.2)):
        tool('predict', out, *files, '--csv', table, *flags)
        with table.open() as file:
            rows = list(csv.DictReader(file))
        assert [row['predicted'] == 'unsure' for row in rows] == [
            float(row['confidence']) < threshold for row in rows
        ]
    # An existing file, and a precision that was never reached.
    assert tool(*words, check=False).returncode == 2
    words = ('set', best, '--precision', '0.9', '--out', tmp_path / 'a.txt')
    assert tool(*words, check=False).returncode == 2


def test_set_refuses_a_class_of_the_same_name(best, tmp_path):
    content = read_checkpoint(best)
    names = ['unsure', *content['meta']['classes'][1:]]
    content['meta']['dataset_meta']['classes'] = names
    torch.save(content, tmp_path / 'best.pth')
    words = ('--precision', '0.5', '--out', tmp_path / 'copy.pth')
    done = tool('set', tmp_path / 'best.pth', *words, check=False)
    assert done.returncode == 2
    assert "'unsure'" in done.stderr
    assert not (tmp_path / 'copy.pth').exists()
