"""Example photos come from the dataset of the run only."""

import json
import shutil
from pathlib import Path

import pytest
from helpers import draw_photo
from PIL import EpsImagePlugin, Image

from flower_mm.errors import UserError
from flower_mm.prepare import dataset_json as datasets
from flower_mm.report.predictions import read_predictions
from flower_mm.share import share_folder
from flower_mm.share.example_photos import photos_to_share
from flower_mm.weights.read_checkpoint import read_checkpoint

EPS = (
    b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\n%%EndComments\n'
    b'showpage\n%%EOF\n'
)


@pytest.fixture(scope='module')
def reported(
    plain_run: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    run = shutil.copytree(
        plain_run, tmp_path_factory.mktemp('reported') / 'run'
    )
    share_folder.write_report(run, device='cpu')
    return run


@pytest.fixture
def run(reported: Path, tmp_path: Path, monkeypatch) -> Path:
    """A run of a stranger; the export is left out."""
    monkeypatch.setattr(share_folder, '_export_onnx', lambda *_: [])
    monkeypatch.setattr(share_folder, '_verify', lambda *_: None)
    return shutil.copytree(reported, tmp_path / 'foreign')


@pytest.fixture
def copy(dataset: Path, tmp_path: Path) -> Path:
    return shutil.copytree(dataset, tmp_path / 'copy')


@pytest.fixture
def programs(monkeypatch) -> list:
    """What Pillow would start for an EPS file."""
    started = []
    monkeypatch.setattr(
        EpsImagePlugin, 'Ghostscript', lambda *args: started.append(args)
    )
    return started


def correct_photo(run: Path) -> str:
    """A photo that the model classifies correctly, as the list names it."""
    found = read_predictions(run / 'predictions.csv')
    return found.photos[int(found.correct.nonzero()[0][0])]


def replace(run: Path, photo: str, other: str) -> None:
    path = run / 'predictions.csv'
    path.write_text(path.read_text('utf-8').replace(photo, other), 'utf-8')


def share(run: Path, data_root: Path | None = None) -> list[Path]:
    out = run.parent / 'out'
    root = str(data_root) if data_root else None
    files = share_folder.share(run, out, root, examples=9, device='cpu')
    return [file for file in files if file.parent.name == 'examples']


@pytest.mark.parametrize('ending', ['jpg', 'eps'])
def test_photo_from_elsewhere_is_refused(
    ending, run, tmp_path, programs, monkeypatch
):
    """Before the export, which takes a while."""
    monkeypatch.setattr(share_folder, '_export_onnx', pytest.fail)
    private = tmp_path / f'private.{ending}'
    if ending == 'eps':
        private.write_bytes(EPS)
    else:
        draw_photo(private, 0, 999)
    replace(run, correct_photo(run), str(private))
    with pytest.raises(UserError, match=rf'private\.{ending}: expected'):
        share(run)
    assert not (tmp_path / 'out').exists()
    assert programs == []


def test_programs_of_pillow_are_recorded(tmp_path, programs):
    (tmp_path / 'a.eps').write_bytes(EPS)
    with (
        Image.open(tmp_path / 'a.eps') as image,
        pytest.raises(AssertionError),  # a fake without a picture
    ):
        image.load()
    assert programs


def test_changed_photo_is_left_out(run, copy, programs):
    before = len(share(run, copy))
    shutil.rmtree(run.parent / 'out')
    photo = Path(correct_photo(run))
    name = Path(*photo.parts[-2:])
    (copy / 'val' / name).write_bytes(EPS)
    assert len(share(run, copy)) == before - 1
    assert programs == []


def test_a_link_to_a_private_photo_is_not_followed(run, copy, tmp_path):
    draw_photo(tmp_path / 'private.jpg', 0, 999)
    for photo in (copy / 'val').glob('*/*'):
        photo.unlink()
        photo.symlink_to(tmp_path / 'private.jpg')
    assert share(run, copy) == []


def test_dataset_of_the_stranger_is_refused(run, copy, tmp_path):
    """It refers to photos of the user."""
    record = json.loads((copy / 'dataset.json').read_text('utf-8'))
    name = next(iter(record['files']['val']))
    record['files']['val'][name] = '0' * 64
    (copy / 'dataset.json').write_text(json.dumps(record), 'utf-8')
    found = json.loads((run / 'run.json').read_text('utf-8'))
    found['data_root'] = str(copy)
    (run / 'run.json').write_text(json.dumps(found), 'utf-8')
    with pytest.raises(UserError, match='not the dataset that best'):
        share(run)
    assert not (tmp_path / 'out').exists()


def test_dataset_without_hashes(run, copy):
    (copy / 'dataset.json').unlink()
    with pytest.raises(UserError, match='not a prepared dataset'):
        share(run, copy)


def test_dataset_of_the_checkpoint_is_compared(run, copy):
    best = read_checkpoint(run / 'best.pth')
    record = datasets.load(copy)
    assert best['meta']['dataset_sha256'] == record['sha256']
    for other in (None, '0' * 64, ['x']):
        with pytest.raises(UserError, match='not the dataset'):
            photos_to_share(copy, 'val', other)
    with pytest.raises(UserError, match='is unknown'):
        photos_to_share(None, 'val', record['sha256'])
