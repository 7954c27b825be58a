"""The door for Python programs."""

import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import CLASSES, TINY
from PIL import Image

from flower_mm import Classifier, Prediction
from flower_mm.errors import UserError
from flower_mm.inference.classifier import Unread
from flower_mm.weights.best_checkpoint import write_safetensors
from flower_mm.weights.read_checkpoint import read_checkpoint


@pytest.fixture(scope='module')
def best(plain_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Only best.pth, beside a config that must not be run."""
    folder = tmp_path_factory.mktemp('mailed')
    (folder / 'tiny.py').write_text('raise SystemExit("was run")')
    return Path(shutil.copy(plain_run / 'best.pth', folder))


@pytest.fixture(scope='module')
def classifier(best: Path) -> Classifier:
    return Classifier(best, batch_size=8)


@pytest.fixture(scope='module')
def files(photos: Path) -> list[Path]:
    return sorted(photos.rglob('*.jpg'))


def changed(best: Path, path: Path, change) -> Path:
    found = read_checkpoint(best)
    change(found)
    torch.save(found, path)
    return path


def test_config_and_weights_come_from_one_reading(best, monkeypatch):
    """In between another file could take its place."""
    readings = []
    for module in ('inference.model', 'weights.checked_config'):
        monkeypatch.setattr(
            f'flower_mm.{module}.read_checkpoint',
            lambda path: readings.append(path) or read_checkpoint(path),
        )
    Classifier(best)
    assert readings == [best]


def test_one_photo_in_each_form_is_the_same(classifier, files, tmp_path):
    path = tmp_path / 'photo.png'
    image = Image.open(files[0]).convert('RGB')
    image.save(path)
    found = classifier(path)
    assert isinstance(found, Prediction)
    assert found.photo == str(path)
    assert list(found.probabilities) == classifier.classes == CLASSES
    assert sum(found.probabilities.values()) == pytest.approx(1)
    assert found.label == max(CLASSES, key=found.probabilities.get)
    assert found.confidence == found.probabilities[found.label]
    assert found.top(2)[0] == (found.label, found.confidence)
    assert len(found.top(9)) == 3
    shares = [share for _, share in found.top(3)]
    assert shares == sorted(shares, reverse=True)
    for photo in (str(path), path.read_bytes(), image, np.asarray(image)):
        assert classifier(photo).probabilities == found.probabilities
    assert classifier(image).photo == ''


def test_several_in_their_order(classifier, files):
    photos = files[:20]
    found = classifier(photos)
    assert [one.photo for one in found] == [str(path) for path in photos]
    assert classifier(tuple(photos)) == found
    assert list(classifier.each(iter(photos))) == found
    assert list(classifier.each(str(photos[0]))) == [classifier(photos[0])]
    assert classifier([]) == []
    pixels = np.stack([np.asarray(Image.open(path)) for path in photos])
    # Pillow and OpenCV decode JPEG with libraries that may round otherwise.
    for one, other in zip(classifier(pixels), found, strict=True):
        assert one.confidence == pytest.approx(other.confidence, abs=0.02)


def test_it_tells_the_classes_apart(plain_run, files):
    found = Classifier(plain_run)(files)
    right = sum(one.label == Path(one.photo).parent.name for one in found)
    assert right > len(files) / 2


def test_bad_photos_are_passed_over_or_named(classifier, files, tmp_path):
    broken = tmp_path / 'broken.jpg'
    broken.write_bytes(files[0].read_bytes()[:-900])
    photos = [broken, *files[:10], 'gone.jpg', b'', *files[10:20], broken]
    found = list(classifier.each(photos))
    assert [isinstance(one, Unread) for one in found] == [
        photo in (broken, 'gone.jpg', b'') for photo in photos
    ]
    good = [one for one in found if isinstance(one, Prediction)]
    # In the same batches as without them: the same to the bit.
    assert good == classifier(files[:20])
    assert found[0].photo == str(broken)
    assert 'truncated' in found[0].why
    with pytest.raises(UserError, match=r'gone\.jpg: cannot be opened'):
        classifier([files[0], 'gone.jpg'])
    with pytest.raises(UserError, match=r'^photo 1: not a photo'):
        classifier([files[0], b'x'])
    with pytest.raises(UserError, match=r'^the photo: invalid array.* 3 x 4'):
        classifier(np.zeros((3, 4)))
    with pytest.raises(TypeError, match='each'):
        classifier(path for path in files)


def test_photos_are_taken_as_they_are_needed(classifier, files):
    """Also from an endless source, in the calling thread."""
    taken = []

    def camera():
        for number in count():
            taken.append(threading.current_thread())
            yield files[number % len(files)]

    before = threading.active_count()
    results = classifier.each(camera())
    for _ in range(9):
        next(results)
    assert len(taken) <= 4 * classifier.batch_size
    assert set(taken) == {threading.current_thread()}
    results.close()
    assert threading.active_count() == before


def test_unreadable_photos_are_yielded_at_once(classifier):
    """Not held back until a batch of good ones is full."""
    rest = iter([b'no photo'] * 1000)
    with closing(classifier.each(rest)) as results:
        assert isinstance(next(results), Unread)
        assert len(list(rest)) > 900


@pytest.fixture(scope='module')
def drawing(best: Path) -> Path:
    """Of a pipeline that draws, which validation's may."""

    def flip(found: dict) -> None:
        dataset = found['meta']['cfg']['test_dataloader']['dataset']
        dataset['pipeline'][1:3] = [
            {'type': 'RandomCrop', 'crop_size': 32},
            {'type': 'RandomFlip', 'prob': 0.5},
        ]

    return changed(best, best.with_name('drawing.pth'), flip)


@contextmanager
def often() -> Iterator[None]:
    """Let threads take turns every few steps."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@pytest.mark.parametrize('kind', ['best', 'drawing'])
def test_threads_share_one(kind, files, request):
    classifier = Classifier(request.getfixturevalue(kind), batch_size=4)
    wanted = classifier(files)
    state = random.getstate(), np.random.get_state()[1].tolist()
    torch_state = torch.get_rng_state()
    with ThreadPoolExecutor(4) as pool, often():
        for found in pool.map(classifier, [files] * 6):
            assert found == wanted
    assert random.getstate() == state[0]
    assert np.random.get_state()[1].tolist() == state[1]
    assert torch.equal(torch.get_rng_state(), torch_state)


def test_a_folder_stands_for_its_model(best, files, tmp_path):
    wanted = Classifier(best)(files[0])
    checkpoint = read_checkpoint(best)
    mailed = tmp_path / 'mailed'
    write_safetensors(
        mailed / 'best.safetensors',
        checkpoint['state_dict'],
        checkpoint['meta'],
    )
    assert Classifier(mailed)(files[0]) == wanted
    with pytest.raises(UserError, match=r'neither best\.pth'):
        Classifier(tmp_path)


def test_import_is_cheap():
    heavy = ('torch', 'numpy', 'PIL', 'cv2', 'mmengine', 'mmpretrain', 'rich')
    code = (
        'import sys\n'
        'from flower_mm import Classifier, Prediction\n'
        f'print([name for name in {heavy} if name in sys.modules])'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True
    )
    assert done.stdout == '[]\n', done.stderr


def weights_alone(found: dict) -> None:
    tensors = found['state_dict']
    found.clear()
    found.update(tensors)


def no_config(found: dict) -> None:
    del found['meta']['cfg']


def text_for_config(found: dict) -> None:
    found['meta']['cfg'] = TINY


def no_classes(found: dict) -> None:
    found['meta']['dataset_meta'] = {}


def no_meta(found: dict) -> None:
    del found['meta']


@pytest.mark.parametrize(
    'change', [weights_alone, no_config, text_for_config, no_classes, no_meta]
)
def test_checkpoints_without_config_or_classes(change, best, tmp_path):
    path = changed(best, tmp_path / 'x.pth', change)
    with pytest.raises(UserError) as error:
        Classifier(path)
    lines = str(error.value).splitlines()
    assert lines[0].startswith(f'{path} holds no config')
    assert 'best.pth of a training' in lines[1]
    assert lines[2].endswith('--weights FILE')


def test_torchscript(tmp_path):
    path = tmp_path / 'model.pt'
    torch.jit.script(torch.nn.Linear(2, 2)).save(path)
    with pytest.raises(UserError, match='refused: it is a TorchScript'):
        Classifier(path)


def twice(found: dict) -> None:
    found['meta']['dataset_meta']['classes'] = ['a', 'b', 'a']


def too_many(found: dict) -> None:
    found['meta']['dataset_meta']['classes'] = ['a', 'b', 'c', 'd']


def overflows(found: dict) -> None:
    """Numbers that are fine alone and too large together."""
    for tensor in found['state_dict'].values():
        if tensor.is_floating_point():
            tensor.fill_(3e38)


@pytest.mark.parametrize(
    ('change', 'why'),
    [
        (twice, 'duplicate names'),
        (too_many, 'expected 4 classes, got 3'),
        (overflows, 'predicts NaN'),
    ],
)
def test_invalid_models(change, why, best, files, tmp_path):
    path = changed(best, tmp_path / 'x.pth', change)
    with pytest.raises(UserError, match=why):
        Classifier(path)(files[0])


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match=r'No such file or directory\.$'):
        Classifier(tmp_path / 'best.pth')


def test_empty_batch(best):
    with pytest.raises(UserError, match='at least 1, got 0'):
        Classifier(best, batch_size=0)
