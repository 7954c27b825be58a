"""A dataset that was received does not point to photos outside of it."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import forked
import pytest
from helpers import CLASSES, draw_photo, tool

from flower_mm import trust as trust_module
from flower_mm.annotations import photos_folder, read_annotations
from flower_mm.errors import UserError
from flower_mm.prepare.verify_dataset import check
from flower_mm.trust import is_trusted, trust

pytestmark = pytest.mark.skipif(
    os.name == 'nt', reason='making links takes a privilege on Windows'
)


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch) -> None:
    """A user who has not prepared anything yet."""
    monkeypatch.setenv('XDG_STATE_HOME', str(tmp_path / 'state'))
    monkeypatch.setattr(trust_module, '_of_this_process', set())


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """The user's photos, in class folders by chance."""
    folder = tmp_path / 'private'
    for label, name in enumerate(CLASSES):
        for number in range(20):
            draw_photo(folder / name / f'{number:03}.jpg', label, 900 + number)
    return folder


@pytest.fixture
def copy(dataset: Path, tmp_path: Path) -> Path:
    return shutil.copytree(dataset, tmp_path / 'received')


def points_to(root: Path, private: Path) -> None:
    record = json.loads((root / 'dataset.json').read_text('utf-8'))
    record['photos'] = str(private)
    (root / 'dataset.json').write_text(json.dumps(record), 'utf-8')


def points_above(root: Path, private: Path) -> None:
    os.chdir(root)
    points_to(root, Path('..') / private.name)


def links_a_photo(root: Path, private: Path) -> None:
    photo = next((root / 'train').glob('*/*.jpg'))
    photo.unlink()
    photo.symlink_to(private / CLASSES[0] / '000.jpg')


def links_a_class(root: Path, private: Path) -> None:
    shutil.rmtree(root / 'train' / CLASSES[0])
    (root / 'train' / CLASSES[0]).symlink_to(private / CLASSES[0])


def links_a_split(root: Path, private: Path) -> None:
    shutil.rmtree(root / 'train')
    (root / 'train').symlink_to(private)


MAKERS = [
    points_to, points_above, links_a_photo, links_a_class, links_a_split,
]  # fmt: skip


def read(root: Path) -> int:
    folder = photos_folder(root, 'train').absolute()
    return len(read_annotations(root / 'train.txt', folder, CLASSES))


@pytest.mark.parametrize('make', MAKERS)
def test_a_received_dataset_is_not_followed_out(
    make, copy, private, monkeypatch
):
    monkeypatch.chdir(copy)
    assert read(copy) > 30
    make(copy, private)
    with pytest.raises(UserError, match='refers to photos outside') as error:
        read(copy)
    assert '--trust' in str(error.value)
    trust(copy)
    assert read(copy) > 30


@pytest.mark.parametrize(
    'name', ['train.txt', 'classes.txt', 'dataset.json', 'val.txt']
)
def test_a_pipe_in_place_of_a_text_is_not_waited_for(name, copy):
    (copy / name).unlink()
    os.mkfifo(copy / name)
    with pytest.raises(UserError):
        check(copy)
    if name == 'train.txt':
        with pytest.raises(UserError, match='not a file'):
            read(copy)
    is_trusted(copy)


def test_links_inside_a_dataset_are_followed(copy):
    photo = next((copy / 'train').glob('*/*.jpg'))
    moved = photo.rename(copy / 'moved.jpg')
    photo.symlink_to(moved)
    assert read(copy) > 30


def test_a_dataset_may_be_behind_a_link(copy, tmp_path):
    (tmp_path / 'link').symlink_to(copy)
    assert read(tmp_path / 'link') > 30


TOOLS = {
    'train': ('CONFIG', '--work-dir', 'OUT'),
    'doctor': ('CONFIG',),
    'test': ('CONFIG', 'BEST', '--work-dir', 'OUT'),
    'report': ('RUN',),
    'export': ('BEST', '--to', 'safetensors', '--out', 'OUT'),
}


@pytest.mark.parametrize('name', TOOLS)
def test_the_tools_refuse_it(name, copy, private, config, plain_run, tmp_path):
    points_to(copy, private)
    run = shutil.copytree(plain_run, tmp_path / 'run')
    places = {'RUN': run, 'BEST': run / 'best.pth', 'CONFIG': config}
    places['OUT'] = tmp_path / 'out'
    args = [places.get(part, part) for part in TOOLS[name]]
    env = {'XDG_STATE_HOME': os.environ['XDG_STATE_HOME']}
    done = forked.start(
        tmp_path / 'log', name, *args, '--data-root', copy, env=env
    )
    assert done.wait() == 2, done.text
    assert 'refers to photos outside' in done.text
    assert 'Traceback' not in done.text


def test_who_prepares_may_train(private, config, tmp_path):
    """On the same machine there is nothing to be done in between."""
    out = tmp_path / 'mine'
    tool('prepare_dataset', private, '--out', out, '--how', 'none')
    assert is_trusted(out)
    assert read(out) > 30
    moved = out.rename(tmp_path / 'moved')
    assert read(moved) > 30
    # The note is the user's, not the dataset's.
    (tmp_path / 'state').rename(tmp_path / 'of another user')
    with pytest.raises(UserError, match='refers to photos outside'):
        read(moved)
    # To prepare it again is to say so.
    moved.rename(out)
    tool('prepare_dataset', private, '--out', out, '--how', 'none')
    assert read(out) > 30


def test_another_dataset_at_the_same_place_is_not_trusted(copy, private):
    points_to(copy, private)
    trust(copy)
    assert read(copy) > 30
    points_to(copy, private.parent)
    with pytest.raises(UserError, match='refers to photos outside'):
        photos_folder(copy, 'train')


def test_a_user_trusts_by_a_command(copy, private, tmp_path):
    links_a_split(copy, private)
    done = tool('prepare_dataset', '--trust', '--out', copy)
    assert str(copy) in done.stdout
    assert read(copy) > 30
    done = tool('prepare_dataset', '--trust', '--out', tmp_path, check=False)
    assert done.returncode == 2
    assert 'not a dataset' in done.stderr


def test_a_home_that_cannot_be_written_to(copy, private, tmp_path, capsys):
    (tmp_path / 'state').write_text('a file')
    points_to(copy, private)
    trust(copy)
    assert read(copy) > 30
    assert 'this process only' in capsys.readouterr().out


def test_check_reads_only_photos_of_the_dataset(copy, private, monkeypatch):
    """By its sha256; a photo that its maker has never seen is not decoded."""
    decoded = []
    monkeypatch.setattr(
        'flower_mm.prepare.verify_dataset.scan',
        lambda photos, _: decoded.append(1),
    )
    record = json.loads((copy / 'dataset.json').read_text('utf-8'))
    for side, photos in record['files'].items():
        for name in photos:
            place = private / name
            place.parent.mkdir(exist_ok=True)
            shutil.copy(copy / side / name, place)
    points_to(copy, private)
    check(copy)
    assert decoded
    name = next(iter(record['files']['train']))
    draw_photo(private / name, 0, 999)
    digest = hashlib.sha256((private / name).read_bytes()).hexdigest()
    assert digest != record['files']['train'][name]
    decoded.clear()
    with pytest.raises(UserError, match='refers to photos outside'):
        check(copy)
    assert not decoded
