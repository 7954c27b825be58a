"""Photos that are unlike the training photos are unknown."""

import csv
import json
import shutil
from importlib import resources
from pathlib import Path
from types import SimpleNamespace

import forked
import jsonschema
import numpy as np
import onnxruntime
import pytest
import torch
from helpers import CLASSES, draw_photo, tool, train_tiny
from PIL import Image

from flower_mm import Classifier
from flower_mm.engine.hooks import known_photos as hook
from flower_mm.errors import UserError
from flower_mm.export.source_model import Source
from flower_mm.inference.classifier import Prediction
from flower_mm.inference.known_photos import (
    KEY,
    MOST_BYTES,
    known_photos_of,
    most_photos,
    remember,
)
from flower_mm.weights.read_checkpoint import read_checkpoint

WIDTH = 64


def clusters(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features around one of four centres, and logits that know them."""
    centres = np.random.default_rng(1).normal(size=(4, WIDTH))
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, 4, count)
    features = centres[chosen] + rng.normal(scale=0.3, size=(count, WIDTH))
    return features.astype(np.float32), features @ centres.T / 4


@pytest.fixture(scope='module')
def known():
    values = remember(clusters(300, 2)[0], *clusters(400, 3))
    # As in the JSON of best.safetensors.
    return known_photos_of({KEY: json.loads(json.dumps(values))}, WIDTH, 'f')


def test_photos_of_the_same_kind_pass(known):
    unlike = known.unlikeness(*clusters(4000, 4))
    # Of 95 %: the threshold of 400 photos varies by one percent.
    assert 0.92 < (unlike <= known.threshold).mean() < 0.98


def test_features_of_another_kind_are_unknown(known):
    features = np.random.default_rng(5).normal(size=(100, WIDTH))
    # Even if the network is sure of a class.
    logits = np.full((100, 4), [20.0, 0, 0, 0])
    unlike = known.unlikeness(features, logits)
    assert (unlike > known.threshold).all()


def test_logits_without_evidence_are_unknown(known):
    features, logits = clusters(100, 6)
    unlike = known.unlikeness(features, np.minimum(logits, 0) - 10)
    assert (unlike > known.threshold).all()


def test_rounding_hardly_changes_the_features():
    features, logits = clusters(400, 3)
    rows = clusters(300, 2)[0]
    found = known_photos_of({KEY: remember(rows, features, logits)}, WIDTH, '')
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert np.abs((found.vectors * units).sum(1) - 1).max() < 1e-4


@pytest.mark.parametrize('width', [1, 512, 1280, 2048, 10**7])
def test_best_has_space_for_the_photos(width):
    assert 1 <= most_photos(width) <= 1000
    assert most_photos(width) == 1 or most_photos(width) * width <= MOST_BYTES


@pytest.mark.parametrize(
    'change',
    [
        {'vectors': 'not base64!'},
        {'vectors': ''},
        {'vectors': 5},
        {'vectors': 'AAAA' * MOST_BYTES},
        {'features': WIDTH + 1},
        {'features': torch.tensor([WIDTH, WIDTH])},
        {'distance': [0.0]},
        {'energy': [0.0, -1.0]},
        {'energy': [float('nan'), 1.0]},
        {'energy': [-1e308, 1e308]},
        {'distance': [0.5, 5e-324]},
        {'threshold': 'high'},
        {'threshold': None},
        {'photos': 0},
        {'photos': float('inf')},
    ],
)
def test_values_of_strangers_are_refused(change):
    values = remember(clusters(30, 2)[0], *clusters(40, 3)) | change
    with pytest.raises(UserError, match=KEY):
        known_photos_of({KEY: values}, WIDTH, 'best.pth')


@pytest.fixture(scope='module')
def run(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training with enough validation photos."""
    folder = tmp_path_factory.mktemp('known')
    for label, name in enumerate(CLASSES):
        for seed in range(30):
            draw_photo(folder / 'photos' / name / f'{seed}.jpg', label, seed)
    data = folder / 'data'
    tool('prepare_dataset', folder / 'photos', '--out', data, '--val', '0.4')
    mine = folder / 'mine.py'
    text = config.read_text('utf-8').replace('known_photos=None,', '')
    mine.write_text(text, encoding='utf-8')
    return train_tiny(mine, data, folder / 'run')


@pytest.fixture(scope='module')
def files(run: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Photos of the validation, then one that looks otherwise."""
    own = sorted(map(str, (run.parent / 'data' / 'val').rglob('*.jpg')))
    other = tmp_path_factory.mktemp('other') / 'other.png'
    pixels = np.zeros((40, 48, 3), np.uint8)
    pixels[::2] = 255
    Image.fromarray(pixels).save(other)
    return [*own, str(other)]


@pytest.fixture(scope='module')
def found(run: Path, files: list[str]) -> list[Prediction]:
    return Classifier(run, 'cpu')(files)


def test_a_training_remembers_its_photos(run, found):
    values = read_checkpoint(run / 'best.pth')['meta'][KEY]
    assert values['photos'] == len(found) - 1
    *own, other = found
    assert other.unknown
    assert other.label in CLASSES
    assert sum(prediction.unknown for prediction in own) <= len(own) / 20
    plain = Classifier(run, 'cpu', find_unknown=False)(other.photo)
    assert plain == Prediction(other.photo, other.probabilities)


def test_predict_says_unknown(run, files, found, tmp_path):
    out, page = tmp_path / 'out.csv', tmp_path / 'out.json'
    shown = tool('predict', run, *files, '--csv', out, '--json', page)
    assert f'unknown: {found[-1].label}' in shown.stdout
    with out.open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert [row['predicted'] for row in rows] == [
        'unknown' if each.unknown else each.label for each in found
    ]
    told = json.loads(page.read_text())
    validate_predictions(told)
    for row, entry, each in zip(rows, told['photos'], found, strict=True):
        assert float(row['unlikeness']) == entry['unlikeness']
        assert abs(entry['unlikeness'] - each.unlikeness) < 1e-3
        assert (entry['unlikeness'] > told['unknown_above']) == each.unknown


def validate_predictions(told: dict) -> None:
    schema = resources.files('flower_mm.inference') / 'predictions.schema.json'
    jsonschema.validate(told, json.loads(schema.read_text('utf-8')))


def test_sets_and_bad_photos_follow_the_schema(run, files, tmp_path):
    page, bad = tmp_path / 'out.json', tmp_path / 'bad.jpg'
    bad.write_bytes(b'none')
    words = ('--json', page, '--coverage', '0.9', '--threshold', '0.4')
    done = tool('predict', run, *files, bad, *words, check=False)
    assert done.returncode == 2
    told = json.loads(page.read_text())
    validate_predictions(told)
    assert len(told['bad']) == 1
    told['photos'][0]['confidence'] = 2
    with pytest.raises(jsonschema.ValidationError):
        validate_predictions(told)


def test_predict_gives_a_class_if_asked(run, files, found, tmp_path):
    out = tmp_path / 'out.csv'
    tool('predict', run, *files, '--csv', out, '--no-unknown')
    with out.open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert [row['predicted'] for row in rows] == [p.label for p in found]
    assert 'unlikeness' not in rows[0]


def test_unknown_photos_are_sorted_apart(run, files, tmp_path):
    tool('predict', run, files[-1], '--sort-into', tmp_path / 'sorted')
    assert [p.name for p in (tmp_path / 'sorted').iterdir()] == ['unknown']


def test_a_class_of_that_name_has_its_own_meaning(run, files, tmp_path):
    content = read_checkpoint(run / 'best.pth')
    names = ['unknown', *CLASSES[1:]]
    content['meta']['classes'] = names
    content['meta']['dataset_meta']['classes'] = names
    torch.save(content, tmp_path / 'best.pth')
    table = tmp_path / 'out.csv'
    done = tool('predict', tmp_path / 'best.pth', *files, '--csv', table)
    assert 'is a class of the model' in done.stderr
    classifier = Classifier(tmp_path / 'best.pth', 'cpu')
    with table.open(newline='') as file:
        rows = [row['predicted'] for row in csv.DictReader(file)]
    assert rows == [found.label for found in classifier(files)]


@pytest.mark.parametrize('rows', [None, (8,), (1, 3)])
def test_a_layer_that_is_not_the_last_one_is_refused(run, files, rows):
    """As in the model of a stranger: unused, or with inputs of its own."""
    classifier = Classifier(run, 'cpu')
    width = classifier.model.layer.in_features
    other = torch.nn.Linear(width, len(CLASSES))
    classifier.model.layer = other

    def call(*_: object) -> None:
        other(torch.zeros(*rows, width))

    if rows:
        classifier.model.model.backbone.register_forward_hook(call)
    with pytest.raises(UserError, match='do not fit its model'):
        classifier(files[0])


def test_a_head_without_a_linear_layer_is_named(run, monkeypatch):
    said: list[str] = []
    runner = SimpleNamespace(
        work_dir=str(run.parent),
        val_loop=object(),
        model=torch.nn.Linear(1, 1),
        cfg=None,
        say=said.append,
    )
    (run.parent / 'best.pth').write_bytes(b'')
    monkeypatch.setattr(
        hook,
        'TrainedModel',
        lambda *_, **__: SimpleNamespace(
            known=None, layer=None, classes=CLASSES
        ),
    )
    hook.KnownPhotosHook().write(runner)
    assert 'linear layer' in said[0]


def test_onnx_has_a_second_output(run, files, found, tmp_path):
    first = tmp_path / 'first.py'
    first.write_text(
        'from flower_mm.export import verify_export\n'
        'verify_export.SECONDS = 0\n'
    )
    forked.finish(
        tmp_path / 'log', 'export', run / 'best.pth', '--to', 'onnx',
        '--out', tmp_path,
        first=str(first),
    )  # fmt: skip
    session = onnxruntime.InferenceSession(tmp_path / 'best_tensor.onnx')
    facts = session.get_modelmeta().custom_metadata_map
    classifier = Classifier(run, 'cpu')
    assert float(facts['unknown_above']) == classifier.unknown_above
    source = Source(run / 'best.pth')
    batch = [classifier.prepared(file) for file in files]
    inputs = source.normalised(batch).numpy()
    _, unlike = session.run(None, {'inputs': inputs})
    expected = [prediction.unlikeness for prediction in found]
    assert np.abs(unlike - expected).max() < 0.02


def test_very_many_predictions_say_the_same(run, files, found, tmp_path):
    parquet = pytest.importorskip('pyarrow.parquet')
    out = tmp_path / 'out'
    tool('predict', run, Path(files[0]).parent, files[-1], '--out', out)
    rows = {
        row['path']: row
        for part in out.glob('*.parquet')
        for row in parquet.read_table(part).to_pylist()
    }
    assert rows[files[-1]]['unknown']
    for prediction in found:
        if row := rows.get(prediction.photo):
            assert row['unknown'] == prediction.unknown
            assert row['unlikeness'] == pytest.approx(
                prediction.unlikeness, abs=0.02
            )
    told = json.loads((out / 'manifest.json').read_text())
    assert told['unknown'] == sum(row['unknown'] for row in rows.values())


def test_a_shared_folder_says_the_same(run, files, found, tmp_path):
    """With a temperature as well; the command compares the copy."""
    mine = tmp_path / 'mine'
    shutil.copytree(run, mine)
    content = read_checkpoint(mine / 'best.pth')
    content['meta']['calibration']['temperature'] = 2.5
    torch.save(content, mine / 'best.pth')
    tool('report', mine)
    out = tmp_path / 'out'
    tool('share', mine, out)
    for one, other in zip(
        Classifier(out, 'cpu')(files),
        Classifier(mine, 'cpu')(files),
        strict=True,
    ):
        assert one == other
        assert one.unlikeness is not None
    assert 'marked as unknown' in (out / 'README.md').read_text('utf-8')
