"""`flower-mm similar` as users call it."""

import json
import shutil
from pathlib import Path

import pytest
from helpers import CLASSES, tool
from PIL import Image


@pytest.fixture(scope='module')
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp('cache')
    return {
        'XDG_CACHE_HOME': str(folder),
        'FLOWER_MM_CHECKPOINTS': str(folder / 'none'),
    }


@pytest.fixture(scope='module')
def training_photo(dataset: Path) -> tuple[Path, str]:
    """A photo in train, and its class."""
    line = (dataset / 'train.txt').read_text('utf-8').splitlines()[-1]
    name, _, label = line.rpartition(' ')
    return dataset / 'train' / name, CLASSES[int(label)]


def test_a_training_photo_is_nearest_to_itself(
    plain_run, dataset, env, training_photo
):
    photo, label = training_photo
    for run in (plain_run, plain_run / 'best.pth'):
        done = tool(
            *('similar', photo, '--data', dataset, '--run', run),
            *('--count', '3', '--device', 'cpu'),
            env=env,
        )
        lines = done.stdout.splitlines()
        assert lines[0] == str(photo)
        assert len(lines) == 4
        assert lines[1].split()[0] == '1.000'
        assert label in lines[1]
        assert lines[1].endswith(str(photo))
    assert list(Path(env['XDG_CACHE_HOME']).rglob('*.npz'))


def test_json(plain_run, dataset, env, training_photo, tmp_path):
    photo, label = training_photo
    folder = tmp_path / 'new'
    folder.mkdir()
    shutil.copy(photo, folder / 'ein Rotkehlchen é.jpg')
    (folder / 'broken.jpg').write_bytes(b'x')
    done = tool(
        *('similar', folder, '--data', dataset, '--run', plain_run),
        *('--json', '-', '--device', 'cpu', '--count', '100'),
        env=env, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    content = json.loads(done.stdout)
    (found,) = content['photos']
    assert found['photo'] == str(folder / 'ein Rotkehlchen é.jpg')
    trained = (dataset / 'train.txt').read_text('utf-8').splitlines()
    assert len(found['nearest']) == len(trained)
    best = found['nearest'][0]
    assert best['class'] == label
    assert best['photo'] == str(photo)
    assert best['similarity'] == 1
    (bad,) = content['bad']
    assert bad['photo'] == str(folder / 'broken.jpg')


def test_a_training_photo_that_broke_is_left_out(
    plain_run, dataset, env, training_photo, tmp_path
):
    copy = tmp_path / 'data'
    shutil.copytree(dataset, copy)
    photo = copy / 'train' / training_photo[0].relative_to(dataset / 'train')
    new = tmp_path / 'new.jpg'
    shutil.move(photo, new)
    photo.write_bytes(b'x')
    done = tool(
        *('similar', new, '--data', copy, '--run', plain_run),
        *('--device', 'cpu'),
        env=env,
    )
    assert str(photo) not in done.stdout
    assert str(photo) in done.stderr
    assert len(done.stdout.splitlines()) == 6


@pytest.mark.parametrize(
    ('words', 'named'),
    [
        (['--data', 'photos', '--run', 'run'], 'prepare_dataset.py'),
        (['--data', 'nowhere', '--run', 'run'], 'nowhere'),
        (['--data', 'data'], 'mobilenet_v2'),
        (['--data', 'data', '--weights', 'resnet50'], 'resnet50'),
        (['--data', 'data', '--run', 'nowhere'], 'nowhere'),
        (['--data', 'data', '--run', 'run', '--weights', 'x'], '--weights'),
        (['--data', 'data', '--run', 'run', '--json', 'p.jpg'], '--json'),
    ],
)
def test_refusals(words, named, plain_run, dataset, photos, env, tmp_path):
    for name, target in (
        ('run', plain_run),
        ('data', dataset),
        ('photos', photos),
    ):
        (tmp_path / name).symlink_to(target)
    Image.new('RGB', (40, 40)).save(tmp_path / 'p.jpg')
    content = (tmp_path / 'p.jpg').read_bytes()
    done = tool(
        *('similar', 'p.jpg', '--device', 'cpu', *words),
        env=env, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert named in done.stderr
    assert 'Traceback' not in done.stderr
    assert (tmp_path / 'p.jpg').read_bytes() == content
