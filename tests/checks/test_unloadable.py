"""Photos that break a run when their turn comes, in train and in val."""

from pathlib import Path

import forked
import pytest
from examining import NOTE, STOP, WARN, Examined, look_at, write
from making import FOLDERS, TINY_ON_BASE, custom, make_dataset
from PIL import Image

PHOTOS = {'rose': 6, 'tulip': 6}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_dataset(
        tmp_path / 'mine', train=PHOTOS, val=PHOTOS, test=PHOTOS
    )


@pytest.fixture
def examine(tmp_path: Path, root: Path):
    def run(text: str = TINY_ON_BASE, *words: str, **how) -> Examined:
        path = write(tmp_path, text)
        return look_at(path, '--data-root', root, *words, **how)

    return run


def cut(path: Path) -> None:
    """What an interrupted download leaves."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 3])


def lie(path: Path) -> None:
    """What a website sends instead of a photo."""
    path.write_text('<html>404</html>')


def swap(path: Path) -> None:
    """Whole at its end, and no photo."""
    path.write_bytes(b'\xff\xd8 no photo \xff\xd9')


@pytest.mark.parametrize('harm', [cut, lie])
@pytest.mark.parametrize('thorough', [True, False])
def test_a_broken_photo_of_val(examine, root, harm, thorough):
    """It would stop the run after the first epoch."""
    harm(root / 'val/tulip/003.jpg')
    seen = examine(thorough=thorough)
    found = seen.one('1 of 12 photos of val', 'cannot be loaded')
    assert found.level == STOP
    assert f'{root}/val/tulip/003.jpg (' in found.what
    assert found.where == str(root / 'val.txt')
    assert '--skip-broken' not in found.mend  # which validation does not
    assert examine(TINY_ON_BASE, '--skip-broken').one('cannot be loaded')
    assert examine(TINY_ON_BASE, '--no-validate').about('be loaded') == []


def test_training_does_not_begin_with_it(root, tmp_path):
    cut(root / 'val/tulip/003.jpg')
    config = write(tmp_path, TINY_ON_BASE)
    words = ('--data-root', root, '--work-dir', tmp_path / 'run')
    run = forked.start(tmp_path / 'log', 'train', config, *words)
    assert run.wait() == 2
    assert 'val/tulip/003.jpg (truncated: its end is missing)' in run.text


def test_a_broken_photo_of_train(examine, root):
    lie(root / 'train/rose/004.jpg')
    found = examine().one('1 of 12 photos of train', 'cannot be loaded')
    assert found.level == WARN
    assert 'rose/004.jpg (not a photo by its content)' in found.what
    words = ('--skip-broken',)
    assert words[0] in found.mend
    assert examine(TINY_ON_BASE, *words).one('be loaded').level == NOTE


def test_only_flower_dataset_passes_over_photos(examine, root):
    lie(root / 'train/rose/004.jpg')
    named = f"classes='{root}/classes.txt',"
    for text in (custom(root, named), custom(root, named, FOLDERS)):
        found = examine(text).one('cannot be loaded')
        assert found.level == WARN
        assert '--skip-broken' not in found.mend


def test_too_many_to_pass_over(examine, root):
    for number in range(4):
        lie(root / f'train/rose/00{number}.jpg')
    found = examine().one('4 of 12 photos of train')
    assert '--skip-broken' not in found.mend


def test_a_photo_of_val_and_test_is_told_once(examine, root):
    (root / 'test.txt').unlink()
    cut(root / 'val/rose/000.jpg')
    assert examine(thorough=True).one('cannot be loaded').level == STOP


def test_the_doctor_alone_looks_at_test(examine, root):
    cut(root / 'test/rose/000.jpg')
    assert examine().about('cannot be loaded') == []
    found = examine(thorough=True).one('photos of test')
    assert found.level == WARN


def test_the_doctor_loads_each_photo(examine, root):
    swap(root / 'val/rose/000.jpg')
    assert examine(thorough=True).one('cannot be loaded').level == STOP


@pytest.mark.parametrize('kind', ['PNG', 'BMP', 'WEBP', 'JPEG', 'TIFF'])
def test_what_opencv_loads_is_well(examine, root, kind):
    """Whatever its name, and with bytes behind its end."""
    path = root / 'val/rose/000.jpg'
    Image.new('RGB', (48, 40), 'red').save(path, kind)
    if kind == 'JPEG':
        path.write_bytes(path.read_bytes() + bytes(1000))
    for thorough in (True, False):
        assert examine(thorough=thorough).about('cannot be loaded') == []


def test_photos_that_are_not_there_are_told_of_elsewhere(examine, root):
    (root / 'val/rose/000.jpg').unlink()
    text = custom(root, f"classes='{root}/classes.txt',")
    seen = examine(text, thorough=True)
    assert seen.about('not there')
    assert seen.about('cannot be loaded') == []


def test_a_pipeline_that_lets_broken_photos_pass(examine, root):
    lie(root / 'train/rose/004.jpg')
    text = TINY_ON_BASE + (
        "train_dataloader['dataset']['pipeline'] = [\n"
        "    dict(type='LoadImageFromFile', ignore_empty=True),\n"
        "    dict(type='RandomResizedCrop', scale=32),\n"
        "    dict(type='PackInputs')]\n"
    )
    assert examine(text).about('cannot be loaded') == []
    seen = examine(text.replace('ignore_empty=True', 'ignore=True'))
    assert seen.about('could not be checked') == []
    assert [f for f in seen.found if f.level == STOP]  # by another check
