"""Features, their cache, and the nearest photos."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from flower_mm.errors import UserError
from flower_mm.inference import features
from flower_mm.inference.classifier import Classifier, Unread
from flower_mm.inference.features import FeatureModel, features_of, nearest
from flower_mm.weights import file_hash
from flower_mm.weights.candidates import find_candidates

NAME = 'test_efficientnet.r160_in1k'


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return tmp_path / 'cache' / 'flower_mm' / 'features'


@pytest.fixture(scope='module')
def model(plain_run: Path) -> FeatureModel:
    return FeatureModel.of_run(plain_run, 'cpu')


@pytest.fixture(scope='module')
def files(photos: Path) -> list[str]:
    return [str(path) for path in sorted(photos.rglob('*.jpg'))]


def test_the_last_layer_makes_probabilities_of_them(plain_run, files):
    classifier = Classifier(plain_run, 'cpu')
    head = classifier.model.model.head.fc
    inputs = []
    head.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    classifier(files[0])
    (row,) = FeatureModel.of_run(plain_run, 'cpu').features([files[0]])
    expected = inputs[0][0] / inputs[0][0].norm()
    np.testing.assert_allclose(row, expected.numpy(), rtol=1e-5)
    assert row.dtype == np.float32


def test_photos_that_cannot_be_read_are_named(model, files, tmp_path):
    broken = tmp_path / 'broken.jpg'
    broken.write_bytes(b'not a photo')
    photos = [files[0], str(broken), files[1], str(tmp_path / 'missing.jpg')]
    computed = features_of(model, photos)
    assert computed.indices.tolist() == [0, 2]
    assert computed.vectors.shape == (2, 32)
    np.testing.assert_allclose(np.linalg.norm(computed.vectors, axis=1), 1)
    assert [each.photo for each in computed.unread] == photos[1::2]
    assert all(each.why for each in computed.unread)


def test_without_any_photo(model):
    computed = features_of(model, [])
    assert len(computed.vectors) == len(computed.indices) == 0


def test_they_are_cached_by_the_content_of_photos(
    model, files, monkeypatch, tmp_path
):
    first = features_of(model, files[:8])
    read = []
    original = model.features

    def counting(photos):
        return original(read.append(photo) or photo for photo in photos)

    monkeypatch.setattr(model, 'features', counting)
    again = features_of(model, files[:8])
    assert not read
    np.testing.assert_array_equal(again.vectors, first.vectors)
    # Renamed, added and changed photos.
    copy = tmp_path / 'copy.jpg'
    copy.write_bytes(Path(files[3]).read_bytes())
    more = features_of(model, [str(copy), files[9]])
    assert read == [files[9]]
    np.testing.assert_array_equal(more.vectors[0], first.vectors[3])
    Image.new('RGB', (40, 40), 'white').save(copy)
    features_of(model, [str(copy), *files[:8], files[9]])
    assert read == [files[9], str(copy)]


def test_what_was_computed_before_a_stop_stays(model, files, monkeypatch):
    def stopping(photos):
        yield from list(original(list(photos)[:5]))
        raise KeyboardInterrupt

    original = model.features
    with monkeypatch.context() as patch:
        patch.setattr(model, 'features', stopping)
        with pytest.raises(KeyboardInterrupt):
            features_of(model, files[:8])
    monkeypatch.setattr(model, 'features', lambda photos: (_ for _ in ()))
    assert features_of(model, files[:8]).indices.tolist() == list(range(5))


def test_a_deadline_leaves_photos_out(model, files):
    answers = iter([False] * 3)
    computed = features_of(
        model, files[:8], is_late=lambda: next(answers, True)
    )
    assert computed.indices.tolist() == [0, 1, 2]
    assert not computed.unread


def test_other_weights_have_another_cache(plain_run, model, tmp_path):
    content = torch.load(plain_run / 'best.pth', weights_only=True)
    content['state_dict']['head.fc.bias'] += 1
    torch.save(content, tmp_path / 'best.pth')
    other = FeatureModel.of_run(tmp_path, 'cpu')
    assert other.key != model.key


def test_a_model_that_computes_nan(plain_run, files, tmp_path):
    model = FeatureModel.of_run(plain_run, 'cpu')
    with torch.no_grad():
        model.network.model.backbone.conv1.weight[:] = float('nan')
    with pytest.raises(UserError, match='NaN'):
        list(model.features(files[:1]))


def test_of_pretrained_weights(files, monkeypatch, tmp_path):
    monkeypatch.setenv('FLOWER_MM_CHECKPOINTS', str(tmp_path))
    torch.manual_seed(0)
    network = timm.create_model(NAME).eval()
    path = tmp_path / f'{NAME}.safetensors'
    save_file(network.state_dict(), path)
    (candidate,) = find_candidates([f'timm/{NAME}'])
    with pytest.raises(UserError, match='cannot be verified'):
        FeatureModel.of_backbone(candidate, 'cpu')
    file_hash.record(path, file_hash.sha256_of(path))
    monkeypatch.setattr(features, 'speed_up', lambda kind: 1.0)
    before = torch.random.get_rng_state()
    model = FeatureModel.of_backbone(candidate, 'cpu')
    assert torch.equal(torch.random.get_rng_state(), before)
    (row,) = model.features([files[0]])
    data = model.network.model.data_preprocessor(
        {'inputs': [model._reader.prepared(files[0])['inputs']]}
    )
    with torch.no_grad():
        maps = network.forward_features(data['inputs'])
        expected = network.forward_head(maps, pre_logits=True)[0]
    expected = (expected / expected.norm()).numpy()
    np.testing.assert_allclose(row, expected, rtol=1e-3, atol=1e-5)


def test_weights_that_are_not_stored(monkeypatch, tmp_path):
    monkeypatch.setenv('FLOWER_MM_CHECKPOINTS', str(tmp_path))
    (candidate,) = find_candidates(['mobilenet_v2'])
    with pytest.raises(UserError, match='not stored'):
        FeatureModel.of_backbone(candidate)


def test_unreadable_photos_are_yielded_in_place(model, files):
    found = list(model.features([b'x', files[0], b'y']))
    assert [isinstance(each, Unread) for each in found] == [True, False, True]


@pytest.mark.parametrize('count', [1, 3, 50, 90])
def test_the_nearest_are_those_of_a_full_sort(count, monkeypatch):
    monkeypatch.setattr(features, 'VECTORS', 16)
    monkeypatch.setattr(features, 'QUERIES', 4)
    random = np.random.default_rng(0)
    vectors = random.normal(size=(50, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = vectors[::7]
    indices, similarities = nearest(vectors, queries, count)
    expected = np.argsort(-(queries @ vectors.T), axis=1)[:, :count]
    np.testing.assert_array_equal(indices, expected)
    assert indices[:, 0].tolist() == list(range(0, 50, 7))
    assert similarities.max() <= 1
    assert (np.diff(similarities, axis=1) <= 0).all()


def test_the_nearest_of_nothing():
    indices, similarities = nearest(
        np.zeros((0, 8), np.float32), np.ones((2, 8), np.float32), 5
    )
    assert indices.shape == similarities.shape == (2, 0)
    empty = nearest(np.ones((3, 8), np.float32), np.zeros((0, 8)), 2)[0]
    assert empty.shape == (0, 2)
